"""The pipeline as tables of (time, message) -> replies: no socket, no sleep, no clock."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langpose_rt.camera import Camera
from langpose_rt.config import PRESETS
from langpose_rt.errors import ConfigError
from langpose_rt.formats.gallery_npz import Gallery
from langpose_rt.skeleton import REFERENCE_STATURE_M
from langpose_rt.streaming.active_model import warm_up
from langpose_rt.streaming.header import MAX_UINT
from langpose_rt.streaming.messages import (
    Event,
    Heartbeat,
    JointFlag,
    PoseMessage,
    RigCamera,
    SchemaMessage,
    decode_notice,
    decode_pose,
)
from langpose_rt.streaming.options import PipelineConfig
from langpose_rt.streaming.pipeline import Pipeline
from tests.fakes import LENS, MS, POSE, FakeBackend, keypoint_parts, person_px

NOBODY = np.zeros((17, 3), np.float32)


@dataclass
class Bench:
    """A pipeline over the fake backend, and everything it said."""

    backend: FakeBackend
    pipeline: Pipeline

    def feed(self, *people: np.ndarray, at_ms: float, **fields: Any) -> list[PoseMessage]:
        """One frame in, captured and received at that time, and one step."""
        self.receive(*people, at_ms=at_ms, **fields)
        return self.step(at_ms)

    def receive(self, *people: np.ndarray, at_ms: float, **fields: Any) -> bool:
        fields = {"t_ms": at_ms} | fields
        return self.pipeline.receive(keypoint_parts(*people, **fields), round(at_ms * MS))

    def step(self, at_ms: float) -> list[PoseMessage]:
        return [decode_pose(parts) for parts in self.pipeline.step(round(at_ms * MS))]

    def flush(self, at_ms: float) -> list[PoseMessage]:
        return [decode_pose(parts) for parts in self.pipeline.flush(round(at_ms * MS))]

    def tick(self, at_ms: float) -> list[Heartbeat | SchemaMessage | Event | PoseMessage]:
        replies = self.pipeline.tick(round(at_ms * MS))
        return [
            decode_pose(parts) if parts[0].startswith(b"pose3d/") else decode_notice(parts)
            for parts in replies
        ]

    def events(self, at_ms: float) -> list[Event]:
        return [notice for notice in self.tick(at_ms) if isinstance(notice, Event)]

    def counter(self, name: str) -> int:
        return self.pipeline.snapshot(0).counters[name]


def bench(
    slots: int = 8, frames: int = 16, cameras: dict[str, Camera] | None = None, **options: Any
) -> Bench:
    backend = FakeBackend(slots, frames)
    config = PipelineConfig(**{"smoothing": "off", "fov_deg": 60.0} | options)
    return Bench(backend, Pipeline(backend, config, cameras, epoch=11))


def seqs(messages: Sequence[PoseMessage]) -> list[int]:
    return [message.src.seq for message in messages]


# What comes out -----------------------------------------------------------------------------------


def test_a_person_comes_out_where_they_stand_in_metres() -> None:
    test = bench()
    for frame in range(30):
        root_m = (-1.0 + 0.05 * frame, 0.2, 3.0 + 0.05 * frame)
        (message,) = test.feed(person_px(root_m), seq=frame, at_ms=20 * frame)
        np.testing.assert_allclose(message.poses[0, :, :3], POSE, atol=1e-5)
        assert message.root is not None
        np.testing.assert_allclose(message.root[0], root_m, atol=2e-3)
    assert (message.rig, message.camera, message.frame) == ("rig0", "cam0", "camera")
    assert (message.src.epoch, message.src.seq, message.src.t) == (7, 29, 580 * MS)
    assert (message.epoch, message.seq, message.t_srv) == (11, 29, 580 * MS)
    assert message.win.filled == (16,)
    assert message.model.id == "fake"


def test_everybody_of_every_stream_is_lifted_in_one_call() -> None:
    test = bench()
    places = {"a": [(-1.0, 0, 4), (1.0, 0, 4)], "b": [(0.3, 0.1, 5.0)], "c": []}
    for frame in range(3):
        for camera, people in places.items():
            keypoints = [person_px(root) for root in people]
            test.receive(*keypoints, camera=camera, seq=frame, at_ms=20 * frame)
        messages = test.step(20 * frame)
    assert test.backend.encodes == [3, 3, 3]
    assert {message.camera for message in messages} == {"a", "b", "c"}
    for message in messages:
        assert len(message.ids) == len(places[message.camera])
        assert message.root is not None
        expected = np.array(places[message.camera], np.float32).reshape(-1, 3)
        np.testing.assert_allclose(message.root, expected, atol=2e-3)


def test_nobodys_pose_depends_on_who_shares_the_step() -> None:
    def run(others: int) -> list[np.ndarray]:
        test, found = bench(smoothing="low"), []
        for frame in range(20):
            for other in range(others):
                people = [person_px((0.5 * other, 0, 5)), person_px((0, 0.3, 6))]
                test.receive(*people, rig=f"rig{other + 1}", seq=frame, at_ms=20 * frame)
            walker = person_px((-1 + 0.02 * frame, 0, 4))
            messages = test.feed(walker, seq=frame, at_ms=20 * frame)
            own = next(message for message in messages if message.rig == "rig0")
            assert own.root is not None
            found.append(np.concatenate([own.poses[0, :, :3], own.root]))
        return found

    np.testing.assert_allclose(run(0), run(3), atol=1e-6)


def test_a_known_height_scales_pose_root_and_sigma() -> None:
    tall = REFERENCE_STATURE_M * 1.25
    (message,) = bench().feed(person_px((0.4, 0, 5), scale=1.25), at_ms=0, person_height_m=tall)
    assert message.scale_src == "given"
    np.testing.assert_allclose(message.poses[0, :, :3], POSE * 1.25, atol=1e-5)
    np.testing.assert_allclose(message.poses[0, :, 3], 0.02 * 1.25, rtol=1e-5)
    assert message.root is not None
    np.testing.assert_allclose(message.root[0], (0.4, 0, 5), atol=2e-3)
    (option,) = bench(person_height_m=tall).feed(person_px((0.4, 0, 5)), at_ms=0)
    assert option.scale_src == "height"
    np.testing.assert_allclose(option.poses, message.poses, atol=1e-6)
    (unknown,) = bench().feed(person_px((0.4, 0, 5)), at_ms=0)
    assert unknown.scale_src == "prior"


def test_world_axes_are_given_where_the_cameras_place_is_known() -> None:
    turn = np.array([[0.0, 0, 1, 4], [1, 0, 0, 5], [0, 1, 0, 6], [0, 0, 0, 1]])
    cameras = {"cam0": Camera(name="cam0", intrinsics=LENS, T_world_camera=turn)}
    test = bench(cameras=cameras, frame="world")
    (message,) = test.feed(person_px((0.4, 0, 5)), at_ms=0)
    assert message.frame == "world"
    np.testing.assert_allclose(message.poses[0, :, :3], POSE @ turn[:3, :3].T, atol=1e-5)
    assert message.root is not None
    np.testing.assert_allclose(message.root[0], (5 + 4, 0.4 + 5, 0 + 6), atol=2e-3)
    (other,) = test.feed(person_px((0.4, 0, 5)), camera="cam1", at_ms=0)
    assert other.frame == "camera"


def test_joints_say_whether_they_were_measured() -> None:
    test = bench()
    half = person_px((0, 0, 4))
    half[11:] = 0
    flags = [
        test.feed(person, seq=seq, at_ms=20 * seq)[0].flags[0]
        for seq, person in enumerate((half, NOBODY))
    ]
    assert set(flags[0][:11]) == {JointFlag.MEASURED}
    assert set(flags[0][11:]) == {JointFlag.IMPUTED}
    assert set(flags[1]) == {JointFlag.PREDICTED}


def test_states_follow_what_was_seen_of_a_person() -> None:
    test, states = bench(frames=64), []
    for frame in range(150):
        seen = person_px((0, 0, 4)) if not 40 <= frame < 110 else NOBODY
        (message,) = test.feed(seen, seq=frame, at_ms=20 * frame)
        states += message.state or ("gone",)
    changes = [(0, "warmup"), (25, "ok"), (40, "predicted"), (90, "gone"), (110, "warmup")]
    changes += [(135, "ok")]
    assert [(i, s) for i, s in enumerate(states) if i == 0 or s != states[i - 1]] == changes


def test_the_filter_smooths_what_is_published_and_never_what_the_model_sees() -> None:
    rng, rows = np.random.default_rng(0), {}
    for smoothing in ("off", "high"):
        rng, test, roots = np.random.default_rng(0), bench(smoothing=smoothing), []
        for frame in range(60):
            noisy = person_px((0, 0, 4))
            noisy[:, :2] += rng.normal(0, 2, (17, 2))
            (message,) = test.feed(noisy, seq=frame, at_ms=20 * frame)
            assert message.root is not None
            roots.append(message.root[0, 2])
        rows[smoothing] = np.array(test.backend.history[0][-1][1]), np.std(np.diff(roots))
    np.testing.assert_array_equal(rows["off"][0], rows["high"][0])
    assert rows["high"][1] < 0.5 * rows["off"][1]


# People -------------------------------------------------------------------------------------------


def test_people_join_and_leave_and_a_slot_is_free_after_the_hold() -> None:
    test = bench(slots=2, held_ms=0.0)
    one, two = person_px((-1, 0, 4)), person_px((1, 0, 4))
    assert test.feed(one, ids=[5], seq=0, at_ms=0)[0].ids.tolist() == [5]
    assert test.feed(one, two, ids=[5, 6], seq=1, at_ms=20)[0].ids.tolist() == [5, 6]
    for frame in range(2, 60):
        (message,) = test.feed(two, ids=[6], seq=frame, at_ms=20 * frame)
        assert message.ids.tolist() == [6]
    assert test.pipeline.snapshot(0).persons == 1
    assert [len(history) for history in test.backend.history] == [0, 59]
    (message,) = test.feed(one, two, ids=[5, 6], seq=60, at_ms=1200)
    assert message.state == ("warmup", "ok")


def test_somebody_who_is_away_for_a_moment_comes_back_with_their_history() -> None:
    test = bench(held_ms=0.0)
    person = person_px((0, 0, 4))
    for frame in range(30):
        test.feed(person, seq=frame, at_ms=20 * frame)
    for frame in range(30, 60):
        (message,) = test.feed(seq=frame, at_ms=20 * frame)
        assert len(message.ids) == 0
    (message,) = test.feed(person, seq=60, at_ms=1200)
    assert message.state == ("ok",)


def test_an_id_that_goes_on_without_a_joint_gives_the_slot_back_after_the_hold() -> None:
    test, person = bench(slots=1), person_px((0, 0, 4))
    test.feed(person, ids=[1], seq=0, at_ms=0)
    for frame in range(1, 51):
        (message,) = test.feed(NOBODY, ids=[1], seq=frame, at_ms=20 * frame)
        assert message.ids.tolist() == [1]
    (message,) = test.feed(NOBODY, person, ids=[1, 2], seq=51, at_ms=1020)
    assert message.ids.tolist() == [2]
    assert test.pipeline.snapshot(0).persons == 1


@pytest.mark.parametrize("given", [-1, 4])
def test_a_camera_slower_than_the_hold_has_the_same_people_in_every_frame(given: int) -> None:
    test, person = bench(hold_s=0.1), person_px((0, 0, 4))
    for frame in range(6):
        (message,) = test.feed(person, ids=[given], seq=frame, at_ms=250 * frame)
        assert message.ids.tolist() == [max(given, 0)]
        assert message.win.filled == (frame + 1,)
    test.feed(seq=6, at_ms=1500)
    (message,) = test.feed(person, ids=[given], seq=7, at_ms=1750)
    assert message.ids.tolist() == [given if given >= 0 else 1], "out of a frame is out of sight"
    assert message.win.filled == (1,)


def test_people_beyond_the_slots_are_left_out_counted_and_reported() -> None:
    test = bench(slots=2)
    crowd = [person_px((x, 0, 5)) for x in (-1.5, 0.0, 1.5)]
    (message,) = test.feed(*crowd, at_ms=0)
    assert message.ids.tolist() == [0, 1]
    assert test.counter("seats_refused") == 1
    (event,) = test.events(0)
    assert (event.kind, event.reason, event.count) == ("shed", "no_slot", 1)


def test_untracked_people_get_ids_that_last() -> None:
    test = bench()
    for frame in range(10):
        people = [person_px((-1 + 0.03 * frame, 0, 4)), person_px((1, 0, 4))][
            :: 1 - 2 * (frame % 2)
        ]
        (message,) = test.feed(*people, ids=[-1, -1], seq=frame, at_ms=20 * frame)
        assert message.root is not None
        assert sorted(message.ids.tolist()) == [0, 1]
        assert message.root[message.ids.tolist().index(1), 0] == pytest.approx(1, abs=0.01)


# Held ---------------------------------------------------------------------------------------------


def states_over_time(
    test: Bench, frames: Sequence[Sequence[int]], *, given: bool = True
) -> list[dict[int, str]]:
    """State by id of every frame; person n stands n metres to the right, 20 ms a frame."""
    told = []
    for seq, people in enumerate(frames):
        crowd = [person_px((float(person), 0, 5)) for person in people]
        ids = list(people) if given else [-1] * len(people)
        for message in test.feed(*crowd, ids=ids, seq=seq, at_ms=20 * seq):
            assert message.src.seq == len(told)
            told.append(dict(zip(message.ids.tolist(), message.state, strict=True)))
    return told


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize(
    ("missing", "held", "afterwards"),
    [(5, 5, {0: "ok"}), (10, 10, {0: "ok"}), (25, 10, {0: "ok"}), (51, 10, None)],
    ids=["lost for 0.1 s", "for as long as anybody is held", "for 0.5 s", "left"],
)
def test_a_lone_person_who_is_lost_is_held_for_a_while_and_comes_back_or_not(
    missing: int, held: int, afterwards: dict[int, str] | None, given: bool
) -> None:
    frames = [[0]] * 30 + [[]] * missing + [[0]]
    *told, last = states_over_time(bench(), frames, given=given)
    assert told[29] == {0: "ok"}
    assert told[30:] == [{0: "held"}] * held + [{}] * (missing - held)
    assert last == ({0 if given else 1: "warmup"} if afterwards is None else afterwards)


def test_who_is_held_has_no_joint_and_stays_where_they_were() -> None:
    test, person = bench(), person_px((0.4, 0, 5))
    for frame in range(30):
        (seen,) = test.feed(person, seq=frame, at_ms=20 * frame)
    (message,) = test.feed(seq=30, at_ms=600)
    assert set(message.flags[0]) == {JointFlag.PREDICTED}
    assert seen.root is not None
    assert message.root is not None
    np.testing.assert_array_equal(message.root, seen.root)
    np.testing.assert_allclose(message.poses[0, :, :3], POSE, atol=1e-5)
    np.testing.assert_allclose(message.poses[0, :, 3], 0.02)
    assert [time_ns for time_ns, _ in test.backend.history[0]][-1] == 600 * MS


def test_of_two_people_only_the_one_who_is_missing_is_held() -> None:
    told = states_over_time(bench(), [[0, 1]] * 30 + [[1]] * 12 + [[0, 1]])
    assert told[30:40] == [{1: "ok", 0: "held"}] * 10
    assert told[40:] == [{1: "ok"}] * 2 + [{0: "ok", 1: "ok"}]


@pytest.mark.parametrize("slots", [8, 2])
def test_nobody_is_held_beside_somebody_new_who_may_be_the_same_person(slots: int) -> None:
    told = states_over_time(bench(slots=slots), [[0, 1]] * 30 + [[1]] * 3 + [[1, 2]] * 3)
    assert [sorted(states) for states in told[30:33]] == [[0, 1]] * 3
    assert all(0 not in states for states in told[33:])


def test_somebody_who_flashed_up_is_held_no_longer_than_they_were_seen() -> None:
    told = states_over_time(bench(), [[1]] * 9 + [[0, 1]] + [[1]] * 3)
    assert all(0 not in states for states in told[10:])
    told = states_over_time(bench(), [[1]] * 9 + [[0, 1]] * 3 + [[1]] * 5)
    assert [states.get(0) for states in told[12:]] == ["held", "held", None, None, None]


def test_an_id_without_a_joint_is_held_by_when_a_joint_was_seen() -> None:
    test, states = bench(), []
    for frame in range(42):
        people = [person_px((0, 0, 4))] if frame < 30 else [NOBODY] if frame < 35 else []
        (message,) = test.feed(*people, ids=[3] * len(people), seq=frame, at_ms=20 * frame)
        states += message.state or ("gone",)
    assert states[30:] == ["predicted"] * 5 + ["held"] * 5 + ["gone"] * 2


@pytest.mark.parametrize(
    ("held_ms", "hold_s", "held"), [(0.0, 1.0, 0), (60.0, 1.0, 3), (2000.0, 0.1, 5)]
)
def test_how_long_somebody_is_held_is_an_option_and_never_longer_than_the_hold(
    held_ms: float, hold_s: float, held: int
) -> None:
    test = bench(held_ms=held_ms, hold_s=hold_s)
    told = states_over_time(test, [[0]] * 30 + [[]] * 12)
    assert told[30:] == [{0: "held"}] * held + [{}] * (12 - held)


def test_nobody_is_held_over_into_a_new_epoch() -> None:
    test, person = bench(), person_px((0, 0, 4))
    for frame in range(30):
        test.feed(person, seq=frame, at_ms=20 * frame)
    (message,) = test.feed(epoch=8, seq=0, at_ms=600)
    assert message.ids.tolist() == []


def test_frames_that_wait_for_their_lookahead_hold_people_too() -> None:
    test = bench(lookahead_ms=60.0)
    told = states_over_time(test, [[0]] * 30 + [[]] * 5 + [[0]] * 4)
    assert told[29:] == [{0: "ok"}] + [{0: "held"}] * 5 + [{0: "ok"}]


def test_an_answer_has_at_most_as_many_people_as_a_message() -> None:
    test, crowd = bench(slots=100), person_px((0, 0, 4))
    for frame in range(10):
        test.feed(*[crowd] * 40, ids=range(40), seq=2 * frame, at_ms=20 * frame)
        test.feed(*[crowd] * 40, ids=range(40, 80), seq=2 * frame + 1, at_ms=20 * frame + 10)
    (message,) = test.feed(*[crowd] * 40, ids=range(40), seq=20, at_ms=210)
    assert Counter(message.state) == {"warmup": 40, "held": 24}
    assert test.counter("unsendable") == 0


def test_somebody_the_model_failed_for_is_not_held() -> None:
    test, person = bench(), person_px((0, 0, 4))
    for frame in range(30):
        test.feed(person, seq=frame, at_ms=20 * frame)
    test.backend.broken = {0}
    for frame in (30, 31):
        (message,) = test.feed(seq=frame, at_ms=20 * frame)
        assert message.ids.tolist() == []
    assert test.counter("forgotten") == 1


# Order, epochs, clocks ----------------------------------------------------------------------------


def test_losses_are_counted_and_told_with_the_next_pose() -> None:
    test, person = bench(), person_px((0, 0, 4))
    test.feed(person, seq=0, at_ms=0)
    for seq in (0, 5, 3):
        test.receive(person, seq=seq, at_ms=20)
    (message,) = test.step(20)
    assert (message.drop.dup, message.drop.gap, message.drop.late) == (1, 4, 1)
    assert message.drop.shed == 0
    (message,) = test.feed(person, seq=6, at_ms=40)
    assert message.drop == type(message.drop)()
    assert [test.counter(name) for name in ("dup", "gap", "late")] == [1, 4, 1]


def test_a_new_epoch_forgets_everybody_and_goes_on_at_once() -> None:
    test, person = bench(), person_px((0, 0, 4))
    for frame in range(30):
        test.feed(person, seq=frame, at_ms=20 * frame)
    (message,) = test.feed(person, epoch=8, seq=0, at_ms=600)
    assert (message.src.epoch, message.state, message.win.filled) == (8, ("warmup",), (1,))
    assert message.seq == 30, "the server's own numbers go on"
    assert test.feed(person, epoch=7, seq=30, at_ms=620) == [], "never a pose of the old epoch"
    assert test.counter("restarts") == 1


@pytest.mark.parametrize("jump_ms", [3.6e6, -3.6e6, 4.0e9, -4.0e9])
def test_a_clock_step_is_reported_and_poses_go_on(jump_ms: float) -> None:
    test, person = bench(), person_px((0, 0, 4))
    for frame in range(10):
        t_ms = 20.0 * frame + (jump_ms if frame >= 5 else 0)
        (message,) = test.feed(person, seq=frame, at_ms=20 * frame, t_ms=t_ms)
        assert message.src.t == round(t_ms * MS)
        assert message.t_srv == 20 * frame * MS
    assert [time_ns for time_ns, _ in test.backend.history[0]] == [20 * i * MS for i in range(10)]
    assert test.counter("clock_steps") == 1
    (event,) = test.events(200)
    assert (event.kind, event.subject) == ("clock", "kp2d/rig0/cam0/")


@pytest.mark.parametrize("step_ms", [-100.0, -700.0, -990.0])
@pytest.mark.parametrize("wait", [0, 3])
def test_a_clock_set_back_by_less_than_a_second_freezes_nothing(step_ms: float, wait: int) -> None:
    test, person = bench(lookahead_ms=20.0 * wait), person_px((0, 0, 4))
    for frame in range(80):
        t_ms = 20.0 * frame + (step_ms if frame >= 10 else 0)
        messages = test.feed(person, seq=frame, at_ms=20 * frame, t_ms=t_ms)
        assert seqs(messages) == ([frame - wait] if frame >= wait else [])
        assert [message.t_srv for message in messages] == [20 * MS * s for s in seqs(messages)]
    assert [time_ns for time_ns, _ in test.backend.history[0]] == [20 * i * MS for i in range(80)]
    assert test.counter("clock_steps") == 1
    (event,) = test.events(1600)
    assert (event.kind, event.reason) == ("clock", "clock_step")


# Lookahead ----------------------------------------------------------------------------------------


def test_an_answer_waits_for_its_lookahead_and_keeps_its_own_frame() -> None:
    test, answered = bench(lookahead_ms=60.0), []
    for frame in range(20):
        walker = person_px((-1.0 + 0.1 * frame, 0, 4))
        messages = test.feed(walker, seq=frame, at_ms=20 * frame)
        assert seqs(messages) == ([frame - 3] if frame >= 3 else [])
        answered += messages
    for message in answered:
        assert message.win.lookahead_ns == 60 * MS
        assert message.src.t == message.src.seq * 20 * MS
        assert message.root is not None
        own = (-1.0 + 0.1 * message.src.seq, 0, 4)
        np.testing.assert_allclose(message.root[0], own, atol=2e-3)
        np.testing.assert_allclose(message.poses[0, :, :3], POSE, atol=1e-5)
    assert all(round(lag_s, 6) == 0.06 for _, _, lag_s, _ in test.backend.lifts)
    assert all(back == 3 for _, back, _, _ in test.backend.lifts)


def test_with_dropped_frames_every_frame_is_answered_once_and_in_order() -> None:
    test, answered, lags = bench(lookahead_ms=100.0), [], []
    times = [0, 20, 40, 60, 80, 100, 400, 420, 440, 460, 480, 500, 520]
    for seq, at_ms in enumerate(times):
        messages = test.feed(person_px((0.01 * seq, 0, 4)), seq=seq, at_ms=at_ms)
        newest_allowed = [s for s, t in enumerate(times) if t <= at_ms - 100]
        answered += seqs(messages)
        assert answered == newest_allowed, f"at {at_ms} ms"
        lags += [message.win.lookahead_ns // MS for message in messages]
    assert lags[:6] == [100, 380, 360, 340, 320, 300]


def test_losses_stay_with_the_frame_they_came_before() -> None:
    test, person = bench(lookahead_ms=40.0), person_px((0, 0, 4))
    messages = []
    for at_ms, seq in ((0, 0), (20, 4), (40, 5), (60, 6), (80, 7)):
        messages += test.feed(person, seq=seq, at_ms=at_ms)
    assert [(m.src.seq, m.drop.gap) for m in messages] == [(0, 0), (4, 3), (5, 0)]


def test_a_flush_answers_what_waits_with_the_lookahead_there_is() -> None:
    test = bench(lookahead_ms=60.0)
    for frame in range(5):
        test.feed(person_px((0.2 * frame, 0, 4)), seq=frame, at_ms=20 * frame)
    test.receive(person_px((1.0, 0, 4)), seq=5, at_ms=100)
    messages = test.flush(100)
    assert seqs(messages) == [2, 3, 4, 5]
    assert [message.win.lookahead_ns // MS for message in messages] == [60, 40, 20, 0]
    for message in messages:
        assert message.root is not None
        assert message.root[0, 0] == pytest.approx(0.2 * message.src.seq, abs=2e-3)
    assert test.flush(100) == []


def test_a_new_epoch_answers_the_old_one_first() -> None:
    test, person = bench(lookahead_ms=60.0), person_px((0, 0, 4))
    for frame in range(4):
        test.feed(person, seq=frame, at_ms=20 * frame)
    messages = test.feed(person, epoch=8, seq=0, at_ms=80)
    assert [(message.src.epoch, message.src.seq) for message in messages] == [
        (7, 1),
        (7, 2),
        (7, 3),
    ]
    assert [(m.src.epoch, m.src.seq) for m in test.flush(80)] == [(8, 0)]


def test_somebody_who_leaves_is_answered_for_before_they_are_forgotten() -> None:
    test = bench(lookahead_ms=200.0, hold_s=0.1, held_ms=0.0)
    one, two = person_px((-1, 0, 4)), person_px((1, 0, 4))
    ids = {}
    for frame in range(16):
        people = [one, two] if frame < 3 else [two]
        given = [1, 2] if frame < 3 else [2]
        for message in test.feed(*people, ids=given, seq=frame, at_ms=20 * frame):
            ids[message.src.seq] = message.ids.tolist()
    assert [ids[seq] for seq in range(5)] == [[1, 2], [1, 2], [1, 2], [2], [2]]


def test_a_stream_that_falls_silent_is_answered() -> None:
    test, person = bench(lookahead_ms=60.0), person_px((0, 0, 4))
    for frame in range(4):
        test.feed(person, seq=frame, at_ms=20 * frame)
    assert not any(isinstance(reply, PoseMessage) for reply in test.tick(1000))
    poses = [reply for reply in test.tick(1100) if isinstance(reply, PoseMessage)]
    assert seqs(poses) == [1, 2, 3]


def test_a_lookahead_longer_than_the_window_is_cut_to_it() -> None:
    test, answered = bench(frames=4, lookahead_ms=1000.0), []
    for frame in range(10):
        answered += seqs(test.feed(person_px((0, 0, 4)), seq=frame, at_ms=20 * frame))
    assert answered == list(range(7)), "three frames back is as far as a window of four reaches"


# Overload -----------------------------------------------------------------------------------------


def serve_for(
    test: Bench, rigs: int, seconds: float, step_ms: float
) -> list[tuple[float, PoseMessage]]:
    """Rigs at 60 Hz into a server whose every step takes so long: (time, message) it said."""
    period_ms, person = 1000 / 60, person_px((0, 0, 4))
    arrivals = sorted(
        (period_ms * (frame + rig / rigs), rig, frame)
        for rig in range(rigs)
        for frame in range(round(60 * seconds))
    )
    said, now_ms, following = [], 0.0, 0
    while following < len(arrivals):
        while following < len(arrivals) and arrivals[following][0] <= now_ms:
            at_ms, rig, frame = arrivals[following]
            test.receive(person, rig=f"rig{rig}", seq=frame, at_ms=at_ms)
            following += 1
        messages = test.step(now_ms)
        now_ms = now_ms + step_ms if messages else now_ms + 1
        said += [(now_ms, message) for message in messages]
    return said


def test_overload_is_shed_evenly_and_delivered_frames_stay_fresh() -> None:
    test = bench()
    said = serve_for(test, rigs=5, seconds=6, step_ms=2000 / 60)
    shed = Counter({f"rig{rig}": 0 for rig in range(5)})
    for _, message in said:
        shed[message.rig] += message.drop.shed
    assert 0.45 < test.counter("shed") / (5 * 6 * 60) < 0.55
    assert max(shed.values()) / min(shed.values()) <= 1.2
    late_ms = [now_ms - message.src.t / MS for now_ms, message in said]
    assert max(late_ms) <= 50 + 2 * 2000 / 60


def test_within_capacity_nothing_is_shed() -> None:
    test = bench()
    serve_for(test, rigs=5, seconds=2, step_ms=12)
    assert test.counter("shed") == 0
    assert test.counter("frames") >= 5 * 2 * 60 - 5


# Faults -------------------------------------------------------------------------------------------


def test_impossible_numbers_of_the_model_cost_one_person_one_frame() -> None:
    test = bench(smoothing="low")
    people = [person_px((-1, 0, 4)), person_px((1, 0, 4))]
    test.feed(*people, seq=0, at_ms=0)
    test.backend.broken = {0}
    (message,) = test.feed(*people, seq=1, at_ms=20)
    assert message.ids.tolist() == [1]
    test.backend.broken = set()
    (message,) = test.feed(*people, seq=2, at_ms=40)
    assert message.ids.tolist() == [0, 1]
    assert message.win.filled == (1, 3)
    np.testing.assert_allclose(message.poses[..., :3], [POSE, POSE], atol=1e-5)
    assert test.counter("forgotten") == 1
    assert [event.reason for event in test.events(40)] == ["impossible_numbers"]


def test_impossible_features_are_forgotten_before_they_are_answered_for() -> None:
    test = bench()
    test.backend.broken_embeddings = {0}
    (message,) = test.feed(person_px((0, 0, 4)), at_ms=0)
    assert len(message.ids) == 0
    assert test.backend.history[0] == []


def test_a_forgotten_person_is_left_out_of_frames_that_still_wait() -> None:
    test = bench(lookahead_ms=40.0)
    people = [person_px((-1, 0, 4)), person_px((1, 0, 4))]
    for frame in range(2):
        test.feed(*people, seq=frame, at_ms=20 * frame)
    test.backend.broken_embeddings = {1}
    (message,) = test.feed(*people, seq=2, at_ms=40)
    assert (message.src.seq, message.ids.tolist()) == (0, [0])


def test_a_failing_backend_degrades_the_server_and_it_recovers_by_itself() -> None:
    test, person = bench(), person_px((0, 0, 4))
    test.tick(0)
    test.feed(person, seq=0, at_ms=0)
    assert test.pipeline.state == "ready"
    test.backend.failing = True
    for frame in range(1, 5):
        assert test.feed(person, seq=frame, at_ms=20 * frame) == []
    assert test.pipeline.state == "degraded"
    assert test.counter("backend_errors") == 4
    (event,) = test.events(80)
    assert (event.reason, event.count) == ("backend_error", 4)
    test.backend.failing = False
    (message,) = test.feed(person, seq=5, at_ms=100)
    assert test.pipeline.state == "ready"
    assert message.state == ("warmup",)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b""],
        [b"kp2d/rig0/cam0/"],
        [b"kp2d/rig0/cam0/", b"\xc1", b""],
        [b"kp2d/rig0/cam0/", b"{}", b""],
        [b"kp2d/rig0/", b"\x80", b""],
        [b"\xff" * 300, b"\x80", b""],
        [b"kp2d/rig0/cam0/", b"\x80", b"x" * (1 << 21)],
        [b"x"] * 10_000,
    ],
)
def test_a_bad_message_is_counted_and_reported_and_costs_nobody_else_anything(
    parts: list[bytes],
) -> None:
    test, person = bench(), person_px((0, 0, 4))
    test.feed(person, seq=0, at_ms=0)
    assert not test.pipeline.receive(parts, 10 * MS)
    (message,) = test.feed(person, seq=1, at_ms=20)
    assert message.drop == type(message.drop)()
    assert test.counter("rejected") == 1
    assert test.counter("messages") == 3
    (event,) = test.events(20)
    assert event.kind == "reject"
    assert {event.reason: 1} == test.pipeline.snapshot(0).rejected


def test_streams_beyond_the_limit_are_refused_and_welcome_once_another_is_gone() -> None:
    test, person = bench(max_streams=2, idle_s=5.0), person_px((0, 0, 4))
    for rig in ("a", "b", "c"):
        test.feed(person, rig=rig, at_ms=0)
    assert test.pipeline.snapshot(0).rejected == {"too_many_streams": 1}
    test.feed(person, rig="b", seq=1, at_ms=5000)
    test.tick(5001)
    assert [stream.rig for stream in test.pipeline.snapshot(0).streams] == ["b"]
    assert test.pipeline.snapshot(0).persons == 1
    assert len(test.feed(person, rig="c", seq=2, at_ms=5020)) == 1


def test_a_stream_that_comes_back_goes_on_with_higher_numbers() -> None:
    test, person = bench(idle_s=1.0), person_px((0, 0, 4))
    last = [test.feed(person, seq=frame, at_ms=20 * frame)[0].seq for frame in range(5)][-1]
    test.tick(5000)
    assert test.pipeline.snapshot(0).streams == ()
    (message,) = test.feed(person, seq=5, at_ms=5000)
    assert message.seq > last
    assert test.counter("gap") == 0


numbers = st.sampled_from([0.0, 1.0, -5.0, 640.0, 1e4, 1e30, np.nan, np.inf, -np.inf, 1e-40])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.tuples(numbers, numbers, numbers), min_size=17, max_size=17), max_size=12)
)
def test_every_published_number_is_finite_whatever_the_joints_are(
    people: list[list[tuple[float, float, float]]],
) -> None:
    test = bench(smoothing="low")
    for frame, joints in enumerate(people):
        message = np.array(joints, np.float32)
        (reply,) = test.feed(message, person_px((0, 0, 4)), seq=frame, at_ms=20 * frame)
        assert np.isfinite(reply.poses).all()
        assert reply.root is not None
        assert np.isfinite(reply.root).all()
    (reply,) = test.feed(person_px((0, 0, 4)), ids=[1], seq=99, at_ms=2000)
    np.testing.assert_allclose(reply.poses[0, :, :3], POSE, atol=1e-5)


def test_counters_beyond_the_wire_cost_neither_a_pose_nor_a_heartbeat() -> None:
    test, person = bench(), person_px((0, 0, 4))
    for epoch in (7, 8):
        test.receive(person, epoch=epoch, seq=0, at_ms=0)
        test.receive(person, epoch=epoch, seq=MAX_UINT, at_ms=0)
    messages = [message for _ in range(4) for message in test.step(0)]
    assert seqs(messages) == [0, MAX_UINT] * 2
    assert messages[0].drop.gap == MAX_UINT
    (beat,) = (reply for reply in test.tick(0) if isinstance(reply, Heartbeat))
    assert beat.counters["gap"] == MAX_UINT
    assert test.counter("gap") == 2 * (MAX_UINT - 1)


@pytest.mark.parametrize("name", ["heartbeat", "schemas", "events"])
def test_what_the_server_says_of_itself_costs_no_pose(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    test, person = bench(lookahead_ms=60.0), person_px((0, 0, 4))
    for frame in range(4):
        test.feed(person, seq=frame, at_ms=20 * frame)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(test.pipeline._bulletin, name, fail)
    poses = [reply for reply in test.tick(1100) if isinstance(reply, PoseMessage)]
    assert seqs(poses) == [1, 2, 3]
    assert test.counter("internal_errors") == 1


# Another model ------------------------------------------------------------------------------------


def test_another_model_takes_over_between_two_frames_and_people_stay_who_they_are() -> None:
    test, person = bench(lookahead_ms=40.0), person_px((0, 0, 4))
    test.tick(0)
    said = []
    for frame in range(30):
        said += test.feed(person, seq=frame, ids=[4], at_ms=20 * frame)
    other = FakeBackend()
    other.manifest = msgspec.structs.replace(other.manifest, name="other")
    rehearsal = test.pipeline.model.rehearse(other)
    for frame in range(30, 60):
        rehearsal.work()
        now_ns = 20 * frame * MS
        said += [decode_pose(parts) for parts in test.pipeline.change_model(now_ns)]
        said += test.feed(person, seq=frame, ids=[4], at_ms=20 * frame)
    said += test.flush(1200)
    assert seqs(said) == list(range(60)), "each frame once, in order"
    models = [message.model.id for message in said]
    assert sum(one != other for one, other in itertools.pairwise(models)) == 1
    assert (models[0], models[-1]) == ("fake", "other")
    assert {tuple(message.ids.tolist()) for message in said} == {(4,)}
    assert {message.state for message in said[25:]} == {("ok",)}, "nobody warms up again"
    assert {message.win.filled for message in said[25:]} == {(16,)}
    for message in said:
        np.testing.assert_allclose(message.poses[0, :, :3], POSE, atol=1e-5)
    assert test.counter("reloads") == 1
    (event,) = test.events(1220)
    assert (event.kind, event.reason) == ("model", "changed")
    assert "other" in event.detail
    assert test.pipeline.snapshot(0).model.id == "other"


def test_who_was_away_while_the_new_model_rehearsed_begins_anew_and_it_is_said() -> None:
    test, person = bench(hold_s=60.0), person_px((0, 0, 4))
    for frame in range(30):
        test.feed(person, seq=frame, ids=[4], at_ms=20 * frame)
    test.pipeline.model.rehearse(FakeBackend())
    for at_ms in (600, 5000):
        assert test.pipeline.change_model(at_ms * MS) == []
    assert test.counter("reloads") == 1
    (message,) = test.feed(person, seq=30, ids=[4], at_ms=5020)
    assert (message.state, message.win.filled) == (("warmup",), (1,))


def test_a_failed_model_is_replaced_at_once_and_the_server_is_ready_again() -> None:
    test, person = bench(), person_px((0, 0, 4))
    test.tick(0)
    test.feed(person, seq=0, at_ms=0)
    test.backend.failing = True
    for frame in range(1, 4):
        assert test.feed(person, seq=frame, at_ms=20 * frame) == []
    test.pipeline.model.rehearse(FakeBackend())
    assert test.pipeline.change_model(80 * MS) == []
    assert test.pipeline.state == "ready"
    (message,) = test.feed(person, seq=4, at_ms=80)
    assert message.ids.tolist() == [0]


# What it says of itself ---------------------------------------------------------------------------


def test_it_says_heartbeats_schemas_and_the_end() -> None:
    test, person = bench(server="studio"), person_px((0, 0, 4))
    assert test.pipeline.state == "starting"
    test.tick(0)
    for frame in range(50):
        test.feed(person, seq=frame, at_ms=20 * frame)
    (beat,) = (reply for reply in test.tick(1000) if isinstance(reply, Heartbeat))
    assert (beat.server, beat.state, beat.streams, beat.persons) == ("studio", "ready", 1, 1)
    assert beat.fps == pytest.approx(50)
    assert beat.counters["frames"] == 50
    assert beat.model is not None
    assert beat.model.id == "fake"
    names = [reply.name for reply in test.tick(5000) if isinstance(reply, SchemaMessage)]
    assert "h36m17" in names
    (goodbye,) = (decode_notice(parts) for parts in test.pipeline.drain(6000 * MS))
    assert isinstance(goodbye, Event)
    assert goodbye.kind == "drain"
    assert test.pipeline.state == "draining"


def test_an_assumed_lens_is_said_once_per_stream_and_in_the_snapshot() -> None:
    test, person = bench(fov_deg=None), person_px((0, 0, 4))
    said = []
    for frame in range(100):
        test.feed(person, seq=frame, at_ms=100 * frame)
        test.feed(person, camera="cam1", cam=RigCamera(k=(900.0, 900.0, 640.0, 360.0)), seq=frame,
                  at_ms=100 * frame)  # fmt: skip
        said += test.events(100 * frame)
    (event,) = said
    assert (event.kind, event.reason) == ("camera", "assumed_intrinsics")
    assert (event.subject, event.count) == ("kp2d/rig0/cam0/", 1)
    assert re.search(r"60 degrees.*send k.*--cameras.*--fov-deg", event.detail)
    streams = test.pipeline.snapshot(0).streams
    assert [(s.camera, s.assumed_intrinsics) for s in streams] == [("cam0", True), ("cam1", False)]
    test.feed(person, cam=RigCamera(k=(900.0, 900.0, 640.0, 360.0)), seq=100, at_ms=10_000)
    assert not any(stream.assumed_intrinsics for stream in test.pipeline.snapshot(0).streams)


def test_stages_are_timed_by_the_clock_it_is_given() -> None:
    ticks = iter(range(0, 10**9, MS))
    pipeline = Pipeline(FakeBackend(), PipelineConfig(), epoch=1, clock=lambda: next(ticks))
    pipeline.receive(keypoint_parts(person_px((0, 0, 4))), 0)
    (parts,) = pipeline.step(0)
    lat = decode_pose(parts).lat
    assert (lat.rx, lat.tx) == (0, MS)
    assert all(stage > 0 for stage in (lat.win, lat.lift, lat.post))
    assert pipeline.snapshot(0).p50_ms > 0


def test_json_is_served_like_anything_else() -> None:
    keypoints = person_px((0, 0, 4)).ravel().tolist()
    body = {"people": [{"pose_keypoints_2d": keypoints}], "wh": [1280, 720], "fmt": "h36m17"}
    test = bench()
    assert test.pipeline.receive([b"kp2d/web/cam0/", msgspec.json.encode(body)], 0)
    (message,) = test.step(0)
    np.testing.assert_allclose(message.poses[0, :, :3], POSE, atol=1e-5)


def test_a_model_that_cannot_be_served_live_is_refused_before_anything_starts() -> None:
    backend = FakeBackend()
    config = PRESETS["lite"].to_dict()
    backend.manifest = msgspec.structs.replace(backend.manifest, config=config)
    with pytest.raises(ConfigError, match="serve a live model"):
        Pipeline(backend)


def test_warming_up_leaves_no_trace() -> None:
    test = bench()
    warm_up(test.pipeline.model)
    assert test.backend.history[0] == []
    (message,) = test.feed(person_px((0, 0, 4)), at_ms=0)
    assert message.win.filled == (1,)


def test_with_a_gallery_everybody_is_doing_what_is_nearest() -> None:
    backend = FakeBackend()
    config = replace(backend.manifest.model_config, embedding=4).to_dict()
    card = {"text_sha256": "abc"}
    backend.manifest = msgspec.structs.replace(backend.manifest, card=card, config=config)
    backend.embedding = np.array([0, 3, 4, 0], np.float32)
    axes = np.eye(4, dtype=np.float32)
    gallery = Gallery(labels=("bow", "run", "walk", "wave"), embeddings=axes, text_sha256="abc")
    found = Bench(backend, Pipeline(backend, gallery=gallery))
    (message,) = found.feed(person_px((0, 0, 4)), person_px((1, 0, 4)), at_ms=0)
    assert message.actions is not None
    assert [[label for label, _ in best] for best in message.actions] == [
        ["walk", "run", "bow"], ["walk", "run", "bow"],
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="not aligned with text"):
        found.pipeline.check_model(FakeBackend().manifest)
    backend = FakeBackend()
    (message,) = Bench(backend, Pipeline(backend)).feed(person_px((0, 0, 4)), at_ms=0)
    assert message.actions is None
