"""Recording while serving: a bounded queue and a thread that writes, so that serving never waits.

What a recording holds is said in `formats/recording.py`. When the disk is full, or slower than
what comes, recording ends: the file stays readable up to there, an event and a counter say so, and
serving goes on. A recording with a hole could not be replayed, so there is none.
"""

import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import MessageError
from langpose_rt.formats.recording import JOURNAL, Direction, Entry, RecordingWriter
from langpose_rt.monitoring.faults import FaultReporter
from langpose_rt.pipeline.journal import NO_KEYS
from langpose_rt.protocol.header import time_from_wire, topic_names

FLUSH_NS = NS_PER_S // 5
"""A full disk or a killed server costs at most this much of the recording."""

MAX_WAITING_BYTES = 64 << 20
"""Beyond this the disk is too slow and recording ends."""

UNREADABLE = "unreadable"
MAX_TOPICS = 4096
"""Topics told apart; messages on further ones share a channel."""

_Note = tuple[Direction, list[bytes], int, str | None]
"""What is to be written: direction, parts, when, and whose key."""

_ENTRY_BYTES = 200
_CLOSE_S = 5.0

log = logging.getLogger(__name__)


class FileRecorder:
    """Records into a file.

    Args:
        path: The file; opened when the server starts.
        facts: What the poses depend on; epoch and public keys are added.
        force: Replace a file that is there.
    """

    def __init__(self, path: Path, facts: Mapping[str, str], *, force: bool = False) -> None:
        self._path, self._facts, self._force = path, facts, force
        self._topics: set[tuple[str | None, str]] = set()
        self._waiting: deque[_Note] = deque()
        self._waiting_bytes = self._flushed_ns = self._in_hand = 0
        self._news = threading.Condition()
        self._closing = self._ended = False
        self._thread: threading.Thread | None = None

    def begin(self, epoch: int, faults: FaultReporter, keys: Mapping[str, str] = NO_KEYS) -> None:
        """Open the file and start to write.

        Raises:
            ConfigError: If the file exists or cannot be written, or mcap is not installed.
        """
        self._faults, self._stats = faults, faults.stats
        facts = {**self._facts, "epoch": str(epoch)}
        facts |= {"keys": msgspec.json.encode(keys).decode()} if keys else {}
        self._writer = RecordingWriter(self._path, facts, force=self._force)
        self._stats.recording = "on"
        self._thread = threading.Thread(target=self._write, name="record", daemon=True)
        self._thread.start()

    def received(self, parts: Sequence[bytes], now_ns: int, sender: str | None = None) -> None:
        """Queue a message from the network."""
        self._offer("received", list(parts), now_ns, sender)

    def published(self, parts: Sequence[bytes], now_ns: int) -> None:
        """Queue a message that is sent."""
        self._offer("published", list(parts), now_ns)

    def decided(self, what: str, now_ns: int, heard: int) -> None:
        """Queue an entry of the journal."""
        self._offer("journal", [what.encode(), str(heard).encode()], now_ns)

    def close(self) -> None:
        """Write what waits and close the file; a disk that hangs is waited for 5 s."""
        with self._news:
            self._closing = True
            self._news.notify()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)

    def _offer(
        self, direction: Direction, parts: list[bytes], now_ns: int, sender: str | None = None
    ) -> None:
        size = _ENTRY_BYTES + sum(map(len, parts))
        with self._news:
            too_much = self._waiting_bytes + size > MAX_WAITING_BYTES
            if not (self._ended or too_much):
                self._waiting.append((direction, parts, now_ns, sender))
                self._waiting_bytes += size
                self._news.notify()
                return
            self._stats.unrecorded += 1
        if too_much:
            self._end("too_slow", "the disk is slower than what comes")

    def _write(self) -> None:
        """The thread: entries into the file until closed, or until that fails."""
        try:
            while entries := self._taken():
                self._in_hand = len(entries)
                for note in entries:
                    now_ns = note[2]
                    self._writer.add(self._entry(*note))
                    self._stats.recorded += 1
                    self._in_hand -= 1
                    if now_ns - self._flushed_ns > FLUSH_NS:
                        self._flushed_ns = now_ns
                        self._writer.flush()
            if self._ended:
                self._writer.abandon()
            else:
                self._writer.finish()
        except OSError as error:
            self._end("disk", (error.strerror or str(error)).lower())
            self._writer.abandon()
        except Exception as error:  # whatever it is, serving goes on, and it is said
            log.exception("recording failed")
            self._end("fault", f"{type(error).__name__}: {error}"[:300])
            self._writer.abandon()

    def _taken(self) -> list[_Note]:
        """What waits, after waiting for it; nothing once recording has ended."""
        with self._news:
            while not (self._waiting or self._closing or self._ended):
                self._news.wait()
            entries = [] if self._ended else list(self._waiting)
            self._waiting.clear()
            self._waiting_bytes = 0
            return entries

    def _end(self, reason: str, why: str) -> None:
        """Recording is over before the server is; said once."""
        with self._news:
            if self._ended:
                return
            self._ended = True
            self._stats.unrecorded += len(self._waiting) + self._in_hand
            self._news.notify()
        self._stats.recording = f"stopped: {why}"
        self._faults.recording_ended(reason, f"recording into {self._path.name} has stopped: {why}")

    def _entry(
        self, direction: Direction, parts: list[bytes], now_ns: int, sender: str | None
    ) -> Entry:
        if direction == "journal":
            return Entry(direction, JOURNAL, parts, now_ns, now_ns)
        topic, publish_ns = self._topic_of(direction, parts, sender), capture_ns(parts)
        publish_ns = now_ns if publish_ns is None else publish_ns
        return Entry(direction, topic, parts, now_ns, publish_ns, sender)

    def _topic_of(self, direction: Direction, parts: list[bytes], sender: str | None) -> str:
        """Name of the channel: the topic, unless it is none, or one too many."""
        if direction == "published":
            return parts[0].decode()
        try:
            topic = "kp2d/{}/{}/".format(*topic_names(parts[0], "kp2d", 2))
        except (MessageError, IndexError):
            return UNREADABLE
        if (sender, topic) not in self._topics and len(self._topics) >= MAX_TOPICS:
            return UNREADABLE
        self._topics.add((sender, topic))
        return topic


class _Times(msgspec.Struct):
    t: int | str | None = None
    t_srv: int | str | None = None


_TIMES = msgspec.msgpack.Decoder(_Times)


def capture_ns(parts: Sequence[bytes]) -> int | None:
    """Capture time of a message of any kind by its sender's clock; None where it does not say."""
    try:
        times = _TIMES.decode(parts[1])
        found = times.t if times.t_srv is None else times.t_srv
        t_ns = None if found is None else time_from_wire(found)
    except (msgspec.DecodeError, MessageError, IndexError):
        return None
    return t_ns if t_ns is None or 0 <= t_ns < 1 << 63 else None
