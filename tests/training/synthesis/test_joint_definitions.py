"""Other joint definitions: fixed to the body, of the size that was measured."""

import numpy as np
import pytest

from training.data.mocap import Mocap
from training.synthesis.joint_definitions import FORWARD_SD, UP_SD, redefine

Rng = np.random.Generator


def test_only_the_asked_share_of_clips_changes(rng: Rng, mocap: Mocap) -> None:
    joints_m = np.repeat(mocap.joints_m[None, :6], 400, 0)
    moved = (redefine(rng, joints_m, 0.3) != joints_m).any((1, 2, 3))
    assert moved.mean() == pytest.approx(0.3, abs=0.07)
    np.testing.assert_array_equal(redefine(rng, joints_m, 0.0), joints_m)


def test_a_turned_body_takes_its_definitions_along(mocap: Mocap) -> None:
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    joints_m = mocap.joints_m[None, :40]
    straight = redefine(np.random.default_rng(3), joints_m, 1.0)
    turned = redefine(np.random.default_rng(3), joints_m @ turn.T, 1.0)
    np.testing.assert_allclose(turned, straight @ turn.T, atol=1e-4)
    assert np.abs(straight - joints_m).max() > 0.01


def test_offsets_along_the_trunk_have_their_spread(rng: Rng, standing_pose: np.ndarray) -> None:
    joints_m = np.repeat(standing_pose[None, None].astype(np.float32), 3000, 0)
    rise_m = (redefine(rng, joints_m, 1.0) - joints_m)[:, 0, :, 2]
    assert rise_m[:, 10].std() == pytest.approx(UP_SD[10] * 1.7, rel=0.08)
    assert rise_m[:, 1].std() == pytest.approx(UP_SD[1] * 1.7, rel=0.08)
    np.testing.assert_allclose(rise_m[:, 1], rise_m[:, 4], atol=1e-5)
    assert np.abs(rise_m[:, (3, 6, 13, 16)]).max() < 1e-6


def test_offsets_to_the_front_leave_through_the_chest(rng: Rng, standing_pose: np.ndarray) -> None:
    """The person faces +x; the nose has no business moving sideways."""
    joints_m = np.repeat(standing_pose[None, None].astype(np.float32), 3000, 0)
    moved_m = (redefine(rng, joints_m, 1.0) - joints_m)[:, 0, 9]
    assert moved_m[:, 0].std() == pytest.approx(FORWARD_SD[9] * 1.7, rel=0.08)
    assert np.abs(moved_m[:, 1]).max() < 1e-6
