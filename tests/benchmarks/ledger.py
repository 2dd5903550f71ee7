"""What the headers of a server's poses say, message by message, in little memory and time."""

import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec
import numpy as np
import zmq

NS_PER_MS = 1_000_000
_POLL_MS = 50


class _Lost(msgspec.Struct):
    late: int
    dup: int
    gap: int
    shed: int


class _Source(msgspec.Struct):
    epoch: int
    seq: int
    t: int


class _Spent(msgspec.Struct):
    rx: int
    win: int
    lift: int
    post: int
    tx: int


class _Head(msgspec.Struct):
    epoch: int
    seq: int
    src: _Source
    lat: _Spent
    drop: _Lost
    ids: list[int]


_HEAD = msgspec.msgpack.Decoder(_Head)


def _numbers() -> "array[int]":
    return array("q")


@dataclass
class Ledger:
    """One entry a message, in the order they came; times in unix nanoseconds.

    Attributes:
        topics: Of the streams, by number.
        stream, epoch, seq: Stream, and epoch and frame of the rig that is answered.
        captured_ns, arrived_ns: When the frame was captured, and when the poses came here.
        added_ns: What the server says it added.
        shed, gap: Frames lost before it.
        persons: People in it.
        missed: Messages that the server sent and that did not come.
    """

    topics: list[str] = field(default_factory=list)
    stream: "array[int]" = field(default_factory=_numbers)
    epoch: "array[int]" = field(default_factory=_numbers)
    seq: "array[int]" = field(default_factory=_numbers)
    captured_ns: "array[int]" = field(default_factory=_numbers)
    arrived_ns: "array[int]" = field(default_factory=_numbers)
    added_ns: "array[int]" = field(default_factory=_numbers)
    shed: "array[int]" = field(default_factory=_numbers)
    gap: "array[int]" = field(default_factory=_numbers)
    persons: "array[int]" = field(default_factory=_numbers)
    missed: int = 0
    _number: dict[bytes, int] = field(default_factory=dict)
    _next: dict[tuple[bytes, int], int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.stream)

    def add(self, parts: list[bytes], now_ns: int) -> None:
        """Note one message of poses."""
        head, topic = _HEAD.decode(parts[1]), parts[0]
        if topic not in self._number:
            self._number[topic] = len(self.topics)
            self.topics.append(topic.decode())
        expected = self._next.get((topic, head.epoch), head.seq)
        self.missed += max(head.seq - expected, 0)
        self._next[topic, head.epoch] = head.seq + 1
        lat, drop = head.lat, head.drop
        for column, value in (
            (self.stream, self._number[topic]),
            (self.epoch, head.src.epoch),
            (self.seq, head.src.seq),
            (self.captured_ns, head.src.t),
            (self.arrived_ns, now_ns),
            (self.added_ns, lat.rx + lat.win + lat.lift + lat.post + lat.tx),
            (self.shed, drop.shed),
            (self.gap, drop.gap),
            (self.persons, len(head.ids)),
        ):
            column.append(value)

    def added_ms(self, first_ns: int = 0, last_ns: int = 1 << 62) -> tuple[float, float, float]:
        """Median, 95th and 99th percentile of what the server added to frames captured then."""
        captured_ns = np.array(self.captured_ns)
        kept = np.array(self.added_ns)[(captured_ns >= first_ns) & (captured_ns < last_ns)]
        if not len(kept):
            return (float("nan"),) * 3
        p50, p95, p99 = np.quantile(kept / NS_PER_MS, (0.5, 0.95, 0.99)).tolist()
        return p50, p95, p99


@contextmanager
def listening(endpoint: str) -> Iterator[Ledger]:
    """A ledger of every pose message of a server, written by a thread while the block runs."""
    ledger = Ledger()
    with hearing(endpoint, lambda parts: ledger.add(parts, time.time_ns())):
        yield ledger


@contextmanager
def hearing(endpoint: str, on_pose: Callable[[list[bytes]], None]) -> Iterator[None]:
    """Gives every pose message of a server to `on_pose`, in a thread while the block runs."""
    stop, ready = threading.Event(), threading.Event()

    def listen() -> None:
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.set(zmq.RCVHWM, 100_000)
            socket.set(zmq.LINGER, 0)
            for topic in (b"pose3d/", b"hb/"):
                socket.subscribe(topic)
            socket.connect(endpoint)
            while not stop.is_set():
                if socket.poll(_POLL_MS):
                    parts = socket.recv_multipart()
                    ready.set()
                    if parts[0].startswith(b"pose3d/"):
                        on_pose(parts)

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        assert ready.wait(20), "the server sent no heartbeat"
        yield
    finally:
        stop.set()
        thread.join()
