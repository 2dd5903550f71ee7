"""People in the pipeline: ids, coasting and expiry."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from langpose_rt.protocol.messages import (
    JointFlag,
)
from tests.fakes import MS, POSE, person_px
from tests.pipeline.bench import PADDING_SLOT, Bench, bench

# People -------------------------------------------------------------------------------------------


def test_people_join_and_leave_and_a_slot_is_free_after_the_timeout() -> None:
    test = bench(slots=2, coast_ms=0.0)
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
    test = bench(coast_ms=0.0)
    person = person_px((0, 0, 4))
    for frame in range(30):
        test.feed(person, seq=frame, at_ms=20 * frame)
    for frame in range(30, 60):
        (message,) = test.feed(seq=frame, at_ms=20 * frame)
        assert len(message.ids) == 0
    (message,) = test.feed(person, seq=60, at_ms=1200)
    assert message.state == ("ok",)


def test_an_id_that_goes_on_without_a_joint_gives_the_slot_back_after_the_timeout() -> None:
    test, person = bench(slots=1), person_px((0, 0, 4))
    test.feed(person, ids=[1], seq=0, at_ms=0)
    for frame in range(1, 51):
        (message,) = test.feed(PADDING_SLOT, ids=[1], seq=frame, at_ms=20 * frame)
        assert message.ids.tolist() == [1]
    (message,) = test.feed(PADDING_SLOT, person, ids=[1, 2], seq=51, at_ms=1020)
    assert message.ids.tolist() == [2]
    assert test.pipeline.snapshot(0).persons == 1


@pytest.mark.parametrize("given", [-1, 4])
def test_a_camera_slower_than_the_timeout_has_the_same_people_in_every_frame(given: int) -> None:
    test, person = bench(track_timeout_s=0.1), person_px((0, 0, 4))
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
    assert test.counter("slots_refused") == 1
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


# Coasting -----------------------------------------------------------------------------------------


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
    ids=["lost for 0.1 s", "for as long as anybody coasts", "for 0.5 s", "left"],
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


def test_of_two_people_only_the_missing_one_coasts() -> None:
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
        people = [person_px((0, 0, 4))] if frame < 30 else [PADDING_SLOT] if frame < 35 else []
        (message,) = test.feed(*people, ids=[3] * len(people), seq=frame, at_ms=20 * frame)
        states += message.state or ("gone",)
    assert states[30:] == ["predicted"] * 5 + ["held"] * 5 + ["gone"] * 2


@pytest.mark.parametrize(
    ("coast_ms", "track_timeout_s", "held"), [(0.0, 1.0, 0), (60.0, 1.0, 3), (2000.0, 0.1, 5)]
)
def test_the_coasting_time_is_an_option_and_never_longer_than_the_timeout(
    coast_ms: float, track_timeout_s: float, held: int
) -> None:
    test = bench(coast_ms=coast_ms, track_timeout_s=track_timeout_s)
    told = states_over_time(test, [[0]] * 30 + [[]] * 12)
    assert told[30:] == [{0: "held"}] * held + [{}] * (12 - held)


def test_nobody_is_held_over_into_a_new_epoch() -> None:
    test, person = bench(), person_px((0, 0, 4))
    for frame in range(30):
        test.feed(person, seq=frame, at_ms=20 * frame)
    (message,) = test.feed(epoch=8, seq=0, at_ms=600)
    assert message.ids.tolist() == []


def test_frames_that_wait_for_their_lookahead_have_coasting_people_too() -> None:
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


def test_somebody_the_model_failed_for_does_not_coast() -> None:
    test, person = bench(), person_px((0, 0, 4))
    for frame in range(30):
        test.feed(person, seq=frame, at_ms=20 * frame)
    test.backend.broken = {0}
    for frame in (30, 31):
        (message,) = test.feed(seq=frame, at_ms=20 * frame)
        assert message.ids.tolist() == []
    assert test.counter("forgotten") == 1


def test_names_of_the_rigs_tracker_come_with_the_poses_and_coasting_people_keep_theirs() -> None:
    test, person = bench(coast_ms=200.0), person_px((0, 0, 4))
    other = person_px((1, 0, 4))
    for frame in range(10):
        (message,) = test.feed(
            person, other, ids=[5, 6], names=("alice", None), seq=frame, at_ms=20 * frame
        )
        assert message.names == ("alice", None)
    (message,) = test.feed(other, ids=[6], seq=10, at_ms=200)
    assert dict(zip(message.ids.tolist(), message.names or (), strict=True)) == {
        6: None, 5: "alice",
    }  # fmt: skip
    (message,) = test.feed(other, ids=[6], seq=200, at_ms=5000)
    assert message.names is None
