"""Stream route: one stream of the cluster, its owner, its recent frames, and hand-overs.

A hand-over is the same for a lifter that joins, is drained or has died. The new owner is sent the
frames of the last window, then the live ones, while the old one still answers; its poses are not
passed on. Once it has answered a frame as new as the old owner's last, the old one is sent nothing
more, and the first frame that only the new one has answered makes it the owner. So no frame is lost
or answered twice, whoever is faster. Frames that a dead owner left without an answer are answered
by the new one, and those that only a dead successor was sent by the owner. Whoever has frames to
catch up with is sent them as it answers, because a lifter sheds what waits too long.

No socket and no clock: what to send is returned, times are arguments.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from langpose_rt.cluster.headers import Answer, FrameNumber, via_to_bytes, with_via
from langpose_rt.protocol.keypoints import Via

FRAMES_KEPT = 160
"""Frames of a stream that are kept: a window, and those of the time until a death is noticed."""

IN_FLIGHT = 4
"""Replayed frames that wait at a lifter: more would be shed there as too old."""

RETRY_NS = 30_000_000
"""More frames are replayed after this without an answer: with a lookahead answers come late."""

OWNER_SILENT_NS = 150_000_000
"""An owner that is sent nothing more and has answered nothing for this long answers no more."""

SILENT_NS = 3_000_000_000
"""A hand-over ends once the new owner answers nothing for this long: frames that are refused never
are answered. One that is slow is waited for, as the old owner answers meanwhile."""

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
class _Replay:
    """Kept frames on their way to a lifter, few at a time.

    Attributes:
        index: Of the next frame to send.
        answered: Index of the newest frame it answered.
        heard_ns: When it answered, or was sent the first frame.
        withheld: Index of the first frame that the owner is not sent, because this lifter has
            answered a frame as new as the owner's last; None before that.
    """

    lifter: str
    epoch: int
    index: int
    answered: int
    heard_ns: int
    sent_ns: int = 0
    withheld: int | None = None

    def take_answer(self, frame: _KeptFrame | None, now_ns: int) -> None:
        """Note the answer for a frame."""
        if frame is not None and frame.index > self.answered:
            self.answered, self.heard_ns = frame.index, now_ns

    def due(self, frames: Iterable[_KeptFrame], now_ns: int) -> list[_KeptFrame]:
        """Take the frames that the lifter can be sent by now."""
        limit = self.answered + 1 + IN_FLIGHT
        if now_ns - self.sent_ns > RETRY_NS:
            limit = max(limit, self.index + IN_FLIGHT)
        found = [frame for frame in frames if self.index <= frame.index < limit]
        if found:
            self.index, self.sent_ns = found[-1].index + 1, now_ns
        return found


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
        overflowed: Frames that no lifter was sent before newer ones took their place.
    """

    def __init__(self, topic: bytes, group: str, now_ns: int) -> None:
        self.topic, self.group, self.heard_ns = topic, group, now_ns
        self.owner: str | None = None
        self.epoch, self.window, self.overflowed = 0, 32, 0
        self._via = b""
        self._successor: _Replay | None = None
        self._behind: _Replay | None = None  # of the owner, until it has caught up
        self._frames: deque[_KeptFrame] = deque(maxlen=FRAMES_KEPT)
        self._rig_epoch: int | None = None
        self._answered = -1
        self._answered_ns = now_ns
        self._index = self._next_id = 0

    @property
    def target(self) -> str | None:
        """Lifter that owns the stream, or is about to; from any thread."""
        successor = self._successor
        return self.owner if successor is None else successor.lifter

    @property
    def answered(self) -> FrameNumber | None:
        """Newest frame that has an answer."""
        if self._rig_epoch is None or self._answered < 0:
            return None
        return FrameNumber(self._rig_epoch, self._answered)

    @property
    def in_transit(self) -> bool:
        """True during a hand-over."""
        return self._successor is not None

    @property
    def replaying(self) -> bool:
        """True while `replay` has frames to send, or will have."""
        return self._successor is not None or self._behind is not None

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
        self.owner, self.epoch = lifter, epoch
        self._successor = self._behind = None
        self._via = via_to_bytes(Via(epoch))
        if answered is not None:
            self._rig_epoch, self._answered = answered.epoch, answered.seq

    def frame(self, number: FrameNumber, parts: list[bytes], now_ns: int) -> list[Send]:
        """Take a frame of the rig and return where it goes."""
        self.heard_ns = now_ns
        if number.epoch != self._rig_epoch:
            self._rig_epoch, self._answered, self._next_id = number.epoch, -1, 0
            self._frames.clear()
            self._behind = None
            if self._successor is not None:
                self.assign(self._successor.lifter, self._successor.epoch)
        if len(self._frames) == FRAMES_KEPT and not self._was_sent(self._frames[0]):
            self.overflowed += 1
        self._frames.append(_KeptFrame(self._index, number.seq, parts))
        self._index += 1
        if self.replaying:
            return self._live(parts) + self.replay(now_ns)
        return self._live(parts)

    def hand_over(self, lifter: str, epoch: int, now_ns: int) -> list[Send]:
        """Begin to hand the stream over to another lifter."""
        kept = self._frames
        answered = sum(frame.seq <= self._answered for frame in kept)
        first = kept[max(answered - self.window, 0)].index if kept else self._index
        self._successor = _Replay(lifter, epoch, first, first - 1, now_ns)
        return self.replay(now_ns)

    def lost(self, lifter: str) -> bool:
        """Note that a lifter is gone; return True if the stream needs another one."""
        successor = self._successor
        if successor is not None and successor.lifter == lifter:
            self._successor = None
            if self.owner is not None and successor.withheld is not None:
                first = successor.withheld
                self._behind = _Replay(self.owner, self.epoch, first, first - 1, self.heard_ns)
        elif self.owner != lifter:
            return False
        if self.owner == lifter:
            self.owner = self._behind = None
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
            if self._behind is not None:
                self._behind.take_answer(self._kept(seq), now_ns)
            return True, self.replay(now_ns)
        if successor is None or answer.via != successor.epoch:
            return False, []
        successor.take_answer(self._kept(seq), now_ns)
        if seq >= self._answered and successor.withheld is None:
            successor.withheld = self._index
        if not self._is_next(seq, now_ns):
            return False, self.replay(now_ns)
        self._note_answered(answer, now_ns)
        self._end(successor)
        return True, self.replay(now_ns)

    def replay(self, now_ns: int) -> list[Send]:
        """Return the frames that a lifter which has to catch up can take by now."""
        successor = self._successor
        if successor is not None and now_ns - successor.heard_ns > SILENT_NS:
            self._end(successor)
        sends = list[Send]()
        for replay in filter(None, (self._behind, self._successor)):
            for frame in replay.due(self._frames, now_ns):
                header = with_via(frame.parts[1], self._via_of(replay.epoch, frame))
                parts = [frame.parts[0], header, *frame.parts[2:]]
                sends.append(Send(replay.lifter, parts))
        if self._behind is not None and self._behind.index >= self._index:
            self._behind = None
        return sends

    def _end(self, successor: _Replay) -> None:
        """Make the successor the owner, which is still to be sent what it was not sent yet."""
        self.assign(successor.lifter, successor.epoch)
        self._behind = successor

    def _live(self, parts: list[bytes]) -> list[Send]:
        """Return where the newest frame goes at once."""
        owner, successor = self.owner, self._successor
        withheld = successor is not None and successor.withheld is not None
        if owner is None or self._behind is not None or withheld:
            return []
        return [Send(owner, [parts[0], with_via(parts[1], self._via), *parts[2:]])]

    def _was_sent(self, frame: _KeptFrame) -> bool:
        """Return whether a lifter has a frame, which answers it then or counts it as lost."""
        successor, behind = self._successor, self._behind
        if frame.seq <= self._answered or (successor is not None and frame.index < successor.index):
            return True
        if self.owner is None or (behind is not None and frame.index >= behind.index):
            return False
        withheld = None if successor is None else successor.withheld
        return withheld is None or frame.index < withheld

    def _kept(self, seq: int) -> _KeptFrame | None:
        return next((frame for frame in self._frames if frame.seq == seq), None)

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
        return via_to_bytes(Via(epoch, frame.ids, self._next_id, replayed=True))
