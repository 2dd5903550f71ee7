"""Random cameras against OpenCV, and what they promise."""

import cv2
import numpy as np
import pytest

from training.data.mocap import Mocap
from training.synthesis.cameras import NEAREST_M, CameraConfig, Shots, shoot, to_camera

Rng = np.random.Generator

CLIPS, FRAMES = 300, 12


@pytest.fixture(scope="module")
def joints_m(mocap: Mocap) -> np.ndarray:
    starts = np.random.default_rng(1).integers(0, 300, CLIPS)
    return mocap.joints_m[starts[:, None] + 4 * np.arange(FRAMES)]


@pytest.fixture(scope="module")
def shots(joints_m: np.ndarray) -> Shots:
    return shoot(np.random.default_rng(2), joints_m, CameraConfig())


def test_pixels_are_what_opencv_projects(shots: Shots) -> None:
    for clip in range(20):
        focal, (cx, cy) = float(shots.focal_px[clip]), shots.centre_px[clip]
        matrix = np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1]], np.float64)
        points = shots.joints_camera_m[clip].reshape(-1, 1, 3).astype(np.float64)
        expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), matrix, None)
        found = shots.joints_px[clip].reshape(-1, 2)
        np.testing.assert_allclose(found, expected[:, 0], rtol=1e-3, atol=0.05)


def test_cameras_do_not_mirror_stretch_or_move_the_person(
    shots: Shots, joints_m: np.ndarray
) -> None:
    for clip in range(50):
        world = (joints_m[clip] - joints_m[clip, :1, :1]).reshape(-1, 3).astype(np.float64)
        camera = shots.joints_camera_m[clip]
        camera = (camera - camera[:1, :1]).reshape(-1, 3).astype(np.float64)
        rotation = np.linalg.lstsq(world, camera, rcond=None)[0].T
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
        assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-3)
        np.testing.assert_allclose(shots.gravity[clip], rotation @ [0, 0, -1], atol=1e-3)


def test_standing_people_are_upright_in_the_picture(shots: Shots) -> None:
    middle = shots.joints_px[:, FRAMES // 2]
    head_y, ankles_y = middle[:, 10, 1], middle[:, (3, 6), 1].mean(1)
    assert (head_y < ankles_y).mean() > 0.98
    assert (shots.gravity[:, 1] > 0).mean() > 0.98


def test_a_person_who_faces_the_camera_has_the_left_hand_on_the_right(
    standing_pose: np.ndarray,
) -> None:
    level = np.array([[[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]]])
    seen = to_camera(standing_pose[None, None].astype(np.float32), level, np.array([[4.0, 0, 0]]))
    left_wrist, right_wrist, nose, head = seen[0, 0, [13, 16, 9, 10]]
    assert (seen[..., 2] > 3).all()
    assert left_wrist[0] > right_wrist[0]
    assert head[1] < nose[1] < left_wrist[1]


def test_most_joints_are_in_view_but_not_all(shots: Shots) -> None:
    assert 0.8 < shots.in_view.mean() < 0.995
    assert (shots.in_view.mean((1, 2)) > 0.5).mean() > 0.95
    inside = (shots.joints_px >= 0) & (shots.joints_px < shots.size_px[:, None, None])
    np.testing.assert_array_equal(shots.in_view, inside.all(-1))


def test_no_joint_is_behind_or_in_the_camera(rng: Rng, joints_m: np.ndarray) -> None:
    near = CameraConfig(nearest_m=0.1, farthest_m=0.3, widest_deg=140.0, narrowest_deg=130.0)
    assert shoot(rng, joints_m, near).joints_camera_m[..., 2].min() >= NEAREST_M - 1e-3


def test_fields_of_view_distances_and_formats_fill_their_ranges(shots: Shots) -> None:
    fov = np.degrees(2 * np.arctan(shots.size_px.max(1) / 2 / shots.focal_px))
    assert 35 <= fov.min() < 38
    assert 97 < fov.max() <= 100
    depth_m = shots.joints_camera_m[:, :, 0, 2].mean(1)
    assert depth_m.min() < 2.2
    assert 8.5 < depth_m.max() < 14
    portrait = shots.size_px[:, 1] > shots.size_px[:, 0]
    assert 0.15 < portrait.mean() < 0.45
