"""Resampling and rotation: linear between frames, NaN across gaps, z up."""

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.formats.track import (
    LONGEST_GAP_S,
    Z_UP_FROM_CAMERA,
    in_axes,
    motion_from_track,
    usual_rate_hz,
)
from tests.formats.walker import MS, joint, swinging, track_of


@pytest.mark.parametrize(
    ("measured", "usual"), [(29.7, 30.0), (59.94, 60.0), (24.4, 24.0), (33.337, 33.34), (8.0, 8.0)]
)
def test_a_rate_becomes_the_usual_one_within_two_percent(measured: float, usual: float) -> None:
    assert usual_rate_hz(measured) == usual


def test_frames_at_irregular_times_are_joined_by_lines() -> None:
    t_ns = MS * np.array([0, 15, 35, 60, 80, 100, 120, 140])
    joints = np.zeros((8, 17, 3))
    joints[:, :, 2] = (t_ns / 1e9)[:, None]  # away from the camera with time
    motion = motion_from_track(track_of(joints, 5 * MS + t_ns), origin_ns=0)
    assert motion.rate_hz == 50.0
    assert motion.first_s == 0.005, "since the origin"
    np.testing.assert_allclose(motion.joints[:, 4, 0], -np.arange(8) * 0.02, atol=1e-12)
    np.testing.assert_allclose(motion.sigma_m, 0.02)


def test_a_long_gap_stays_empty_and_a_short_one_is_bridged() -> None:
    steps = np.array([20, 20, 20, 180, 20, 20, 240, 20, 20])
    t_ns = MS * np.concatenate([[0], np.cumsum(steps)])
    motion = motion_from_track(track_of(np.ones((10, 17, 3)), t_ns), 50.0)
    t_s = np.arange(len(motion.joints)) / 50.0
    within = (t_s > 0.28 + 1e-9) & (t_s < 0.52 - 1e-9)
    np.testing.assert_array_equal(motion.present, ~within)
    assert within.sum() == 0.24 * 50 - 1
    assert LONGEST_GAP_S == 0.2


def test_who_faces_the_camera_faces_x_with_z_up_and_y_to_the_left() -> None:
    upright = motion_from_track(track_of(swinging(5)))
    assert np.linalg.det(Z_UP_FROM_CAMERA) == pytest.approx(1.0)
    head, hip = (upright.joints[:, joint(name)] for name in ("Head", "Hip"))
    assert (head[:, 2] > hip[:, 2] + 0.3).all()
    camera = np.zeros(3)  # the camera is in front of whoever faces it
    assert ((camera - hip)[:, 0] > 3).all()
    np.testing.assert_allclose((-Z_UP_FROM_CAMERA[:, 0]), [0, -1, 0])  # image left is their right


def test_poses_in_world_axes_keep_them() -> None:
    joints = swinging(4)
    np.testing.assert_allclose(motion_from_track(track_of(joints, frame="world")).joints, joints)


def test_turning_keeps_distances() -> None:
    motion = motion_from_track(track_of(swinging(4)))
    turned = in_axes(motion, np.roll(np.eye(3), 1, axis=0))
    np.testing.assert_allclose(turned.joints[..., 1], motion.joints[..., 0])


def test_what_cannot_be_resampled_is_one_sentence() -> None:
    joints = swinging(2)
    with pytest.raises(ConfigError, match="has a single frame"):
        motion_from_track(track_of(joints[:1]))
    with pytest.raises(ConfigError, match="--rate is 0; expected"):
        motion_from_track(track_of(joints), 0.0)
    with pytest.raises(ConfigError, match="choose a lower --rate"):
        motion_from_track(track_of(joints, np.array([0, 10**16])), 1000.0)
