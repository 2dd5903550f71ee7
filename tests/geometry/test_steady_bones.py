"""Bones of steady length: directions stay, lengths settle, persons are apart and forgotten."""

import numpy as np

from langpose_rt.geometry.skeleton import BONES, bone_lengths
from langpose_rt.geometry.steady_bones import MEMORY_S, BoneSteadier
from tests.fakes import MS, POSE

PARENTS, CHILDREN = np.array(BONES).T
ALL = np.ones((1, 17), bool)


def breathing(frames: int, share: float = 0.1, seed: int = 0) -> np.ndarray:
    """Poses [frame, 17, 3] of a body whose every bone changes its length and direction."""
    rng = np.random.default_rng(seed)
    found = np.zeros((frames, 17, 3), np.float32)
    for frame in range(frames):
        for parent, child in BONES:
            bone = POSE[child] - POSE[parent] + rng.normal(0, 0.02, 3)
            found[frame, child] = found[frame, parent] + bone * (1 + rng.normal(0, share))
    return found


def directions(poses: np.ndarray) -> np.ndarray:
    bones = poses[..., CHILDREN, :] - poses[..., PARENTS, :]
    return bones / np.linalg.norm(bones, axis=-1, keepdims=True)


def steadied(poses: np.ndarray, steadier: BoneSteadier | None = None, slot: int = 0) -> np.ndarray:
    """One person frame by frame at 50 Hz."""
    own = steadier or BoneSteadier(4)
    slots = np.array([slot])
    return np.concatenate(
        [
            own.step(slots, pose[None], ALL, np.array([20 * MS * frame]))
            for frame, pose in enumerate(poses)
        ]
    )


def spread(poses: np.ndarray) -> np.ndarray:
    """Standard deviation of every bone's length over its mean."""
    lengths = bone_lengths(poses)
    return np.asarray(lengths.std(0) / lengths.mean(0))


def test_directions_stay_and_lengths_settle() -> None:
    poses = breathing(200)
    steady = steadied(poses)
    np.testing.assert_allclose(directions(steady), directions(poses), atol=2e-5)
    assert spread(poses[100:]).min() > 0.08
    assert spread(steady[100:]).max() < 0.01
    np.testing.assert_array_equal(steady[:, 0], 0)


def test_the_mean_is_the_bodys_own_length_and_nobody_elses() -> None:
    steady = steadied(breathing(400))
    np.testing.assert_allclose(
        bone_lengths(steady[-1]), bone_lengths(breathing(400)).mean(0), rtol=2e-3
    )


def test_the_first_frame_is_published_as_it_is() -> None:
    poses = breathing(1)
    np.testing.assert_allclose(steadied(poses), poses, atol=1e-6)


def test_a_strength_of_a_half_goes_half_the_way() -> None:
    poses, own = breathing(60), BoneSteadier(1)
    whole = steadied(poses)[-1]
    for frame, pose in enumerate(poses):
        half = own.step(np.array([0]), pose[None], ALL, np.array([20 * MS * frame]), strength=0.5)[
            0
        ]
    expected = (bone_lengths(whole) + bone_lengths(poses[-1])) / 2
    np.testing.assert_allclose(bone_lengths(half), expected, rtol=1e-5)


def test_a_joint_that_is_not_seen_teaches_nothing() -> None:
    poses, own = breathing(30), BoneSteadier(1)
    blind = ALL.copy()
    blind[:, 13] = False  # the left wrist
    for frame, pose in enumerate(poses):
        own.step(np.array([0]), pose[None], ALL, np.array([20 * MS * frame]))
    longer = poses[-1].copy()
    longer[13] += 2.0
    before = bone_lengths(own.step(np.array([0]), poses[-1][None], blind, np.array([620 * MS])))
    after = bone_lengths(own.step(np.array([0]), longer[None], blind, np.array([640 * MS])))
    forearm = [bone for bone, (_, child) in enumerate(BONES) if child == 13]
    np.testing.assert_allclose(after[0, forearm], before[0, forearm], rtol=1e-5)


def test_people_together_are_as_people_alone_bit_for_bit() -> None:
    first, second = breathing(40, seed=1), breathing(40, seed=2)
    own, both = BoneSteadier(4), []
    for frame, pair in enumerate(zip(first, second, strict=True)):
        times = np.array([20 * MS * frame] * 2)
        both.append(own.step(np.array([2, 0]), np.stack(pair), np.tile(ALL, (2, 1)), times))
    np.testing.assert_array_equal(np.array(both)[:, 0], steadied(first))
    np.testing.assert_array_equal(np.array(both)[:, 1], steadied(second))


def test_a_new_person_in_a_slot_begins_anew() -> None:
    own = BoneSteadier(4)
    steadied(1.5 * breathing(50), own, slot=3)
    own.reset(np.array([3]))
    poses = breathing(20, seed=5)
    np.testing.assert_array_equal(steadied(poses, own, slot=3), steadied(poses))


def test_an_id_that_goes_over_to_a_child_takes_the_childs_lengths() -> None:
    still = breathing(1)
    adult, child = np.repeat(still, 1500, axis=0), np.repeat(0.6 * still, 4000, axis=0)
    steady = steadied(np.concatenate([adult, child]))
    np.testing.assert_allclose(bone_lengths(steady[-1]), bone_lengths(child[-1]), rtol=0.02)
    assert MEMORY_S < 40


def test_a_bone_without_length_gives_finite_joints() -> None:
    pose = breathing(1)
    pose[:, CHILDREN[4]] = pose[:, PARENTS[4]]
    assert np.isfinite(steadied(np.repeat(pose, 3, axis=0))).all()
