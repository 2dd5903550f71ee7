"""Other bodies: bones get new lengths, motion stays."""

import numpy as np
import pytest

from langpose_rt.geometry.skeleton import BONES, PAIRS, REFERENCE_BONES_M, bone_lengths
from training.data.mocap import Mocap
from training.synthesis.body_shapes import UPPER, draw_bones_m, mean_bones_m, mirror, mix, rebone

Rng = np.random.Generator


@pytest.fixture
def joints_m(mocap: Mocap) -> np.ndarray:
    return np.stack([mocap.joints_m[:50], mocap.joints_m[100:150]])


def directions(joints_m: np.ndarray) -> np.ndarray:
    parents, joints = np.array(BONES).T
    bones = joints_m[:, :, joints] - joints_m[:, :, parents]
    return bones / np.linalg.norm(bones, axis=-1, keepdims=True)


def test_new_bones_have_the_asked_lengths_and_the_old_directions(
    rng: Rng, joints_m: np.ndarray
) -> None:
    bones_m = draw_bones_m(rng, 2)
    changed = rebone(joints_m, bones_m)
    wanted = np.broadcast_to(bones_m[:, None], (2, 50, 16))
    np.testing.assert_allclose(bone_lengths(changed), wanted, atol=1e-5)
    np.testing.assert_allclose(directions(changed), directions(joints_m), atol=2e-4)


def test_the_path_grows_with_the_legs(joints_m: np.ndarray) -> None:
    doubled = rebone(joints_m, np.tile(REFERENCE_BONES_M * 2, (2, 1)))
    ratio = np.ptp(doubled[:, :, 0, 0], axis=1) / np.ptp(joints_m[:, :, 0, 0], axis=1)
    np.testing.assert_allclose(ratio, 2, rtol=1e-2)


def test_drawn_bones_are_alike_on_both_sides_and_spread_around_the_reference(rng: Rng) -> None:
    bones_m = draw_bones_m(rng, 4000)
    side = {joint: bone for bone, (_, joint) in enumerate(BONES)}
    for left, right in PAIRS:
        np.testing.assert_array_equal(bones_m[:, side[left]], bones_m[:, side[right]])
    ratio = bones_m / REFERENCE_BONES_M
    np.testing.assert_allclose(ratio[:, 1:3].mean(0), 1, atol=0.01)
    assert ratio[:, 1].std() == pytest.approx(np.hypot(0.08, 0.07), rel=0.1)
    assert np.corrcoef(ratio[:, 1], ratio[:, 2])[0, 1] == pytest.approx(0.43, abs=0.1)
    assert ratio[:, 10].mean() == pytest.approx(1.225, abs=0.01)
    assert ratio[:, 0].mean() == pytest.approx(0.85, abs=0.01)


def test_a_mirror_changes_sides_and_twice_is_nothing(joints_m: np.ndarray) -> None:
    mirrored = mirror(joints_m)
    np.testing.assert_allclose(mirrored[:, :, 13, 0], -joints_m[:, :, 16, 0])
    np.testing.assert_allclose(mirrored[:, :, 13, 1:], joints_m[:, :, 16, 1:])
    np.testing.assert_array_equal(mirror(mirrored), joints_m)


def test_a_mix_keeps_the_legs_and_the_lenders_upper_body_at_the_legs_heading(
    joints_m: np.ndarray,
) -> None:
    lower, upper = joints_m[:1], joints_m[1:]
    mixed, possible = mix(lower, upper)
    assert possible.all()
    np.testing.assert_array_equal(mixed[:, :, :7], lower[:, :, :7])
    lent = upper[:, :, UPPER] - upper[:, :, :1]
    got = mixed[:, :, UPPER] - mixed[:, :, :1]
    np.testing.assert_allclose(got[..., 2], lent[..., 2], atol=1e-6)
    np.testing.assert_allclose(
        np.linalg.norm(got, axis=-1), np.linalg.norm(lent, axis=-1), atol=1e-5
    )

    def heading_over_hips(joints: np.ndarray, chest: np.ndarray) -> np.ndarray:
        hips = joints[:, :, 4, :2] - joints[:, :, 1, :2]
        shoulders = chest[:, :, 11, :2] - chest[:, :, 14, :2]
        angle = np.arctan2(shoulders[..., 1], shoulders[..., 0])
        angle = angle - np.arctan2(hips[..., 1], hips[..., 0])
        return np.exp(1j * angle)

    np.testing.assert_allclose(
        heading_over_hips(mixed, mixed), heading_over_hips(upper, upper), atol=1e-4
    )


def test_a_lying_hip_line_is_not_mixed(joints_m: np.ndarray) -> None:
    lying = joints_m[:1].copy()
    lying[:, 10, 4, :2] = lying[:, 10, 1, :2]
    mixed, possible = mix(lying, joints_m[1:])
    assert not possible.any()
    np.testing.assert_array_equal(mixed, lying)


def test_mean_bones_are_those_of_the_body(mocap: Mocap) -> None:
    bones_m = mean_bones_m(mocap.joints_m[None, :100])
    np.testing.assert_allclose(bones_m[0], REFERENCE_BONES_M, atol=2e-3)
