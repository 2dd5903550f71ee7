"""Record a running server: a bounded queue and a writer thread, so that serving never waits.

`formats/recording.py` specifies the content of a recording. If the disk is full or too slow,
recording ends: the file stays readable up to that point, an event and a counter report it, and
serving continues. A recording with a gap could not be replayed, so recording does not resume.
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
"""Flush interval: a full disk or a killed server loses at most this much of the recording."""

MAX_WAITING_BYTES = 64 << 20
"""Size of the queue; beyond it the disk is too slow and recording ends."""

UNREADABLE = "unreadable"
MAX_TOPICS = 4096
"""Topics with their own channel; messages on further ones share a channel."""

_QueuedEntry = tuple[Direction, list[bytes], int, str | None]
"""Entry to write: direction, message parts, time in ns, and name of the sender's key."""

_ENTRY_BYTES = 200
_CLOSE_S = 5.0

log = logging.getLogger(__name__)


class FileRecorder:
    """Records into a file.

    Args:
        path: Path of the file; opened when the server starts.
        facts: Setup the poses depend on; epoch and public keys are added.
        force: Replace an existing file.
    """

    def __init__(self, path: Path, facts: Mapping[str, str], *, force: bool = False) -> None:
        self._path, self._facts, self._force = path, facts, force
        self._topics: set[tuple[str | None, str]] = set()
        self._waiting: deque[_QueuedEntry] = deque()
        self._waiting_bytes = self._flushed_ns = self._unwritten = 0
        self._changed = threading.Condition()
        self._closing = self._ended = False
        self._thread: threading.Thread | None = None

    def begin(self, epoch: int, faults: FaultReporter, keys: Mapping[str, str] = NO_KEYS) -> None:
        """Open the file and start the writer thread.

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
        """Queue a received message."""
        self._enqueue("received", list(parts), now_ns, sender)

    def published(self, parts: Sequence[bytes], now_ns: int) -> None:
        """Queue a published message."""
        self._enqueue("published", list(parts), now_ns)

    def decided(self, what: str, now_ns: int, heard: int) -> None:
        """Queue an entry of the journal."""
        self._enqueue("journal", [what.encode(), str(heard).encode()], now_ns)

    def close(self) -> None:
        """Write the queue and close the file; wait at most 5 s for a hanging disk."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)

    def _enqueue(
        self, direction: Direction, parts: list[bytes], now_ns: int, sender: str | None = None
    ) -> None:
        size = _ENTRY_BYTES + sum(map(len, parts))
        with self._changed:
            overflow = self._waiting_bytes + size > MAX_WAITING_BYTES
            if not (self._ended or overflow):
                self._waiting.append((direction, parts, now_ns, sender))
                self._waiting_bytes += size
                self._changed.notify()
                return
            self._stats.add("unrecorded")
        if overflow:
            self._end("too_slow", "the disk is slower than what comes")

    def _write(self) -> None:
        """Run the writer thread: write entries until closed, or until writing fails."""
        try:
            while entries := self._dequeue():
                for queued in entries:
                    now_ns = queued[2]
                    self._writer.add(self._entry(*queued))
                    if not self._count_recorded():
                        break
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
        except Exception as error:  # serving continues; the fault is reported
            log.exception("recording failed")
            self._end("fault", f"{type(error).__name__}: {error}"[:300])
            self._writer.abandon()

    def _dequeue(self) -> list[_QueuedEntry]:
        """Wait for entries and return them all; return nothing after recording has ended."""
        with self._changed:
            while not (self._waiting or self._closing or self._ended):
                self._changed.wait()
            entries = [] if self._ended else list(self._waiting)
            self._waiting.clear()
            self._waiting_bytes, self._unwritten = 0, len(entries)
            return entries

    def _count_recorded(self) -> bool:
        """Count an entry as recorded; return False if it counts as lost: recording has ended."""
        with self._changed:
            if self._ended:
                return False
            self._stats.add("recorded")
            self._unwritten -= 1
            return True

    def _end(self, kind: str, reason: str) -> None:
        """End recording early, and report it; later calls do nothing."""
        with self._changed:
            if self._ended:
                return
            self._ended = True
            self._stats.add("unrecorded", len(self._waiting) + self._unwritten)
            self._changed.notify()
        self._stats.recording = f"stopped: {reason}"
        sentence = f"recording into {self._path.name} has stopped: {reason}"
        self._faults.recording_ended(kind, sentence)

    def _entry(
        self, direction: Direction, parts: list[bytes], now_ns: int, sender: str | None
    ) -> Entry:
        if direction == "journal":
            return Entry(direction, JOURNAL, parts, now_ns, now_ns)
        topic, publish_ns = self._topic_of(direction, parts, sender), capture_ns(parts)
        publish_ns = now_ns if publish_ns is None else publish_ns
        return Entry(direction, topic, parts, now_ns, publish_ns, sender)

    def _topic_of(self, direction: Direction, parts: list[bytes], sender: str | None) -> str:
        """Return the name of the channel: the topic, unless it is invalid or one too many."""
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


def published_entry(parts: Sequence[bytes], now_ns: int) -> Entry:
    """Return the entry of a message that a server sent at this time."""
    sent_ns = capture_ns(parts)
    topic = parts[0].decode("ascii", "replace")
    return Entry("published", topic, list(parts), now_ns, now_ns if sent_ns is None else sent_ns)


class _Times(msgspec.Struct):
    t: int | str | None = None
    t_srv: int | str | None = None


_TIMES = msgspec.msgpack.Decoder(_Times)


def capture_ns(parts: Sequence[bytes]) -> int | None:
    """Return the capture time of any message by its sender's clock; None if it has none."""
    try:
        times = _TIMES.decode(parts[1])
        encoded = times.t if times.t_srv is None else times.t_srv
        t_ns = None if encoded is None else time_from_wire(encoded)
    except (msgspec.DecodeError, MessageError, IndexError):
        return None
    return t_ns if t_ns is None or 0 <= t_ns < 1 << 63 else None
