from dataclasses import replace

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.geometry.camera import Intrinsics
from tests.fusion.rigs import SIZE, body, camera_at, ring
from tests.projection import ray_to_pixel


def test_a_point_lies_on_the_ray_of_every_camera_that_projects_it() -> None:
    cameras = CameraArray.of_cameras(ring(4))
    rays, depth = cameras.project(body())
    for camera in range(4):
        direction = cameras.directions_world(np.array([camera]), rays[camera][None])[0]
        away = body() - cameras.centres[camera]
        np.testing.assert_allclose(
            direction, away / np.linalg.norm(away, axis=-1, keepdims=True), atol=1e-9
        )
        assert (depth[camera] > 0).all()


def test_a_bent_lens_is_undone() -> None:
    bent = replace(Intrinsics.from_fov(*SIZE, 70.0), dist=(-0.2, 0.05, 0.0, 0.0))
    cameras = CameraArray.of_cameras({"a": camera_at("a", (4, 0, 1), bent)} | ring(2))
    rays, _ = cameras.project(body())
    back = cameras.rays_from_pixels(0, ray_to_pixel(rays[:1], bent)[0][None])[0]
    np.testing.assert_allclose(back, rays[0], atol=1e-5)


def test_points_behind_a_camera_are_not_seen() -> None:
    cameras = CameraArray.of_cameras(ring(2))
    rays, _ = cameras.project(2 * cameras.centres[:1])
    assert np.isnan(rays[0]).all()
    assert not cameras.sees(rays)[0].any()


def test_a_camera_without_a_place_is_refused() -> None:
    cameras = ring(3)
    cameras["cam1"] = replace(cameras["cam1"], T_world_camera=None)
    with pytest.raises(ConfigError, match='camera "cam1" has no rotation and translation'):
        CameraArray.of_cameras(cameras)


def test_one_camera_is_no_volume() -> None:
    with pytest.raises(ConfigError, match="has 1 cameras; expected at least 2"):
        CameraArray.of_cameras(ring(1))


def test_more_cameras_than_bits_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected at most 32"):
        CameraArray.of_cameras(ring(33))


def test_cameras_on_one_spot_are_refused() -> None:
    spot = {name: camera_at(name, (4, 0, 1)) for name in "ab"}
    with pytest.raises(ConfigError, match="on one spot"):
        CameraArray.of_cameras(spot)
