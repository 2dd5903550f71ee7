"""Overload, faults and model swaps lose only the frames that are counted."""

import itertools
from collections import Counter
from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langpose_rt.errors import BackendError
from langpose_rt.protocol.header import MAX_UINT
from langpose_rt.protocol.messages import (
    Heartbeat,
    PoseMessage,
    decode_pose,
)
from tests.fakes import MS, POSE, FakeBackend, person_px
from tests.pipeline.bench import Bench, bench, seqs

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
    test = bench(max_wait_ms=50.0)
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


@pytest.mark.parametrize("lookahead_ms", [0.0, 50.0])
def test_frames_in_are_frames_answered_and_every_kind_of_loss(lookahead_ms: float) -> None:
    test = bench(lookahead_ms=lookahead_ms, max_wait_ms=50.0)
    person, random = person_px((0, 0, 4)), Random(3)
    rigs, said = ("rig0", "rig1"), []
    for frame in range(200):
        test.backend.failing = random.random() < 0.2
        for rig in rigs:
            for _ in range(random.choice((0, 1, 1, 1, 2))):  # gaps, frames, duplicates
                test.receive(person, rig=rig, seq=frame, at_ms=20 * frame)
        if random.random() < 0.8:
            said += test.step(20 * frame)
    test.backend.failing = False
    for frame in (200, 201, 202):  # two still wait; the third says what the second lost
        for rig in rigs:
            test.receive(person, rig=rig, seq=frame, at_ms=20 * frame)
        said += test.flush(20 * frame)
    for stream in test.pipeline.snapshot(0).streams:
        own, totals = [m for m in said if m.rig == stream.rig], stream.totals
        assert all(totals[name] for name in ("accepted", "dup", "gap", "shed", "failed"))
        assert totals["accepted"] == len(own) + totals["shed"] + totals["failed"]
        for how in ("late", "dup", "gap", "shed", "failed"):
            assert sum(getattr(m.drop, how) for m in own) == totals[how], how
    streams = test.pipeline.snapshot(0).streams
    assert test.counter("failed") == sum(stream.totals["failed"] for stream in streams)


def test_frames_that_fail_while_their_stream_is_forgotten_are_counted() -> None:
    test, person = bench(lookahead_ms=60.0, track_timeout_s=1.0, idle_s=1.0), person_px((0, 0, 4))
    for frame in range(3):
        assert test.feed(person, seq=frame, at_ms=20 * frame) == []
    test.backend.failing = True
    test.tick(5000)
    test.tick(5100)
    assert test.pipeline.snapshot(0).streams == ()
    assert test.counter("failed") == 1
    assert test.counter("frames") == 2, "answered with nobody: the failed step forgot them"


def test_a_failed_reset_is_another_counter_than_a_failed_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    test, person = bench(), person_px((0, 0, 4))
    test.feed(person, seq=0, at_ms=0)

    reset = test.backend.reset

    def fail(slots: np.ndarray) -> None:
        reset(slots)
        raise BackendError("the device is gone")

    monkeypatch.setattr(test.backend, "reset", fail)
    test.feed(person, seq=0, epoch=8, at_ms=20)  # everybody of the old epoch is forgotten
    assert (test.counter("backend_errors"), test.counter("reset_errors")) == (0, 1)
    (event,) = test.events(20)
    assert (event.kind, event.reason) == ("fault", "reset_error")
    test.backend.failing = True
    test.feed(person, seq=1, epoch=8, at_ms=40)
    assert (test.counter("backend_errors"), test.counter("reset_errors")) == (1, 2)


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
    assert test.counter("gap") == MAX_UINT


@pytest.mark.parametrize("name", ["heartbeat", "schemas", "events"])
def test_what_the_server_says_of_itself_costs_no_pose(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    test, person = bench(lookahead_ms=60.0), person_px((0, 0, 4))
    for frame in range(4):
        test.feed(person, seq=frame, at_ms=20 * frame)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(test.pipeline._announcer, name, fail)
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
    shadow = test.pipeline.model.start_shadow(other)
    for frame in range(30, 60):
        shadow.run_queued()
        now_ns = 20 * frame * MS
        said += [decode_pose(parts) for parts in test.pipeline.promote_shadow(now_ns)]
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


def test_who_was_away_while_the_shadow_model_ran_begins_again_and_it_is_reported() -> None:
    test, person = bench(track_timeout_s=60.0), person_px((0, 0, 4))
    for frame in range(30):
        test.feed(person, seq=frame, ids=[4], at_ms=20 * frame)
    test.pipeline.model.start_shadow(FakeBackend())
    for at_ms in (600, 5000):
        assert test.pipeline.promote_shadow(at_ms * MS) == []
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
    test.pipeline.model.start_shadow(FakeBackend())
    assert test.pipeline.promote_shadow(80 * MS) == []
    assert test.pipeline.state == "ready"
    (message,) = test.feed(person, seq=4, at_ms=80)
    assert message.ids.tolist() == [0]
