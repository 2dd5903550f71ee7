"""The calibration: rotations, places, and OpenCV as the judge of the lens."""

import cv2
import numpy as np
import pytest

from langpose_rt.geometry.camera import ray_to_pixel
from training.data.h36m_cameras import CAMERAS, cameras_of_subject

SUBJECTS = ("S1", "S5", "S6", "S7", "S8", "S9", "S11")


@pytest.mark.parametrize("subject", SUBJECTS)
def test_four_cameras_stand_around_the_middle_and_look_at_it(subject: str) -> None:
    middle = np.array([[0.0, 0.0, 1.0]])
    for name, camera in zip(CAMERAS, cameras_of_subject(subject), strict=True):
        assert camera.name == name
        np.testing.assert_allclose(camera.rotation @ camera.rotation.T, np.eye(3), atol=1e-6)
        x, y, z = camera.to_camera(middle)[0]
        assert 3.5 < z < 7
        assert max(abs(x), abs(y)) < 0.2 * z
        assert 1.2 < camera.place_m[2] < 1.8


def test_up_in_the_world_is_up_in_the_picture() -> None:
    for camera in cameras_of_subject("S9"):
        low, high = camera.to_camera(np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))
        assert high[1] < low[1] - 0.8


def test_the_lens_is_opencvs_model() -> None:
    camera = cameras_of_subject("S11")[2]
    around = np.random.default_rng(0).uniform(-0.8, 0.8, (20, 3))
    points = camera.to_camera(around + np.array([0, 0, 1]))
    lens = camera.intrinsics
    matrix = np.array([[lens.fx_px, 0, lens.cx_px], [0, lens.fy_px, lens.cy_px], [0, 0, 1]])
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), matrix, np.array(lens.dist))
    found = ray_to_pixel(points[:, :2] / points[:, 2:], lens)
    np.testing.assert_allclose(found, expected[:, 0], atol=1e-2)
    assert ((found > 0) & (found < 1000)).all()


def test_a_subject_nobody_calibrated_is_unknown() -> None:
    with pytest.raises(KeyError):
        cameras_of_subject("S2")
