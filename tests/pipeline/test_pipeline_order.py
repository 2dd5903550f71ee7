"""Order, epochs, clocks, and frames that wait for their lookahead."""

import numpy as np
import pytest

from langpose_rt.protocol.messages import (
    PoseMessage,
)
from tests.fakes import MS, POSE, person_px
from tests.pipeline.bench import bench, seqs

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
    test = bench(lookahead_ms=200.0, track_timeout_s=0.1, coast_ms=0.0)
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
