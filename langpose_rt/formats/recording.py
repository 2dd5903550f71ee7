"""Reader and writer of server recordings: received and published messages in one MCAP file.

    received     every message from the network byte for byte, rejected ones included
    published    every message that was sent
    journal      actions of the server and the messages received before: "step", "silent", "flush"

One channel per topic, in the order of events; its metadata has "direction", and where the server
had keys the "sender": the name the key was pinned to, "" if it is pinned no more. Messages from the
network whose topic is not of lprt/1 share the channel "unreadable", one per sender. The data of
every message is a msgpack list of its parts, byte strings; an entry of the journal has the parts
(action, messages received). log_time is the server's clock (unix ns) at arrival, sending or action.
publish_time is the capture time in the rig's clock where the message has one.

Metadata "langpose-rt" holds what the poses depend on: version, pipeline, model and its hash, the
text of the camera file, epoch, and the names and public keys that were accepted at the start.
Metadata "end" marks a file that was closed properly. A file without it (disk full, power cut) is
read up to its last whole record. A damaged chunk costs its messages: those before and after it are
read, and a warning says so.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedIOBase, BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import msgspec

from langpose_rt.errors import ConfigError
from langpose_rt.formats.bounded_file import check_regular
from langpose_rt.formats.mcap_records import MAGIC, mcap_records

if TYPE_CHECKING:
    from mcap.records import Channel, Message

FACTS, END = "langpose-rt", "end"
JOURNAL = "journal"
SCHEMA = "langpose_rt.parts/1"
CHUNK_BYTES = 256 << 10

Direction = Literal["received", "published", "journal"]

_SCHEMA_TEXT = b"msgpack list of the byte strings that are the parts of one lprt/1 message"
_TAIL = (
    b"\x0f"
    + (4).to_bytes(8, "little")
    + bytes(4)
    + (b"\x02" + (20).to_bytes(8, "little") + bytes(20) + MAGIC)
)
"""The records DataEnd and Footer of a file without a summary, as MCAP's specification has them."""

log = logging.getLogger(__name__)

_PARTS = msgspec.msgpack.Decoder(list[bytes])
_pack = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Entry:
    """A message of a recording.

    Attributes:
        direction: Received, published, or of the journal.
        topic: Topic of its channel.
        parts: Parts of the message.
        log_ns: Time by the server's clock.
        publish_ns: Capture time by the rig's clock, or ``log_ns`` where there is none.
        sender: Name of the sender's key, see above; None where the server had no keys.
    """

    direction: Direction
    topic: str
    parts: list[bytes]
    log_ns: int
    publish_ns: int
    sender: str | None = None


