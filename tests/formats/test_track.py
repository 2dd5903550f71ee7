"""Resampling and rotation: linear between frames, NaN across gaps, z up."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from langpose_rt.errors import ConfigError
from langpose_rt.formats.track import (
    LONGEST_GAP_S,
    in_axes,
    levelled,
    motion_from_track,
    rate_of_times,
    usual_rate_hz,
)
from langpose_rt.geometry.level_axes import (
    UP_AXES,
    gravity_of_pitch,
    gravity_of_up,
    level_from_camera,
    level_from_world,
)
from tests.formats.walker import MS, joint, swinging, track_of


@pytest.mark.parametrize(
    ("measured", "usual"),
    [(29.7, 30.0), (59.94, 60000 / 1001), (24.4, 24.0), (33.337, 33.34), (8.0, 8.0)],
)
def test_a_rate_becomes_the_usual_one_within_two_percent(measured: float, usual: float) -> None:
    assert usual_rate_hz(measured) == usual


@pytest.mark.parametrize("rate_hz", [23.976, 24000 / 1001, 29.97, 30000 / 1001, 30.0, 29.5, 59.94])
def test_frame_n_of_the_file_is_frame_n_of_the_video(rate_hz: float) -> None:
    frames = 3000
    t_ns = np.rint(np.arange(frames) * 1e9 / rate_hz).astype(np.int64)
    joints = np.zeros((frames, 17, 3))
    joints[:, :, 0] = np.arange(frames)[:, None]
    motion = motion_from_track(track_of(joints, t_ns, frame="world"))
    assert motion.rate_hz == pytest.approx(rate_hz, rel=2e-6)
    assert len(motion.joints) in (frames, frames - 1)
    np.testing.assert_allclose(motion.joints[:, 0, 0], np.arange(len(motion.joints)), atol=0.01)


def test_the_rate_of_a_camera_that_jitters_is_the_usual_one() -> None:
    jitter = np.random.default_rng(0).integers(-2, 3, 300)
    t_ns = MS * np.rint(np.arange(300) * 1000 / 30 + jitter).astype(np.int64)
    assert rate_of_times(t_ns) == 30.0


def test_a_track_can_begin_at_the_origin_of_the_recording() -> None:
    t_ns = MS * np.arange(100, 200, 20)
    motion = motion_from_track(track_of(np.ones((5, 17, 3)), t_ns), origin_ns=0, from_origin=True)
    assert motion.first_s == 0
    assert motion.present.tolist() == [False] * 5 + [True] * 5


@pytest.mark.parametrize("up", UP_AXES)
def test_any_way_up_of_a_world_becomes_z(up: str) -> None:
    gravity, joints = gravity_of_up(up), swinging(4)
    track = replace(track_of(joints, frame="world"), gravity=gravity, level_src="given")
    found = motion_from_track(track).joints
    np.testing.assert_allclose(found, joints @ level_from_world(gravity).T)
    np.testing.assert_allclose(found[..., 2], joints @ UP_AXES[up])


def test_a_tilted_camera_gives_the_same_motion_as_a_level_one() -> None:
    level, tilt = swinging(6), gravity_of_pitch(25.0)
    # what the tilted camera sees: the level scene turned about its x axis
    turn = Rotation.from_euler("x", 25.0, degrees=True).as_matrix()
    track = replace(track_of(level @ turn.T), gravity=tilt, level_src="given")
    np.testing.assert_allclose(turn @ [0, 1, 0], tilt, atol=1e-12)
    expected = motion_from_track(track_of(level)).joints
    np.testing.assert_allclose(motion_from_track(track).joints, expected, atol=1e-12)


def test_a_levelled_track_is_level_once_and_for_all() -> None:
    track = replace(track_of(swinging(3)), gravity=gravity_of_pitch(-12.0), level_src="calibration")
    level = levelled(track)
    assert (level.frame, level.gravity) == ("level", (0.0, 0.0, -1.0))
    assert level.level_src == "calibration"
    assert levelled(level) is level


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
    head, hip = (upright.joints[:, joint(name)] for name in ("Head", "Hip"))
    assert (head[:, 2] > hip[:, 2] + 0.3).all()
    camera = np.zeros(3)  # the camera is in front of whoever faces it
    assert ((camera - hip)[:, 0] > 3).all()
    # image left is their right
    np.testing.assert_allclose(level_from_camera(None) @ [-1, 0, 0], [0, -1, 0])


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
