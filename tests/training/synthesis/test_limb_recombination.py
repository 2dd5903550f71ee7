"""Limbs of other clips on a body: their own motion, relative to another trunk."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from langpose_rt.geometry.skeleton import bone_lengths
from training.data.mocap import Mocap
from training.synthesis.limb_recombination import LIMBS, recombine, touching

LEFT_ARM = np.array([[True, False, False, False]])


@pytest.fixture
def body_m(standing_pose: np.ndarray) -> np.ndarray:
    return np.tile(standing_pose.astype(np.float32), (1, 8, 1, 1))


def turned(joints_m: np.ndarray, degrees: float) -> np.ndarray:
    turn = Rotation.from_euler("z", degrees, degrees=True).as_matrix().astype(np.float32)
    return joints_m @ turn.T


def reaching(body_m: np.ndarray) -> np.ndarray:
    """The left arm straight ahead; the person faces +x."""
    reach = body_m.copy()
    for joint, length_m in ((12, 0.281), (13, 0.531)):
        reach[:, :, joint] = body_m[:, :, 11] + np.array([length_m, 0, 0], np.float32)
    return reach


def test_an_arm_that_reaches_ahead_does_so_from_any_trunk(body_m: np.ndarray) -> None:
    lenders = np.tile(reaching(body_m)[:, None], (1, 4, 1, 1, 1))
    new, changed = recombine(turned(body_m, 90), lenders, LEFT_ARM)
    assert changed.all()
    ahead = new[0, :, 13] - new[0, :, 11]
    np.testing.assert_allclose(ahead, np.tile([0, 0.531, 0], (8, 1)), atol=1e-5)
    others = [joint for joint in range(17) if joint not in (12, 13)]
    np.testing.assert_array_equal(new[:, :, others], turned(body_m, 90)[:, :, others])


def test_own_limbs_hung_back_are_the_same_motion(mocap: Mocap) -> None:
    joints_m = np.stack([mocap.joints_m[:50], mocap.joints_m[100:150]])
    lenders = np.tile(joints_m[:, None], (1, 4, 1, 1, 1))
    new, _ = recombine(joints_m, lenders, np.ones((2, 4), bool))
    np.testing.assert_allclose(new, joints_m, atol=1e-5)


def test_bones_keep_the_lenders_lengths_and_trunks_their_own(body_m: np.ndarray) -> None:
    joints_m = turned(body_m, 40)
    lender = body_m[0] * np.float32(1.1)
    lenders = np.tile(lender, (1, 4, 1, 1, 1))
    new, changed = recombine(joints_m, lenders, np.ones((1, 4), bool))
    assert changed.all()
    limb_bones = [joint - 1 for limb in LIMBS for joint in limb[1:]]
    np.testing.assert_allclose(
        bone_lengths(new)[..., limb_bones],
        bone_lengths(lender[None])[..., limb_bones],
        atol=1e-5,
    )
    trunk = [joint for joint in range(17) if joint - 1 not in limb_bones]
    np.testing.assert_array_equal(new[:, :, trunk], joints_m[:, :, trunk])


def test_an_arm_through_the_trunk_is_refused(body_m: np.ndarray) -> None:
    through = body_m.copy()
    through[:, :, 12] = body_m[:, :, 11] - np.array([0, 0.12, 0.2], np.float32)
    through[:, :, 13] = body_m[:, :, 7]
    assert touching(through)[0] == 1
    assert touching(body_m)[0] == 0
    lenders = np.tile(through[:, None], (1, 4, 1, 1, 1))
    new, changed = recombine(body_m, lenders, LEFT_ARM)
    assert not changed.any()
    np.testing.assert_array_equal(new, body_m)


def test_a_trunk_without_axes_keeps_its_limbs(body_m: np.ndarray) -> None:
    flat = body_m.copy()
    flat[:, 3, 14] = flat[:, 3, 11]
    lenders = np.tile(reaching(body_m)[:, None], (1, 4, 1, 1, 1))
    new, changed = recombine(flat, lenders, LEFT_ARM)
    assert not changed.any()
    np.testing.assert_array_equal(new, flat)


def test_nothing_lent_is_nothing_changed(body_m: np.ndarray) -> None:
    lenders = np.zeros((1, 4, *body_m.shape[1:]), np.float32)
    new, changed = recombine(body_m, lenders, np.zeros((1, 4), bool))
    assert not changed.any()
    np.testing.assert_array_equal(new, body_m)
