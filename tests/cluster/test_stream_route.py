"""One stream and its hand-overs, as tables of frames and answers: no socket, no sleep."""

from dataclasses import dataclass, field

import pytest

from langpose_rt.cluster.headers import Answer, FrameNumber, _Window
from langpose_rt.cluster.stream_route import (
    FRAMES_KEPT,
    IN_FLIGHT,
    OWNER_SILENT_NS,
    RETRY_NS,
    SILENT_NS,
    Send,
    StreamRoute,
)
from langpose_rt.protocol.keypoints import Via, keypoints_from_msgpack
from langpose_rt.protocol.poses import Source
from tests.fakes import keypoint_parts, person_px

PERSON = person_px((0, 0, 4))
RIG_EPOCH = 7


@dataclass
class Stage:
    """A route, two lifters that answer when they are told to, and what consumers hear."""

    window: int = 8
    now_ns: int = 0
    heard: list[int] = field(default_factory=list)
    waiting: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: {"a": [], "b": []})

    def __post_init__(self) -> None:
        self.route = StreamRoute(b"kp2d/rig0/cam0/", "rig0", 0)
        self.route.assign("a", 1)

    def send(self, sends: list[Send]) -> None:
        for lifter, parts in sends:
            message = keypoints_from_msgpack(parts)
            assert message.via is not None
            self.waiting[lifter].append((message.seq, message.via.epoch))

    def frame(self, seq: int, epoch: int = RIG_EPOCH) -> None:
        parts = keypoint_parts(PERSON, seq=seq, epoch=epoch, ids=[-1])
        self.send(self.route.frame(FrameNumber(epoch, seq), parts, self.now_ns))

    def answers(self, lifter: str, most: int = 1000) -> None:
        """Let a lifter answer its oldest frames, and those it is sent meanwhile."""
        for _ in range(most):
            if not self.waiting[lifter]:
                return
            seq, via = self.waiting[lifter].pop(0)
            answer = Answer(1, Source(RIG_EPOCH, seq, 0), [4], ["ok"], _Window(self.window), via)
            good, sends = self.route.answer(answer, self.now_ns)
            if good:
                self.heard.append(seq)
            self.send(sends)


def test_frames_go_to_the_owner_and_its_answers_are_passed_on_once() -> None:
    stage = Stage()
    for seq in range(3):
        stage.frame(seq)
    again = list(stage.waiting["a"])
    stage.answers("a")
    stage.waiting["a"] = again
    stage.answers("a")
    assert stage.heard == [0, 1, 2]


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_stream_is_handed_over_without_a_lost_or_a_second_answer(first: str) -> None:
    """Whoever of the two is faster."""
    stage, second = Stage(), "b" if first == "a" else "a"
    for seq in range(20):
        stage.frame(seq)
        stage.answers("a")
    stage.send(stage.route.hand_over("b", 2, 0))
    for seq in range(20, 40):
        stage.frame(seq)
        stage.answers(first)
        stage.answers(second)
    assert stage.heard == list(range(40))
    assert (stage.route.owner, stage.route.in_transit) == ("b", False)
    assert stage.waiting == {"a": [], "b": []}


def test_the_new_owner_is_sent_a_whole_window_first() -> None:
    stage = Stage(window=8)
    for seq in range(20):
        stage.frame(seq)
        stage.answers("a")
    stage.send(stage.route.hand_over("b", 2, 0))
    assert [seq for seq, _ in stage.waiting["b"]] == [12, 13, 14, 15]
    assert len(stage.waiting["b"]) == IN_FLIGHT
    stage.answers("b", 2)
    assert [seq for seq, _ in stage.waiting["b"]] == [14, 15, 16, 17]


def test_with_a_lookahead_answers_come_late_and_the_replay_goes_on() -> None:
    stage = Stage()
    for seq in range(20):
        stage.frame(seq)
        stage.answers("a")
    stage.send(stage.route.hand_over("b", 2, 0))
    stage.now_ns = 2 * RETRY_NS
    stage.send(stage.route.replay(stage.now_ns))
    assert len(stage.waiting["b"]) == 2 * IN_FLIGHT


def test_frames_that_a_dead_owner_left_are_answered_by_the_next() -> None:
    stage = Stage()
    for seq in range(20):
        stage.frame(seq)
        stage.answers("a")
    for seq in range(20, 30):
        stage.frame(seq)
    assert stage.route.lost("a")
    stage.waiting["a"].clear()
    stage.send(stage.route.hand_over("b", 2, 0))
    for seq in range(30, 34):
        stage.frame(seq)
        stage.answers("b")
    assert stage.heard == list(range(34))


def test_frames_that_piled_up_reach_the_next_owner_as_it_answers() -> None:
    """A lifter keeps few frames of a stream waiting and sheds the oldest."""
    stage = Stage()
    for seq in range(20):
        stage.frame(seq)
        stage.answers("a")
    for seq in range(20, 120):
        stage.frame(seq)
    assert stage.route.lost("a")
    stage.send(stage.route.hand_over("b", 2, 0))
    most = 0
    for seq in range(120, 240):
        stage.frame(seq)
        most = max(most, len(stage.waiting["b"]))
        stage.answers("b", 2)
    assert most <= IN_FLIGHT + 1
    assert stage.heard == list(range(240))
    assert not stage.route.replaying


