"""Stream route: one stream of the cluster, its owner, its recent frames, and hand-overs.

A hand-over is the same for a lifter that joins, is drained or has died. The new owner is sent the
frames of the last window, then the live ones, while the old one still answers; its poses are not
passed on. Once it has answered a frame as new as the old owner's last, the old one is sent nothing
more, and the first frame that only the new one has answered makes it the owner. So no frame is lost
or answered twice, whoever is faster. Frames that a dead owner left without an answer are answered
by the new one.

No socket and no clock: what to send is returned, times are arguments.
"""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from langpose_rt.cluster.headers import Answer, FrameNumber, via_to_bytes, with_via
from langpose_rt.protocol.keypoints import Via

FRAMES_KEPT = 160
"""Frames of a stream that are kept: a window, and those of the time until a death is noticed."""

IN_FLIGHT = 4
"""Replayed frames that wait at the new owner: more would be shed there as too old."""

RETRY_NS = 30_000_000
"""More frames are replayed after this without an answer: with a lookahead answers come late."""

OWNER_SILENT_NS = 150_000_000
"""An owner that is sent nothing more and has answered nothing for this long answers no more."""

LONGEST_NS = 3_000_000_000
"""A hand-over ends after this, whatever was answered: frames that are refused never are."""

_LARGEST_TRACKED_ID = 1 << 31


class Send(NamedTuple):
    """A message for a lifter."""

    lifter: str
    parts: list[bytes]


@dataclass(slots=True, eq=False)
class _KeptFrame:
    """A frame of the rig; `ids` are those it was answered with."""

    index: int
    seq: int
    parts: list[bytes]
    ids: tuple[int, ...] = ()


@dataclass(slots=True, eq=False)
class _Successor:
    """Lifter that is about to own the stream.

    Attributes:
        index: Of the next frame to send.
        answered: Index of the newest frame it answered.
        caught_up: It has answered a frame as new as the owner's last.
    """

    lifter: str
    epoch: int
    index: int
    answered: int
    began_ns: int
    sent_ns: int = 0
    caught_up: bool = False


