"""Errors of known kinds end up in the parts they are named by."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import chi

from training.evaluation.error_parts import error_parts, group_errors, mean_parts

Rng = np.random.Generator


@pytest.fixture
def truth_m(rng: Rng) -> np.ndarray:
    pose = rng.normal(0, 0.4, (30, 17, 3))
    return pose - pose[:, :1]


def test_the_truth_has_no_error(truth_m: np.ndarray) -> None:
    parts = error_parts(truth_m, truth_m, None)
    assert parts.pop("arm depth slope") == pytest.approx(1)
    assert max(parts.values()) < 1e-4
    assert "within 50 %" not in parts


@pytest.mark.parametrize(
    ("axis", "name"), [("x", "pitch deg"), ("y", "yaw deg"), ("z", "roll deg")]
)
def test_a_body_turned_as_a_whole_is_an_angle_and_no_shape(
    truth_m: np.ndarray, axis: str, name: str
) -> None:
    turn = Rotation.from_euler(axis, 8, degrees=True).as_matrix()
    parts = error_parts(truth_m @ turn.T * 1.05, truth_m, None)
    angles = {one: parts[one] for one in ("pitch deg", "yaw deg", "roll deg")}
    assert angles.pop(name) == pytest.approx(8, abs=1e-4)
    assert max(angles.values()) < 1e-4
    assert parts["scale %"] == pytest.approx(100 * (1 - 1 / 1.05), abs=1e-4)
    assert parts["wrists"] < 1e-3


def test_a_wrist_that_is_too_near_is_a_depth_of_wrists(truth_m: np.ndarray) -> None:
    found_m = truth_m.copy()
    found_m[:, 13, 2] -= 0.1
    parts = error_parts(found_m, truth_m, None)
    assert parts["wrists"] > 3 * parts["ankles"]
    assert parts["depth"] > 2 * parts["picture"]


def test_arms_hedged_into_the_trunk_show_in_the_slope(truth_m: np.ndarray) -> None:
    found_m = truth_m.copy()
    for shoulder, elbow in ((11, 12), (14, 15)):
        depth = truth_m[:, elbow, 2] - truth_m[:, shoulder, 2]
        found_m[:, elbow, 2] = truth_m[:, shoulder, 2] + 0.7 * depth
    assert error_parts(found_m, truth_m, None)["arm depth slope"] == pytest.approx(0.7)


def test_a_sigma_that_is_right_covers_what_it_promises(rng: Rng) -> None:
    truth_m = np.zeros((4000, 17, 3)) + rng.normal(0, 0.4, (4000, 17, 3))
    error = rng.normal(0, 0.05, truth_m.shape)
    for factor in (1.0, 0.5):
        parts = error_parts(truth_m + error, truth_m, np.full((4000, 17), 0.05 * factor))
        found = [parts[f"within {percent} %"] for percent in (50, 80, 95)]
        expected = 100 * chi.cdf(factor * chi.ppf([0.5, 0.8, 0.95], 3), 3)
        np.testing.assert_allclose(found, expected, atol=1.0)


def test_groups_are_scored_by_their_own_frames(truth_m: np.ndarray) -> None:
    found_m = truth_m.copy()
    found_m[:10, 5] += [0.17, 0, 0]
    first = np.arange(30) < 10
    errors = group_errors(
        found_m, truth_m, {"seated": first, "other": ~first, "lying": np.zeros(30, bool)}
    )
    assert set(errors) == {"seated", "other"}
    assert errors["seated"][0] == pytest.approx(10)
    assert errors["other"] == pytest.approx((0, 0), abs=1e-3)


def test_means_leave_out_what_a_clip_has_not() -> None:
    rows = [{"a": 1.0, "b": float("nan")}, {"a": 3.0, "b": 4.0}, {"c": float("nan")}]
    assert mean_parts(rows) == {"a": 2.0, "b": 4.0}
