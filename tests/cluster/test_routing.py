"""The routing table over lifters that come, go and are drained; frames as bytes, no socket."""

from typing import Any

import msgspec
import pytest

from langpose_rt.cluster import routing
from langpose_rt.cluster.ownership import Groups, owner_of
from langpose_rt.cluster.routing import FORGET_NS, RoutingTable
from langpose_rt.cluster.stream_route import FRAMES_KEPT, Send, StreamRoute
from langpose_rt.errors import MessageError
from langpose_rt.protocol.poses import Source, encode_pose
from tests.fakes import MS, keypoint_parts, person_px
from tests.protocol.samples import forged, pose_sample

EPOCHS = {"a": 101, "b": 102, "c": 103}
_, _HEADER, PAYLOAD = keypoint_parts(person_px((0, 0, 4)), ids=[-1])
HEADER = msgspec.msgpack.decode(_HEADER)
RIGS = [f"rig{number}" for number in range(6)]


def frame_of(rig: str, seq: int) -> list[bytes]:
    """A frame of one person that the rig does not track."""
    header = msgspec.msgpack.encode(HEADER | {"seq": seq, "t": 20 * MS * seq})
    return [f"kp2d/{rig}/cam0/".encode(), header, PAYLOAD]


class Stage:
    """A table, lifters that answer at once, and the poses that are passed on."""

    def __init__(self, *lifters: str, groups: Groups | None = None) -> None:
        self.table = RoutingTable(groups)
        self.now_ns = 0
        self.dead: set[str] = set()
        self.waiting: list[Send] = []
        self.heard: list[tuple[str, int]] = []
        for lifter in lifters:
            self.deliver(self.table.add(lifter, EPOCHS[lifter], 0))

    def deliver(self, sends: list[Send]) -> None:
        """Let the lifters answer, each in the order in which it is sent frames."""
        self.waiting += [send for send in sends if send.lifter not in self.dead]
        while self.waiting:
            lifter, parts = self.waiting.pop(0)
            self.waiting += self.answer(lifter, parts)

    def answer(self, lifter: str, parts: list[bytes]) -> list[Send]:
        good, sends = self.table.answer(pose_for(parts, lifter), self.now_ns)
        if good:
            self.heard.append((parts[0].split(b"/")[1].decode(), header_of(parts)["seq"]))
        return sends

    def frames(self, first: int, last: int, rigs: list[str]) -> None:
        for seq in range(first, last):
            self.now_ns += 20 * MS
            self.deliver(self.table.tick(self.now_ns))
            for rig in rigs:
                self.deliver(self.table.frame(frame_of(rig, seq), self.now_ns))

    def owners(self) -> list[str | None]:
        return [self.table.owner(rig, "cam0") for rig in RIGS]


def header_of(parts: list[bytes]) -> dict[str, Any]:
    return dict(msgspec.msgpack.decode(parts[1]))


def pose_for(parts: list[bytes], lifter: str) -> list[bytes]:
    """A pose message as far as the front reads it."""
    frame = header_of(parts)
    header = {
        "epoch": EPOCHS[lifter],
        "src": {"epoch": frame["epoch"], "seq": frame["seq"], "t": frame["t"]},
        "ids": [0],
        "state": ["ok"],
        "win": {"frames": 16, "filled": [16]},
        "via": frame.get("via", {}).get("epoch"),
    }
    return [parts[0].replace(b"kp2d", b"pose3d"), msgspec.msgpack.encode(header)]


def test_every_stream_is_at_its_rendezvous_lifter() -> None:
    stage = Stage("a", "b", "c")
    stage.frames(0, 3, RIGS)
    assert stage.owners() == [owner_of(rig, "abc") for rig in RIGS]
    assert stage.heard == [(rig, seq) for seq in range(3) for rig in RIGS]


def test_a_lifter_that_comes_takes_its_share_and_no_frame_is_lost() -> None:
    stage = Stage("a", "b")
    stage.frames(0, 60, RIGS)
    stage.deliver(stage.table.add("c", EPOCHS["c"], stage.now_ns))
    stage.frames(60, 120, RIGS)
    assert stage.owners() == [owner_of(rig, "abc") for rig in RIGS]
    assert sorted(stage.heard) == sorted((rig, seq) for rig in RIGS for seq in range(120))
    assert stage.table.counts["hand_overs"] == stage.owners().count("c")


def test_a_lifter_that_is_drained_owns_nothing_in_the_end() -> None:
    stage = Stage("a", "b", "c")
    stage.frames(0, 60, RIGS)
    stage.table.drain("b")
    stage.frames(60, 100, RIGS)
    assert stage.table.owned_by("b") == []
    assert stage.owners() == [owner_of(rig, "ac") for rig in RIGS]
    assert sorted(stage.heard) == sorted((rig, seq) for rig in RIGS for seq in range(100))