class RecordingWriter:
    """Writer of a recording; belongs to one thread.

    Args:
        path: The file, or one in memory.
        facts: Metadata the poses depend on.
        force: Replace an existing file.

    Raises:
        ConfigError: If the file exists or cannot be written, or mcap is not installed.
    """

    def __init__(
        self, path: Path | BytesIO, facts: Mapping[str, str], *, force: bool = False
    ) -> None:
        try:
            from mcap.writer import Writer
        except ModuleNotFoundError as error:
            raise needs_mcap(error) from None
        self._file: BinaryIO = _opened(path, force) if isinstance(path, Path) else path
        self._writer = Writer(self._file, chunk_size=CHUNK_BYTES)
        self._channels: dict[tuple[str, str, str | None], int] = {}
        self._good_bytes = 0
        try:
            self._writer.start(profile="", library="langpose-rt")
            self._writer.add_metadata(FACTS, dict(facts))
            self._schema = self._writer.register_schema(SCHEMA, "text", _SCHEMA_TEXT)
            self.flush()
        except OSError as error:
            self._file.close()
            raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None

    def add(self, entry: Entry) -> None:
        """Write one message.

        Raises:
            OSError: If writing fails, as on a full disk; then only `abandon` may be called.
        """
        name = (entry.direction, entry.topic, entry.sender)
        if name not in self._channels:
            about: dict[str, str] = {"direction": entry.direction}
            about |= {} if entry.sender is None else {"sender": entry.sender}
            self._channels[name] = self._writer.register_channel(
                entry.topic, "msgpack", self._schema, about
            )
        self._writer.add_message(
            self._channels[name], max(entry.log_ns, 0), _pack(entry.parts), entry.publish_ns
        )

    def flush(self) -> None:
        """Hand everything written so far to the operating system, in a readable state.

        Raises:
            OSError: As `add`.
        """
        self._writer.flush()  # type: ignore[no-untyped-call]
        self._good_bytes = self._file.tell()

    def finish(self) -> None:
        """Mark the file as complete and close it.

        Raises:
            OSError: As `add`.
        """
        self._writer.add_metadata(END, {"closed": "in order"})
        self._writer.finish()  # type: ignore[no-untyped-call]
        self._file.close()

    def abandon(self) -> None:
        """Close the file after an error; it stays readable up to the last `flush`, if possible."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError), Path(self._file.name).open("r+b") as file:
            file.truncate(self._good_bytes)
            file.seek(self._good_bytes)
            file.write(_TAIL)


def _opened(path: Path, force: bool) -> BinaryIO:
    try:
        return path.open("wb" if force else "xb")
    except FileExistsError:
        raise ConfigError(f"{path} exists; choose another name or say --force") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None


class Recording:
    """Reader of a recording, from its beginning.

    Args:
        path: The file.

    Raises:
        ConfigError: If it cannot be read, or is no recording.

    Attributes:
        facts: Metadata the poses depend on.
        complete: True if the file was closed properly; known once the entries are read.
        damaged_bytes: Bytes that could not be read so far.
    """

    def __init__(self, path: Path) -> None:
        check_regular(path)
        self.path, self.complete = path, False
        self.damaged_bytes = 0
        self._damage_reported = False
        self.facts: dict[str, str] = {}
        for _ in self._records():
            break

    def entries(self) -> Iterator[Entry]:
        """Iterate over the messages in the order of recording, up to the end or to a truncation.

        Damaged places are passed over; the first one is reported as a warning.

        Raises:
            ConfigError: If a message is none of a server's.
        """
        from mcap.records import Channel, Message

        channels: dict[int, Channel] = {}
        for record in self._records():
            if isinstance(record, Channel):
                channels[record.id] = record
            elif isinstance(record, Message) and record.channel_id in channels:
                yield self._entry(channels[record.channel_id], record)

    def _records(self) -> Iterator[object]:
        """Iterate over the records from the facts on, up to the end or to a truncation."""
        known = False
        try:
            with self.path.open("rb") as file:
                for record in self._records_of_file(file):
                    known = known or self._is_facts(record)
                    if known:
                        yield record
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be read: {error.strerror or error}") from None
        if not known:
            damaged = "it is damaged at its beginning"
            raise self._wrong(damaged if self.damaged_bytes else "it was not made by langpose-rt")

    def _records_of_file(self, file: BufferedIOBase) -> Iterator[object]:
        try:
            from mcap.records import Metadata
        except ModuleNotFoundError as error:
            raise needs_mcap(error) from None
        if file.read(len(MAGIC)) != MAGIC:
            raise self._wrong("it is no MCAP file")
        self.damaged_bytes = 0
        for record in mcap_records(file, self._note_damage):
            self.complete |= isinstance(record, Metadata) and record.name == END
            yield record

    def _note_damage(self, count: int) -> None:
        self.damaged_bytes += count
        if not self._damage_reported:
            self._damage_reported = True
            log.warning("%s is damaged; what is before and after the damage is used", self.path)

    def _is_facts(self, record: object) -> bool:
        from mcap.records import Metadata

        if not (isinstance(record, Metadata) and record.name == FACTS):
            return False
        self.facts = record.metadata
        return True

    def _entry(self, channel: "Channel", message: "Message") -> Entry:
        direction = channel.metadata.get("direction", "")
        try:
            parts = _PARTS.decode(message.data)
        except msgspec.DecodeError as error:
            raise self._wrong(f"a message of {channel.topic} is damaged ({error})") from None
        if direction not in ("received", "published", "journal"):
            raise self._wrong(f"{channel.topic} is neither received nor published")
        return Entry(
            direction,  # type: ignore[arg-type]
            channel.topic,
            parts,
            message.log_time,
            message.publish_time,
            channel.metadata.get("sender"),
        )

    def _wrong(self, reason: str) -> ConfigError:
        return ConfigError(f"{self.path} is no recording: {reason}; make one with 'serve --record'")


def needs_mcap(error: ModuleNotFoundError) -> ConfigError:
    """Return the error for a library that is not installed."""
    return ConfigError(
        f"recordings need {error.name}, which is not installed; "
        "install with 'pip install \".[record]\"'"
    )
