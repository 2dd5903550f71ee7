"""Order, epochs and the longest wait; counters are exact whatever arrives."""

from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from langpose_rt.pipeline.camera_lookup import CameraLookup
from langpose_rt.pipeline.frame_queue import MAX_WAITING, SILENCE_NS, Frame, FrameQueue
from langpose_rt.protocol.keypoints import ClockSync, Via
from langpose_rt.protocol.messages import Drops
from tests.fakes import MS, keypoint_message

BACKLOG_NS = 50 * MS


def frame_queue() -> FrameQueue:
    return FrameQueue(CameraLookup({}), BACKLOG_NS)


def push(box: FrameQueue, seq: int, *, epoch: int = 1, at_ms: float = 0.0) -> Frame | None:
    return box.push(keypoint_message(seq=seq, epoch=epoch, t_ms=at_ms), round(at_ms * MS))


def seqs(box: FrameQueue, at_ms: float = 0.0) -> list[int]:
    """Everything that is still worth lifting at that time, in order."""
    found = []
    while (frame := box.take(round(at_ms * MS))) is not None:
        found.append(frame.message.seq)
    return found


def test_frames_come_out_once_and_in_order_and_losses_are_counted() -> None:
    box = frame_queue()
    accepted = [push(box, seq) is not None for seq in (5, 6, 6, 9, 7, 5, 10)]
    assert accepted == [True, True, False, True, False, False, True]
    assert seqs(box) == [5, 6, 9, 10]
    assert box.totals == {"accepted": 4, "late": 2, "dup": 1, "gap": 2, "shed": 0, "failed": 0}


def test_a_frame_whose_rig_knows_the_servers_clock_has_the_time_the_rig_says() -> None:
    box = frame_queue()
    told = keypoint_message(seq=0, t_ms=0, sync=ClockSync(3 * MS, 1000))
    for message in (told, keypoint_message(seq=1, t_ms=20)):
        box.push(message, round(10 * MS) + message.t_ns)
    first, second = box.take(30 * MS), box.take(30 * MS)
    assert first is not None
    assert second is not None
    assert (first.stamp.t_srv_ns, first.stamp.t_unc_ns) == (3 * MS, 1000)
    assert (second.stamp.t_srv_ns, second.stamp.time_ns) == (30 * MS, 20 * MS)


def test_losses_are_told_once_with_the_next_frame() -> None:
    box = frame_queue()
    for seq in (0, 0, 3):
        push(box, seq)
    first, second = box.take(0), box.take(0)
    assert first is not None
    assert second is not None
    assert (first.drop.dup, first.drop.gap) == (1, 2)
    assert second.drop == type(second.drop)()
    push(box, 1)
    push(box, 4)
    third = box.take(0)
    assert third is not None
    assert (third.drop.late, third.drop.gap, third.drop.dup) == (1, 0, 0)


def test_a_new_epoch_starts_over_with_any_number_and_its_own_clock() -> None:
    box = frame_queue()
    push(box, 100, epoch=1, at_ms=0)
    push(box, 3, epoch=2, at_ms=20)
    push(box, 4, epoch=2, at_ms=40)
    frames = [box.take(40 * MS) for _ in range(3)]
    assert [frame and frame.generation for frame in frames] == [0, 1, 1]
    assert [frame and frame.stamp.time_ns for frame in frames] == [0, 0, 20 * MS]
    assert box.totals["gap"] == 0


def test_what_is_left_of_an_old_epoch_is_late() -> None:
    box = frame_queue()
    push(box, 7, epoch=1, at_ms=0)
    push(box, 0, epoch=2, at_ms=10)
    assert push(box, 8, epoch=1, at_ms=20) is None
    assert box.totals["late"] == 1
    assert push(box, 1, epoch=2, at_ms=30) is not None


def test_an_old_epoch_is_believed_once_the_new_one_is_silent() -> None:
    box = frame_queue()
    push(box, 7, epoch=1)
    push(box, 0, epoch=2)
    assert push(box, 8, epoch=1, at_ms=SILENCE_NS / MS) is not None
    assert box.generation == 2


def test_the_oldest_waiting_frames_are_skipped_after_fifty_milliseconds() -> None:
    box = frame_queue()
    for seq in range(10):
        push(box, seq, at_ms=10 * seq)
    frame = box.take(90 * MS)
    assert frame is not None
    assert frame.message.seq == 4  # it has waited for 50 ms, the one before it for 60
    assert frame.drop.shed == 4


