"""Swung limbs: other poses, the same bones, the same motion."""

import numpy as np

from langpose_rt.geometry.skeleton import bone_lengths
from training.data.mocap import Mocap
from training.synthesis.limb_swing import SWINGS, swing

Rng = np.random.Generator


def clips(mocap: Mocap) -> np.ndarray:
    return np.stack([mocap.joints_m[:50], mocap.joints_m[100:150]])


def test_bones_keep_their_lengths_and_the_hip_its_place(rng: Rng, mocap: Mocap) -> None:
    joints_m = clips(mocap)
    swung = swing(rng, joints_m)
    np.testing.assert_allclose(bone_lengths(swung), bone_lengths(joints_m), atol=1e-5)
    np.testing.assert_array_equal(swung[:, :, [0, 1, 4]], joints_m[:, :, [0, 1, 4]])


def test_every_other_joint_moves_and_none_further_than_its_limbs_allow(
    rng: Rng, mocap: Mocap
) -> None:
    joints_m = clips(mocap)
    moved_m = np.linalg.norm(swing(rng, joints_m) - joints_m, axis=-1)
    others = [joint for _, followers, _ in SWINGS for joint in followers]
    assert (moved_m[:, :, others].max((0, 1)) > 0.005).all()
    assert moved_m.max() < 1.2


def test_a_turn_stays_for_the_whole_clip(rng: Rng, mocap: Mocap) -> None:
    still = np.repeat(clips(mocap)[:, :1], 50, axis=1)
    swung = swing(rng, still)
    np.testing.assert_allclose(swung, np.repeat(swung[:, :1], 50, axis=1), atol=1e-6)
