"""Level axes: rotations with z against gravity, and what the options say of it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langpose_rt.errors import ConfigError
from langpose_rt.geometry.level_axes import (
    CAMERA_DOWN,
    UP_AXES,
    Vector,
    gravity_from_options,
    gravity_from_text,
    gravity_of_pitch,
    gravity_of_up,
    level_from_camera,
    level_from_pose,
    level_from_world,
)


def directions() -> st.SearchStrategy[Vector]:
    """Unit vectors all over the sphere."""

    def unit(height: float, turn: float) -> Vector:
        level = math.sqrt(1 - height * height)
        return level * math.cos(turn), height, level * math.sin(turn)

    return st.builds(unit, st.floats(-1, 1), st.floats(-math.pi, math.pi))


def assert_rotation(R: np.ndarray) -> None:
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(R) == pytest.approx(1.0)


@given(gravity=directions())
def test_gravity_points_down_in_level_axes_whatever_the_camera_and_the_world(
    gravity: Vector,
) -> None:
    for frame in ("camera", "world"):
        R = level_from_pose(frame, gravity)
        assert_rotation(R)
        np.testing.assert_allclose(R @ gravity, [0, 0, -1], atol=1e-9)


def test_a_camera_of_unknown_tilt_is_taken_for_level() -> None:
    R = level_from_camera(None)
    np.testing.assert_array_equal(R, level_from_camera(CAMERA_DOWN))
    np.testing.assert_allclose(R, [[0, 0, -1], [1, 0, 0], [0, -1, 0]], atol=1e-15)


@given(gravity=directions().filter(lambda g: abs(g[2]) < 0.99))
def test_the_optical_axis_points_away_from_x_and_level_with_it(gravity: Vector) -> None:
    x, y, z = level_from_camera(gravity) @ [0, 0, 1]
    assert x < 0
    assert y == pytest.approx(0, abs=1e-9)
    assert z == pytest.approx(-gravity[2], abs=1e-9), "it looks down where gravity is ahead"


@pytest.mark.parametrize(("z", "towards"), [(1.0, 1.0), (-1.0, -1.0)])
def test_a_camera_that_looks_straight_down_or_up_has_a_level_direction(
    z: float, towards: float
) -> None:
    R = level_from_camera((0.0, 0.0, z))
    np.testing.assert_allclose(R[0], [0, towards, 0], atol=1e-12)
    assert_rotation(R)
    near = level_from_camera(gravity_of_pitch(z * 84.0))
    assert np.degrees(np.arccos((near[0] @ R[0]).clip(-1, 1))) < 7, "it turns on as it tilts on"


@pytest.mark.parametrize("up", UP_AXES)
def test_any_way_up_of_a_world_becomes_z_by_a_rotation(up: str) -> None:
    R = level_from_world(gravity_of_up(up))
    np.testing.assert_allclose(R @ UP_AXES[up], [0, 0, 1])
    assert_rotation(R)
    assert (np.isin(np.abs(R), (0, 1))).all(), "axes stay axes"


def test_a_world_with_z_up_or_of_unknown_gravity_stays_as_it_is() -> None:
    np.testing.assert_array_equal(level_from_world(None), np.eye(3))
    np.testing.assert_array_equal(level_from_world(gravity_of_up("z")), np.eye(3))


def test_an_unknown_way_up_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match="up is 'sky'; expected one of"):
        gravity_of_up("sky")


@pytest.mark.parametrize("pitch_deg", [-90.0, -10.0, 0.0, 22.5, 90.0])
def test_a_pitch_turns_gravity_ahead_of_a_camera_that_looks_down(pitch_deg: float) -> None:
    x, y, z = gravity_of_pitch(pitch_deg)
    assert x == 0
    assert math.degrees(math.atan2(z, y)) == pytest.approx(pitch_deg)
    assert math.hypot(y, z) == pytest.approx(1)


@pytest.mark.parametrize("pitch_deg", [-91.0, 180.0, math.nan, math.inf])
def test_an_impossible_pitch_is_one_sentence(pitch_deg: float) -> None:
    with pytest.raises(ConfigError, match=r"camera-pitch-deg is .*; expected -90 \(looks up\)"):
        gravity_of_pitch(pitch_deg)


def test_a_gravity_of_any_length_becomes_a_direction() -> None:
    assert gravity_from_text("0,9.81,0") == (0.0, 1.0, 0.0)
    assert gravity_from_text(" -3, 0 ,4") == (-0.6, 0.0, 0.8)


@pytest.mark.parametrize("text", ["", "0,1", "0,1,0,0", "0,0,0", "a,b,c", "nan,1,0", "0,1e9,0"])
def test_an_impossible_gravity_is_one_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="expected X,Y,Z of the way down in camera axes"):
        gravity_from_text(text)


def test_the_options_give_one_gravity_or_none() -> None:
    assert gravity_from_options(None, None) is None
    assert gravity_from_options("0,2,0", None) == CAMERA_DOWN
    assert gravity_from_options(None, 90.0) == pytest.approx((0, 0, 1))
    with pytest.raises(ConfigError, match="got both --gravity and --camera-pitch-deg"):
        gravity_from_options("0,1,0", 0.0)


def test_a_turn_of_the_scene_about_gravity_changes_no_height() -> None:
    gravity, joints = gravity_of_pitch(30.0), np.random.default_rng(0).normal(size=(17, 3))
    heights = joints @ level_from_camera(gravity).T @ [0, 0, 1]
    np.testing.assert_allclose(heights, -joints @ gravity)
