"""People as a detector sent them: missing joints, impossible numbers, crowds and repeated ids."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from langpose_rt.errors import MessageError
from langpose_rt.protocol import detections
from langpose_rt.protocol.detections import (
    clean_keypoints,
    clean_keypoints_numpy,
    detections_from_wire,
)
from langpose_rt.protocol.header import MAX_PEOPLE

SIZE = (640, 480)
NAN, INF = float("nan"), float("inf")


def one_joint(x: float, y: float, score: float, unit: str = "px") -> tuple[list[float], int]:
    keypoints = np.full((1, 17, 3), 0.5, np.float32)
    keypoints[0, 3] = x, y, score
    people = detections_from_wire(keypoints, [-1], SIZE, unit=unit)
    others = np.delete(people.keypoints, 3, axis=1)
    assert (others[..., 2] == 0.5).all()
    return people.keypoints[0, 3].tolist(), people.clipped


@pytest.mark.parametrize(
    ("x", "y", "score", "expected", "clipped"),
    [
        (10, 20, 0.5, [10, 20, 0.5], 0),
        (-10, 500, 1.0, [-10, 500, 1.0], 0),
        (0, 0, 0.5, [0, 0, 0], 0),
        (0, 1, 0.5, [0, 1, 0.5], 0),
        (10, 20, 7.5, [10, 20, 1], 0),
        (0, 0, 0, [0, 0, 0], 0),
        (10, 20, 0, [0, 0, 0], 0),
        (10, 20, -0.5, [0, 0, 0], 0),
        (NAN, 20, 0.5, [0, 0, 0], 0),
        (10, NAN, 0.5, [0, 0, 0], 0),
        (10, 20, NAN, [0, 0, 0], 0),
        (NAN, INF, 0.5, [0, 0, 0], 1),
        (10, 20, -INF, [0, 0, 0], 1),
        (INF, 20, 0, [0, 0, 0], 1),
        (INF, 20, 0.5, [0, 0, 0], 1),
        (10, -INF, 0.5, [0, 0, 0], 1),
        (10, 20, INF, [0, 0, 0], 1),
        (6400, -4800, 0.5, [6400, -4800, 0.5], 0),
        (6401, 20, 0.5, [0, 0, 0], 1),
        (10, -4801, 0.5, [0, 0, 0], 1),
        (3e38, 3e38, 3e38, [0, 0, 0], 1),
    ],
)
def test_a_joint_is_kept_missing_or_impossible(
    x: float, y: float, score: float, expected: list[float], clipped: int
) -> None:
    assert one_joint(x, y, score) == (expected, clipped)


def test_fractions_of_the_image_become_pixels() -> None:
    assert one_joint(0.5, 0.25, 1, "norm") == ([320, 120, 1], 0)
    assert one_joint(-10, 10, 1, "norm") == ([-6400, 4800, 1], 0)
    assert one_joint(10.001, 0, 1, "norm") == ([0, 0, 0], 1)
    assert one_joint(3e38, 0, 1, "norm") == ([0, 0, 0], 1)


def test_what_came_is_not_changed() -> None:
    keypoints = np.full((1, 17, 3), 2, np.float32)
    keypoints.flags.writeable = False
    assert detections_from_wire(keypoints, [0], SIZE).keypoints.flags.writeable
    assert (keypoints == 2).all()


def test_of_a_crowd_the_best_are_kept_in_their_order() -> None:
    count = MAX_PEOPLE + 6
    keypoints = np.ones((count, 17, 3), np.float32)
    keypoints[..., 2] = 0.5
    worst = [0, 5, 20, 21, 40, 69]
    keypoints[worst, :, 2] = 0.25
    people = detections_from_wire(keypoints, list(range(count)), SIZE)
    assert people.people_dropped == 6
    assert people.ids.tolist() == [n for n in range(count) if n not in worst]


def test_peaks_above_one_and_missing_joints_weigh_what_they_are_worth() -> None:
    keypoints = np.ones((MAX_PEOPLE + 1, 17, 3), np.float32)
    keypoints[7, :, 2] = NAN
    keypoints[7, 0, 2] = 500
    people = detections_from_wire(keypoints, list(range(MAX_PEOPLE + 1)), SIZE)
    assert 7 not in people.ids
    assert people.people_dropped == 1


def test_an_id_that_comes_again_becomes_untracked() -> None:
    keypoints = np.ones((6, 17, 3), np.float32)
    people = detections_from_wire(keypoints, [4, -1, 4, 0, -1, 4], SIZE)
    assert people.ids.tolist() == [4, -1, -1, 0, -1, -1]
    assert people.duplicate_ids == 2


def test_an_id_is_free_again_when_its_person_did_not_fit() -> None:
    keypoints = np.ones((MAX_PEOPLE + 1, 17, 3), np.float32)
    keypoints[0, :, 2] = 0.25
    ids = [5, *range(100, 100 + MAX_PEOPLE - 1), 5]
    people = detections_from_wire(keypoints, ids, SIZE)
    assert people.ids[-1] == 5
    assert people.duplicate_ids == 0


def test_every_person_needs_an_id() -> None:
    with pytest.raises(MessageError, match="bad_ids"):
        detections_from_wire(np.ones((2, 17, 3), np.float32), [1], SIZE)


def test_nobody_is_a_legal_frame() -> None:
    people = detections_from_wire(np.ones((0, 17, 3), np.float32), [], SIZE)
    assert people.keypoints.shape == (0, 17, 3)
    assert people.ids.shape == (0,)


ANY_KEYPOINTS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(0, 70), st.just(17), st.just(3)),
    elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
    fill=st.floats(width=32),
)


@settings(deadline=None)
@given(keypoints=ANY_KEYPOINTS, unit=st.sampled_from(["px", "norm"]))
def test_whatever_comes_is_safe_afterwards(keypoints: np.ndarray, unit: str) -> None:
    people = detections_from_wire(keypoints, [-1] * len(keypoints), SIZE, unit=unit)
    x, y, score = np.moveaxis(people.keypoints, -1, 0)
    assert np.isfinite(people.keypoints).all()
    assert (np.abs(x) <= 6400).all()
    assert (np.abs(y) <= 4800).all()
    assert ((score >= 0) & (score <= 1)).all()
    assert (people.keypoints[score == 0] == 0).all()
    assert len(people.ids) == min(len(keypoints), MAX_PEOPLE)
    again = detections_from_wire(people.keypoints, people.ids.tolist(), SIZE)
    assert again.clipped == 0
    assert np.array_equal(again.keypoints, people.keypoints)


def same_as_numpy(keypoints: np.ndarray, unit: str) -> None:
    got, impossible = clean_keypoints(keypoints, SIZE, unit=unit)
    expected, expected_impossible = clean_keypoints_numpy(keypoints, SIZE, unit=unit)
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    assert got.tobytes() == expected.tobytes()
    assert impossible == expected_impossible


@settings(deadline=None)
@given(keypoints=ANY_KEYPOINTS, unit=st.sampled_from(["px", "norm"]))
def test_the_extension_cleans_as_numpy_does_bit_for_bit(keypoints: np.ndarray, unit: str) -> None:
    same_as_numpy(keypoints, unit)


@pytest.mark.parametrize("unit", ["px", "norm"])
def test_it_does_so_at_every_limit(unit: str) -> None:
    width, height = SIZE if unit == "px" else (1, 1)
    limits = np.array([10 * width, 10 * height, 1], np.float32)
    edges = np.concatenate([limits, np.nextafter(limits, np.float32(INF)), -limits])
    values = np.float32([*edges, np.finfo(np.float32).max, 0.0, -0.0, 1e-45, NAN, INF, -INF])
    keypoints = np.stack(np.meshgrid(values, values, values), -1).reshape(-1, 1, 3)
    same_as_numpy(keypoints, unit)


def test_it_reads_arrays_that_are_not_contiguous() -> None:
    same_as_numpy(np.arange(2 * 17 * 6, dtype=np.float32).reshape(2, 17, 6)[..., ::2], "px")


def test_it_reads_arrays_that_are_not_aligned() -> None:
    values = np.arange(17 * 3, dtype=np.float32)
    shifted = np.frombuffer(memoryview(b"x" + values.tobytes())[1:], np.float32)
    same_as_numpy(shifted.reshape(1, 17, 3), "px")


def test_without_the_extension_numpy_cleans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detections, "HOST_IS_NATIVE", False)
    assert one_joint(10, 20, 7.5) == ([10, 20, 1], 0)
    assert one_joint(INF, 20, 0.5) == ([0, 0, 0], 1)


@pytest.mark.parametrize(
    ("scores", "largest"), [((87, NAN, 3), 87), ((0.2, 0.5, 0.1), 1), ((NAN, -1, 0), 1)]
)
def test_the_largest_score_is_known_though_scores_end_at_1(
    scores: tuple[float, float, float], largest: float
) -> None:
    keypoints = np.full((1, 3, 3), 50, np.float32)
    keypoints[0, :, 2] = scores
    people = detections_from_wire(keypoints, [-1], SIZE)
    assert people.largest_score == pytest.approx(largest)
    assert people.keypoints[..., 2].max() <= 1


def test_nobody_has_the_usual_largest_score() -> None:
    assert detections_from_wire(np.zeros((0, 17, 3), np.float32), [], SIZE).largest_score == 1
