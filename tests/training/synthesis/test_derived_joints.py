"""Trunk joints made of others: the same sums as of live keypoints."""

import numpy as np
import pytest

from langpose_rt.geometry.skeleton import skeleton_named, to_h36m17
from training.synthesis.derived_joints import SHARES, derive, draw_kinds

Rng = np.random.Generator
NONE, ALL = np.zeros(3, bool), np.ones(3, bool)


@pytest.fixture
def found(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    joints = rng.standard_normal((3, 5, 17, 2)).astype(np.float32)
    scores = rng.uniform(0.1, 1, (3, 5, 17)).astype(np.float32)
    scores[0, 0, 4] = 0
    scores[1, 2, 14] = 0
    return joints, scores


def test_coco_trunks_are_those_of_the_live_conversion(
    found: tuple[np.ndarray, np.ndarray],
) -> None:
    joints, scores = derive(*found, (ALL, NONE))
    place = {"hip": (4, 1), "shoulder": (11, 14)}
    skeleton = skeleton_named("coco17")
    keypoints = np.ones((3, 5, 17, 3), np.float32)
    for name, (left, right) in place.items():
        for side, joint in (("left", left), ("right", right)):
            at = skeleton.joints.index(f"{side}_{name}")
            keypoints[..., at, :2], keypoints[..., at, 2] = (
                found[0][:, :, joint],
                found[1][:, :, joint],
            )
    live = to_h36m17(keypoints, skeleton)
    for joint in (0, 7, 8):
        seen = live[..., joint, 2] > 0
        assert 0 < (~seen).sum() < seen.size
        np.testing.assert_array_equal(seen, scores[..., joint] > 0)
        np.testing.assert_allclose(
            joints[..., joint, :][seen], live[..., joint, :2][seen], atol=1e-6
        )
        np.testing.assert_array_equal(scores[..., joint], live[..., joint, 2])


def test_formats_with_a_neck_keep_it(found: tuple[np.ndarray, np.ndarray]) -> None:
    joints, scores = derive(*found, (NONE, ALL))
    np.testing.assert_array_equal(joints[:, :, 8], found[0][:, :, 8])
    np.testing.assert_array_equal(scores[:, :, 8], found[1][:, :, 8])
    expected = 0.52 * joints[:, :, 0] + 0.48 * joints[:, :, 8]
    np.testing.assert_allclose(joints[:, :, 7], expected, atol=1e-6)


def test_other_clips_and_joints_stay(found: tuple[np.ndarray, np.ndarray]) -> None:
    joints, scores = derive(*found, (NONE, NONE))
    np.testing.assert_array_equal(joints, found[0])
    np.testing.assert_array_equal(scores, found[1])
    joints, _ = derive(*found, (ALL, NONE))
    rest = [joint for joint in range(17) if joint not in (0, 7, 8)]
    np.testing.assert_array_equal(joints[:, :, rest], found[0][:, :, rest])


def test_kinds_are_drawn_as_often_as_asked_and_never_two_at_once(rng: Rng) -> None:
    coco, neck = draw_kinds(rng, 5000, 0.6)
    assert coco.mean() == pytest.approx(0.6 * SHARES[1], abs=0.03)
    assert neck.mean() == pytest.approx(0.6 * SHARES[2], abs=0.02)
    assert not (coco & neck).any()