def test_the_streams_of_a_dead_lifter_go_on_elsewhere_and_the_others_notice_nothing() -> None:
    stage = Stage("a", "b", "c")
    stage.frames(0, 50, RIGS)
    before = stage.owners()
    stage.dead.add("a")
    stage.frames(50, 60, RIGS)
    stage.deliver(stage.table.remove("a", stage.now_ns))
    stage.frames(60, 70, RIGS)
    assert sorted(stage.heard) == sorted((rig, seq) for rig in RIGS for seq in range(70))
    kept = [owner for owner in before if owner != "a"]
    assert [now for was, now in zip(before, stage.owners(), strict=True) if was != "a"] == kept


def test_an_answer_of_an_old_assignment_is_counted_and_not_passed_on() -> None:
    stage = Stage("a")
    (sent,) = stage.table.frame(frame_of("x", 0), 0)
    stage.deliver(stage.table.add("b", EPOCHS["b"], 0))
    stage.deliver(stage.table.remove("a", 0))
    assert stage.heard == [("x", 0)]
    stage.answer("a", sent.parts)
    assert stage.heard == [("x", 0)]
    assert stage.table.counts["old_epoch"] > 0


def test_frames_wait_for_the_first_lifter() -> None:
    stage = Stage()
    stage.frames(0, 5, ["rig0"])
    assert stage.table.counts["unrouted"] == 5
    stage.deliver(stage.table.add("a", EPOCHS["a"], stage.now_ns))
    stage.frames(5, 7, ["rig0"])
    assert stage.heard == [("rig0", seq) for seq in range(7)]
    assert stage.table.counts["overflowed"] == 0


def test_frames_that_wait_longer_than_they_are_kept_are_counted() -> None:
    stage = Stage()
    stage.frames(0, FRAMES_KEPT + 5, ["rig0", "rig1"])
    assert stage.table.counts["overflowed"] == 10


def test_the_rigs_of_a_volume_move_together() -> None:
    stage = Stage("a", "b", "c", groups=Groups([",".join(RIGS)]))
    stage.frames(0, 2, RIGS)
    assert len(set(stage.owners())) == 1


def test_streams_of_another_front_are_passed_on_once_and_taken_over_where_they_are() -> None:
    first, second = Stage("a", "b"), Stage("a", "b")
    parts = [frame_of("x", seq) for seq in range(3)]
    sent = [first.table.frame(frame, 0)[0] for frame in parts]
    for lifter, routed in (*sent, sent[1]):
        second.answer(lifter, routed)
    assert second.heard == [("x", 0), ("x", 1), ("x", 2)]
    (moved,) = second.table.frame(frame_of("x", 3), 10 * MS)
    before, after = (header_of(one.parts)["via"] for one in (sent[0], moved))
    assert (moved.lifter, after) == (sent[0].lifter, before), "its window goes on"


def test_fused_poses_are_passed_on_once_for_every_instant() -> None:
    table = RoutingTable()
    pose = forged(pose_sample(1), rig="studio", camera="fused", via=None)
    fused = [encode_pose(forged(pose, src=Source(1, 0, t_ns))) for t_ns in (10, 20, 20, 15, 30)]
    assert [table.answer(parts, 0)[0] for parts in fused] == [True, True, False, False, True]


def test_silent_streams_are_forgotten_and_their_number_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(routing, "MOST_STREAMS", 2)
    stage = Stage("a")
    stage.frames(0, 1, ["x", "y"])
    with pytest.raises(MessageError, match="start another front"):
        stage.frames(1, 2, ["z"])
    stage.now_ns += FORGET_NS + 100 * MS
    stage.frames(2, 3, ["z"])
    assert stage.table.owner("x", "cam0") is None


@pytest.mark.parametrize("topic", [b"", b"pose3d/a/b/", b"kp2d/a/", b"kp2d/a b/c/"])
def test_a_topic_that_is_none_is_refused(topic: bytes) -> None:
    with pytest.raises(MessageError):
        Stage("a").table.frame([topic, b"\x80", b""], 0)


def test_a_header_that_cannot_be_read_is_left_to_the_owner_to_refuse() -> None:
    parts = [b"kp2d/a/b/", b"\xc1", b""]
    assert Stage("a").table.frame(parts, 0) == [Send("a", parts)]


def test_other_threads_may_read_while_streams_come(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage("a", "b")
    stage.frames(0, 3, RIGS)
    target = StreamRoute.target.fget  # type: ignore[attr-defined]

    calls = iter(range(100))

    def target_of(route: StreamRoute) -> str | None:
        stage.table.frame(frame_of(f"new{next(calls)}", 0), stage.now_ns)
        found: str | None = target(route)
        return found

    monkeypatch.setattr(StreamRoute, "target", property(target_of))
    owned = stage.table.owned_by("a") + stage.table.owned_by("b")
    assert {f"kp2d/{rig}/cam0/".encode() for rig in RIGS} <= set(owned)


def test_a_late_answer_for_a_stream_that_was_forgotten_is_not_passed_on_a_second_time() -> None:
    stage = Stage("a")
    stage.frames(0, 5, ["rig0"])
    stage.now_ns += FORGET_NS + MS
    stage.table.tick(stage.now_ns)
    (late,) = stage.table.frame(frame_of("rig1", 4), stage.now_ns)
    parts = [b"kp2d/rig0/cam0/", *late.parts[1:]]
    heard = list(stage.heard)
    stage.answer("a", parts)
    assert stage.heard == heard
