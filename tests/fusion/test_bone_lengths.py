import numpy as np

from langpose_rt.fusion.bone_lengths import (
    bones_of,
    first_estimate,
    hold_hips,
    hold_lengths,
    learn,
)
from langpose_rt.geometry.skeleton import REFERENCE_BONES_M, bone_lengths
from tests.fusion.rigs import body

SEEN = np.ones((1, 17), bool)


def test_the_lengths_of_a_small_person_are_learnt() -> None:
    lengths, weights = first_estimate(1)
    for _ in range(200):
        learn(lengths, weights, 0.8 * body()[None], SEEN)
    np.testing.assert_allclose(lengths[0], 0.8 * REFERENCE_BONES_M, rtol=0.01)


def test_a_bone_that_one_view_saw_teaches_nothing() -> None:
    lengths, weights = first_estimate(1)
    seen = SEEN.copy()
    seen[0, [3, 6]] = False
    learn(lengths, weights, 0.8 * body()[None], seen)
    assert lengths[0, 2] == np.float64(REFERENCE_BONES_M[2])
    assert lengths[0, 1] < REFERENCE_BONES_M[1]


def test_an_impossible_length_teaches_nothing() -> None:
    lengths, weights = first_estimate(1)
    learn(lengths, weights, 5.0 * body()[None], SEEN)
    np.testing.assert_allclose(lengths[0], REFERENCE_BONES_M)


def test_a_doubtful_joint_moves_to_its_length_and_a_sure_one_stays() -> None:
    pose = body()[None]
    pose[0, 16] += [0.0, 0.0, -0.2]
    covariance = np.tile(1e-6 * np.eye(3), (1, 17, 1, 1))
    covariance[0, 16] = 0.04 * np.eye(3)
    lengths, _ = first_estimate(1)
    held = hold_lengths(pose, covariance, lengths, np.full((1, 16), 0.01))
    before, after = (abs(bone_lengths(p)[0, 15] - lengths[0, 15]) for p in (pose, held))
    assert after < 0.4 * before
    np.testing.assert_allclose(held[0, :16], pose[0, :16], atol=1e-3)


def test_an_unknown_joint_stays_unknown_and_pulls_nobody() -> None:
    pose = body()[None]
    pose[0, 2] = np.nan
    covariance = np.tile(1e-4 * np.eye(3), (1, 17, 1, 1))
    covariance[0, 2] = np.diag([np.inf] * 3)
    lengths, _ = first_estimate(1)
    held = hold_lengths(pose, covariance, lengths, np.full((1, 16), 0.01))
    assert np.isnan(held[0, 2]).all()
    np.testing.assert_allclose(held[0, [1, 3]], pose[0, [1, 3]], atol=1e-6)


def test_the_bones_of_a_joint_begin_or_end_there() -> None:
    joints = np.zeros((1, 17), bool)
    joints[0, 15] = True
    assert np.flatnonzero(bones_of(joints)[0]).tolist() == [14, 15]


def test_both_sides_of_a_body_are_alike() -> None:
    lengths, weights = first_estimate(1)
    seen, wrong = SEEN.copy(), body()[None].copy()
    seen[0, 13] = False  # one forearm is never seen
    wrong[0, 1, 0] -= 0.03  # the detector is off at one hip
    for _ in range(300):
        learn(lengths, weights, 0.8 * wrong, seen)
    np.testing.assert_allclose(lengths[0, 12], lengths[0, 15])
    np.testing.assert_allclose(lengths[0, 12], 0.8 * REFERENCE_BONES_M[12], rtol=0.02)
    np.testing.assert_allclose(lengths[0, 0], 0.8 * (REFERENCE_BONES_M[0] + 0.015), rtol=0.02)
    np.testing.assert_allclose(lengths[0, 3], lengths[0, 0])


def test_the_pelvis_and_the_hips_meet_by_their_doubt() -> None:
    pose = np.repeat(body()[None], 3, 0)
    pose[:, 0, 0] += 0.04
    pose[2, 4] = np.nan
    covariance = np.tile(1e-4 * np.eye(3), (3, 17, 1, 1))
    covariance[0, [1, 4]] *= 1e-4
    covariance[1, 0] *= 1e-4
    held = hold_hips(pose, covariance)
    middle = 0.5 * (held[:, 1] + held[:, 4])
    assert np.linalg.norm(held[:2, 0] - middle[:2], axis=-1).max() < 0.015
    np.testing.assert_allclose(held[0, [1, 4]], pose[0, [1, 4]], atol=1e-4)
    np.testing.assert_allclose(held[1, 0], pose[1, 0], atol=1e-4)
    np.testing.assert_array_equal(held[2], pose[2])