def test_a_slow_successor_is_waited_for_and_costs_nothing() -> None:
    stage = Stage(window=30)
    for seq in range(40):
        stage.frame(seq)
        stage.answers("a")
    stage.send(stage.route.hand_over("b", 2, 0))
    for seq in range(40, 120):
        stage.now_ns += SILENT_NS // 10
        stage.frame(seq)
        stage.answers("a")
        del stage.waiting["b"][: -IN_FLIGHT - 2]  # shed there
        stage.answers("b", 2)
    assert stage.heard == list(range(120))
    assert stage.route.owner == "b"


def test_frames_that_only_a_dead_successor_was_sent_are_answered_by_the_owner() -> None:
    stage = Stage()
    for seq in range(20):
        stage.frame(seq)
        stage.answers("a")
    stage.frame(20)
    stage.send(stage.route.hand_over("b", 2, 0))
    stage.answers("b", 8)
    stage.waiting["b"].clear()
    for seq in range(21, 40):
        stage.frame(seq)
    assert [seq for seq, _ in stage.waiting["a"]] == [20], "b has caught up"
    stage.route.lost("b")
    stage.answers("a")
    stage.send(stage.route.replay(0))
    stage.answers("a")
    assert stage.heard == list(range(40))
    stage.frame(40)
    assert [seq for seq, _ in stage.waiting["a"]] == [40]


def test_a_lifter_that_wakes_up_answers_for_nothing_it_has_lost() -> None:
    stage = Stage()
    for seq in range(20):
        stage.frame(seq)
    assert stage.route.lost("a")
    stage.send(stage.route.hand_over("b", 2, 0))
    stage.answers("b")
    assert stage.heard == list(range(20))
    stage.frame(20)
    stage.waiting["a"].append((20, 1))
    stage.answers("a")
    assert stage.heard == list(range(20)), "its epoch is the old one"
    stage.answers("b")
    assert stage.heard == list(range(21))


def test_ids_given_before_are_told_with_the_replayed_frames() -> None:
    stage = Stage()
    for seq in range(10):
        stage.frame(seq)
        stage.answers("a")
    sends = stage.route.hand_over("b", 2, 0)
    vias = [keypoints_from_msgpack(parts).via for _, parts in sends]
    assert vias == [Via(2, (4,), 5, replayed=True)] * IN_FLIGHT


def test_a_successor_that_dies_leaves_the_stream_where_it_is() -> None:
    stage = Stage()
    stage.frame(0)
    stage.route.hand_over("b", 2, 0)
    assert not stage.route.lost("b") or stage.route.owner == "a"
    stage.frame(1)
    stage.answers("a")
    assert stage.heard == [0, 1]


def test_a_rig_that_restarts_during_a_hand_over_begins_at_the_new_owner() -> None:
    stage = Stage()
    for seq in range(5):
        stage.frame(seq)
    stage.route.hand_over("b", 2, 0)
    stage.frame(0, epoch=RIG_EPOCH + 1)
    assert (stage.route.owner, stage.route.in_transit) == ("b", False)
    assert stage.waiting["b"][-1] == (0, 2)


def test_a_frame_that_neither_answers_does_not_stop_the_hand_over() -> None:
    stage = Stage()
    for seq in range(20):
        stage.frame(seq)
        stage.answers("a")
    stage.send(stage.route.hand_over("b", 2, 0))
    stage.answers("b")
    stage.frame(20)
    for lifter in stage.waiting.values():
        lifter.clear()
    stage.now_ns = 2 * OWNER_SILENT_NS
    stage.frame(21)
    stage.answers("b")
    assert stage.heard[-1] == 21
    assert stage.route.owner == "b"


def test_a_stream_whose_frames_are_refused_is_handed_over_all_the_same() -> None:
    stage = Stage()
    stage.frame(0)
    stage.route.hand_over("b", 2, 0)
    stage.send(stage.route.replay(SILENT_NS + 1))
    assert (stage.route.owner, stage.route.in_transit) == ("b", False)


def test_memory_of_a_stream_is_bounded() -> None:
    stage = Stage()
    for seq in range(2 * FRAMES_KEPT):
        stage.frame(seq)
    assert len(stage.route._frames) == FRAMES_KEPT


def test_frames_that_no_lifter_was_sent_before_they_were_forgotten_are_counted() -> None:
    stage = Stage()
    for seq in range(2 * FRAMES_KEPT):
        stage.frame(seq)
    assert stage.route.overflowed == 0, "the owner has them all"
    stage.route.lost("a")
    for seq in range(2 * FRAMES_KEPT, 4 * FRAMES_KEPT):
        stage.frame(seq)
    assert stage.route.overflowed == 2 * FRAMES_KEPT, "what it left without an answer too"
    stage.send(stage.route.hand_over("b", 2, 0))
    sent = len(stage.waiting["b"])
    assert sent == IN_FLIGHT
    for seq in range(4 * FRAMES_KEPT, 5 * FRAMES_KEPT):
        stage.frame(seq)
    assert stage.route.overflowed == 3 * FRAMES_KEPT - sent
    stage.answers("b")
    assert stage.route.overflowed == 3 * FRAMES_KEPT - sent


def test_frames_that_were_answered_or_wait_at_a_successor_have_not_overflowed() -> None:
    stage = Stage()
    for seq in range(FRAMES_KEPT):
        stage.frame(seq)
        stage.answers("a")
    stage.send(stage.route.hand_over("b", 2, 0))
    for seq in range(FRAMES_KEPT, 3 * FRAMES_KEPT):
        stage.frame(seq)
        stage.answers("b")
        stage.answers("a")
    assert stage.heard == list(range(3 * FRAMES_KEPT))
    assert stage.route.overflowed == 0