class StreamRoute:
    """Route of one stream.

    Args:
        topic: Of the keypoints.
        group: Streams with the same group have the same owner.
        now_ns: Steady time.

    Attributes:
        owner: Lifter whose answers are passed on; None if there is none.
        epoch: Number of the assignment to it.
        window: Frames that the model sees.
        heard_ns: When a frame last came.
    """

    def __init__(self, topic: bytes, group: str, now_ns: int) -> None:
        self.topic, self.group, self.heard_ns = topic, group, now_ns
        self.owner: str | None = None
        self.epoch, self.window = 0, 32
        self._via = b""
        self._successor: _Successor | None = None
        self._frames: deque[_KeptFrame] = deque(maxlen=FRAMES_KEPT)
        self._rig_epoch: int | None = None
        self._answered = -1
        self._answered_ns = now_ns
        self._index = self._next_id = 0

    @property
    def target(self) -> str | None:
        """Lifter that owns the stream, or is about to."""
        return self.owner if self._successor is None else self._successor.lifter

    @property
    def in_transit(self) -> bool:
        """True during a hand-over."""
        return self._successor is not None

    @property
    def warm(self) -> bool:
        """True if the frames of a whole window are kept, so that a new owner misses nothing."""
        return len(self._frames) >= self.window

    def assign(self, lifter: str, epoch: int, answered: FrameNumber | None = None) -> None:
        """Make a lifter the owner without a hand-over.

        Args:
            lifter: The new owner.
            epoch: Number of the assignment.
            answered: Newest frame that it has answered, through another front.
        """
        self.owner, self.epoch, self._successor = lifter, epoch, None
        self._via = via_to_bytes(Via(epoch))
        if answered is not None:
            self._rig_epoch, self._answered = answered.epoch, answered.seq

    def frame(self, number: FrameNumber, parts: list[bytes], now_ns: int) -> list[Send]:
        """Take a frame of the rig and return where it goes."""
        self.heard_ns = now_ns
        if number.epoch != self._rig_epoch:
            self._rig_epoch, self._answered, self._next_id = number.epoch, -1, 0
            self._frames.clear()
            if self._successor is not None:
                self.assign(self._successor.lifter, self._successor.epoch)
        self._frames.append(_KeptFrame(self._index, number.seq, parts))
        self._index += 1
        successor = self._successor
        sends = []
        if self.owner is not None and (successor is None or not successor.caught_up):
            sends.append(self._to_owner(parts))
        return sends if successor is None else sends + self.replay(now_ns)

    def hand_over(self, lifter: str, epoch: int, now_ns: int) -> list[Send]:
        """Begin to hand the stream over to another lifter."""
        kept = self._frames
        answered = sum(frame.seq <= self._answered for frame in kept)
        first = kept[max(answered - self.window, 0)].index if kept else self._index
        self._successor = _Successor(lifter, epoch, first, first - 1, now_ns)
        return self.replay(now_ns)

    def lost(self, lifter: str) -> bool:
        """Note that a lifter is gone; return True if the stream needs another one."""
        if self._successor is not None and self._successor.lifter == lifter:
            self._successor = None
        elif self.owner != lifter:
            return False
        if self.owner == lifter:
            self.owner = None
        return self._successor is None

    def answer(self, answer: Answer, now_ns: int) -> tuple[bool, list[Send]]:
        """Take an answer of a lifter.

        Returns:
            True if it is to be passed on; and what to send.
        """
        if answer.src.epoch != self._rig_epoch:
            return answer.via == self.epoch and self._successor is None, []
        successor, seq = self._successor, answer.src.seq
        if answer.via == self.epoch and self.owner is not None:
            if seq <= self._answered:
                return False, []
            self._note_answered(answer, now_ns)
            return True, []
        if successor is None or answer.via != successor.epoch:
            return False, []
        frame = next((kept for kept in self._frames if kept.seq == seq), None)
        if frame is not None:
            successor.answered = max(successor.answered, frame.index)
        if seq >= self._answered:
            successor.caught_up = True
        if not self._is_next(seq, now_ns):
            return False, self.replay(now_ns)
        self._note_answered(answer, now_ns)
        return True, self._end(successor)

    def replay(self, now_ns: int) -> list[Send]:
        """Return the frames the new owner can take by now."""
        successor, sends = self._successor, list[Send]()
        if successor is None:
            return sends
        if now_ns - successor.began_ns > LONGEST_NS:
            return self._end(successor)
        limit = successor.answered + 1 + IN_FLIGHT
        if now_ns - successor.sent_ns > RETRY_NS:
            limit = max(limit, successor.index + IN_FLIGHT)
        for frame in self._frames:
            if successor.index <= frame.index < limit:
                header = with_via(frame.parts[1], self._via_of(successor.epoch, frame))
                parts = [frame.parts[0], header, *frame.parts[2:]]
                sends.append(Send(successor.lifter, parts))
                successor.index, successor.sent_ns = frame.index + 1, now_ns
        return sends

    def _end(self, successor: _Successor) -> list[Send]:
        """Make the successor the owner, and return the frames it was not sent yet."""
        rest = [kept.parts for kept in self._frames if kept.index >= successor.index]
        self.assign(successor.lifter, successor.epoch)
        return [self._to_owner(parts) for parts in rest]

    def _is_next(self, seq: int, now_ns: int) -> bool:
        """Return True if no frame between the last answered one and this still has an answer."""
        if seq <= self._answered:
            return False
        silent = self.owner is None or now_ns - self._answered_ns > OWNER_SILENT_NS
        return silent or not any(self._answered < kept.seq < seq for kept in self._frames)

    def _note_answered(self, answer: Answer, now_ns: int) -> None:
        self._answered, self._answered_ns = answer.src.seq, now_ns
        self.window = answer.win.frames
        ids = answer.ids_in_frame
        counted = [number for number in ids if number < _LARGEST_TRACKED_ID]
        self._next_id = max(self._next_id, max(counted, default=-1) + 1)
        for frame in reversed(self._frames):
            if frame.seq <= answer.src.seq:
                frame.ids = ids if frame.seq == answer.src.seq else frame.ids
                break

    def _via_of(self, epoch: int, frame: _KeptFrame) -> bytes:
        return via_to_bytes(Via(epoch, frame.ids, self._next_id))

    def _to_owner(self, parts: list[bytes]) -> Send:
        assert self.owner is not None
        return Send(self.owner, [parts[0], with_via(parts[1], self._via), *parts[2:]])
