"""Cameras that cannot be as they are said to be are found."""

from dataclasses import replace

import numpy as np
import pytest

from langpose_rt.formats.plausibility.cameras import (
    gravity_finding,
    lens_finding,
    place_finding,
    size_finding,
)
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.geometry.skeleton import to_h36m17
from tests.formats.plausibility.findings import REAL, impossible, odd


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((1920, 1088), None),
        ((960, 544), None),
        ((1920, 1080), None),
        ((1088, 1920), "the image was turned"),
        ((1440, 1920), "the image was cropped or stretched"),
        ((1440, 1088), "the image was cropped or stretched"),
    ],
)
def test_an_image_has_the_shape_of_its_calibration(
    size: tuple[int, int], words: str | None
) -> None:
    found = size_finding((1920, 1088), size)
    assert (found is None) if words is None else (words in impossible(found))


def lens(fx: float, fy: float, cx: float, cy: float) -> Intrinsics:
    return Intrinsics(fx_px=fx, fy_px=fy, cx_px=cx, cy_px=cy, width_px=1088, height_px=1920)


def test_lenses_that_cannot_be_and_odd_ones() -> None:
    assert "looks like fractions" in impossible(lens_finding(lens(1.54, 0.875, 0.49, 0.49)))
    assert "looks like another unit" in impossible(lens_finding(lens(35, 35, 544, 960)))
    assert "principal point" in odd(lens_finding(lens(1681, 1681, 1500, 960)))
    assert "near equal" in odd(lens_finding(lens(1681, 600, 533, 948)))
    of_half_the_size = odd(lens_finding(lens(840, 840, 272, 480)))
    assert "far from the middle of an image of 1088 x 1920" in of_half_the_size
    assert "of an image of 544 x 960" in of_half_the_size
    assert "far from the middle" in odd(lens_finding(lens(1681, 1681, 0, 0)))
    good = lens(1681, 1681, 544, 960)
    for dist in ((50.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0, -60.0)):
        assert "OpenCV's order" in odd(lens_finding(replace(good, dist=dist)))
    assert lens_finding(replace(good, dist=(-0.3, 0.1, 0.001, 0.0, 0.02))) is None


@pytest.mark.parametrize("clip", REAL, ids=["demo", "cam04"])
def test_gravity_that_points_to_the_heads_is_odd(clip) -> None:  # type: ignore[no-untyped-def]
    joints = to_h36m17(clip.keypoints[clip.present], clip.skeleton)
    for lean in (0.0, 0.5):
        down = np.array((0.0, np.cos(lean), np.sin(lean)))
        assert gravity_finding(down, joints) is None
        assert "an accelerometer at rest measures the way up" in odd(gravity_finding(-down, joints))
    for level in ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)):
        assert gravity_finding(np.array(level), joints) is None, "somebody may lie"
    assert gravity_finding(np.array((0.0, -1.0, 0.0)), joints * 0) is None


@pytest.mark.parametrize("clip", REAL, ids=["demo", "cam04"])
def test_gravity_of_a_world_has_the_camera_look_up_and_is_odd(clip) -> None:  # type: ignore[no-untyped-def]
    joints = to_h36m17(clip.keypoints[clip.present], clip.skeleton)
    of_world = np.array((0.0, 0.0, -1.0))
    assert "look up by 90 degrees" in odd(gravity_finding(of_world, joints))
    assert gravity_finding(np.array((0.0, 0.6, -0.8)), joints) is None, "from the floor"


def test_the_place_of_a_camera_is_in_metres_and_from_camera_to_world() -> None:
    pitch, heading = np.radians(20), np.radians(35)
    forward = np.array((np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch),
                        -np.sin(pitch)))  # fmt: skip
    right = np.array((np.sin(heading), -np.cos(heading), 0.0))
    T = np.eye(4)
    T[:3, :3] = np.stack((right, np.cross(forward, right), forward), axis=1)
    T[:3, 3] = (3.0, -1.0, 1.5)
    down = tuple((T[:3, :3].T @ (0.0, 0.0, -1.0)).tolist())
    assert place_finding(T.ravel().tolist(), down) is None
    assert place_finding(T.ravel().tolist(), None) is None
    assert "camera to world" in odd(place_finding(np.linalg.inv(T).ravel().tolist(), down))
    T[:3, 3] *= 1000
    assert "these look like millimetres" in odd(place_finding(T.ravel().tolist(), None))


def test_lenses_of_real_clips_are_believed() -> None:
    for clip in REAL:
        assert clip.intrinsics is not None
        assert lens_finding(clip.intrinsics) is None