def test_the_newest_frame_is_never_skipped_however_long_it_waited() -> None:
    box = frame_queue()
    push(box, 0)
    push(box, 1)
    assert seqs(box, at_ms=10_000) == [1]


def test_a_burst_does_not_wait_and_so_is_not_skipped_but_memory_is_bounded() -> None:
    box = frame_queue()
    for seq in range(20):
        push(box, seq)
    assert seqs(box) == list(range(20))
    for seq in range(20, 1000):
        push(box, seq)
        assert len(box) <= MAX_WAITING
    assert box.totals["shed"] == 980 - MAX_WAITING
    assert seqs(box)[-1] == 999


@dataclass
class Model:
    """The rules of the protocol in words: the newest number of the epoch decides."""

    epoch: int | None = None
    newest: int = -1
    old: list[int] = field(default_factory=list)
    heard_ns: int = 0
    late: int = 0
    dup: int = 0
    gap: int = 0
    accepted: list[tuple[int, int]] = field(default_factory=list)

    def push(self, epoch: int, seq: int, now_ns: int) -> None:
        if epoch != self.epoch:
            if epoch in self.old[-8:] and now_ns - self.heard_ns < SILENCE_NS:
                self.late += 1
                return
            if self.epoch is not None:
                self.old.append(self.epoch)
            self.epoch = epoch
        elif seq <= self.newest:
            self.dup += seq == self.newest
            self.late += seq < self.newest
            return
        else:
            self.gap += seq - self.newest - 1
        self.newest, self.heard_ns = seq, now_ns
        self.accepted.append((epoch, seq))


class InboxMachine(RuleBasedStateMachine):
    """Any order of frames, epochs, pauses and reads gives the counters the rules give."""

    def __init__(self) -> None:
        super().__init__()
        self.box, self.model, self.now_ns = frame_queue(), Model(), 0
        self.taken: list[tuple[int, int]] = []
        self.told = dict.fromkeys(Drops.__struct_fields__, 0)
        self.failed = 0

    @rule(epoch=st.integers(1, 3), seq=st.integers(0, 12))
    def arrive(self, epoch: int, seq: int) -> None:
        self.box.push(keypoint_message(seq=seq, epoch=epoch), self.now_ns)
        self.model.push(epoch, seq, self.now_ns)

    @rule(ms=st.sampled_from([1, 20, 60, 2500]))
    def pause(self, ms: int) -> None:
        self.now_ns += ms * MS

    @rule()
    def lift(self) -> None:
        frame = self.box.take(self.now_ns)
        if frame is not None:
            self.taken.append((frame.message.epoch, frame.message.seq))
            for name in self.told:
                self.told[name] += getattr(frame.drop, name)

    @rule()
    def fail(self) -> None:
        frame = self.box.take(self.now_ns)
        if frame is not None:
            self.failed += 1
            self.box.fail(frame)

    @invariant()
    def counters_are_exact(self) -> None:
        totals = self.box.totals
        model = self.model
        assert (totals["late"], totals["dup"], totals["gap"]) == (model.late, model.dup, model.gap)
        assert totals["accepted"] == len(model.accepted)
        assert totals["failed"] == self.failed
        lost = totals["shed"] + totals["failed"]
        assert len(self.taken) + lost + len(self.box) == totals["accepted"]
        assert all(self.told[name] <= totals[name] for name in self.told)
        remaining = iter(model.accepted)
        assert all(frame in remaining for frame in self.taken), "out of order"


TestInboxMachine = InboxMachine.TestCase


def test_a_stream_that_comes_back_from_another_server_starts_again_and_lost_nothing() -> None:
    box = frame_queue()
    for seq, via in ((0, 10), (1, 10), (400, 30), (2, 10), (401, 30)):
        box.push(keypoint_message(seq=seq, t_ms=seq, via=Via(via)), seq * MS)
    frames = [box.take(401 * MS) for _ in range(5)]
    taken = [(frame.message.seq, frame.generation) for frame in frames if frame is not None]
    assert taken[-2:] == [(400, 1), (401, 1)]
    assert (box.totals["gap"], box.totals["late"]) == (0, 1)
