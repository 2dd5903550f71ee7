import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from langpose_rt.visualization.observer import (
    NEAREST_M,
    Observer,
    distance_to_fit,
    level_from_camera,
    rotation_from_angles,
)

metres = st.floats(-50, 50)
points = hnp.arrays(np.float64, (7, 3), elements=metres)
directions = hnp.arrays(np.float64, 3, elements=st.floats(-1, 1)).filter(
    lambda down: np.linalg.norm(down) > 1e-3
)


def straight(**changes: object) -> Observer:
    fields: dict[str, object] = {
        "rotation": np.eye(3),
        "eye_level": np.zeros(3),
        "focal_px": 800.0,
        "centre_px": (320.0, 240.0),
    }
    return Observer(**(fields | changes))  # type: ignore[arg-type]


@given(down=directions)
def test_any_gravity_becomes_down_by_a_rotation(down: np.ndarray) -> None:
    R = level_from_camera(down)
    np.testing.assert_allclose(R @ down / np.linalg.norm(down), [0, 1, 0], atol=1e-9)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(R) == pytest.approx(1)


@given(down=directions)
def test_the_camera_keeps_looking_ahead(down: np.ndarray) -> None:
    assume(np.hypot(down[0], down[1]) > 1e-3)  # straight down has nothing ahead
    sight = level_from_camera(down) @ [0, 0, 1]
    assert sight[0] == pytest.approx(0, abs=1e-9)
    assert sight[2] >= -1e-9


@pytest.mark.parametrize("unknown", [None, np.zeros(3), np.full(3, np.nan), np.full(3, np.inf)])
def test_without_a_gravity_the_camera_is_level(unknown: np.ndarray | None) -> None:
    np.testing.assert_array_equal(level_from_camera(unknown), np.eye(3))


def test_for_a_camera_that_looks_straight_down_or_up_its_image_says_what_is_ahead() -> None:
    R = level_from_camera(np.array([0.0, 0.0, 1.0]))
    np.testing.assert_allclose(R @ [0, -1, 0], [0, 0, 1], atol=1e-12)
    R = level_from_camera(np.array([0.0, 0.0, -1.0]))
    np.testing.assert_allclose(R @ [0, 1, 0], [0, 0, 1], atol=1e-12)


@given(joints=points, azimuth=st.floats(-180, 180), elevation=st.floats(-80, 80))
def test_points_appear_where_opencv_projects_them(
    joints: np.ndarray, azimuth: float, elevation: float
) -> None:
    rotation = rotation_from_angles(azimuth, elevation)
    eye = np.array([1.0, -2.0, 3.0]) - 100 * rotation[2]
    view = straight(rotation=rotation, eye_level=eye)
    K = np.array([[800.0, 0, 320], [0, 800, 240], [0, 0, 1]])
    expected, _ = cv2.projectPoints(joints, cv2.Rodrigues(rotation)[0], -rotation @ eye, K, None)
    # OpenCV takes a rotation by less than 1e-5 rad for none: 8e-3 px here
    np.testing.assert_allclose(view.pixels(joints), expected[:, 0], atol=1e-2)


def test_the_side_has_the_camera_on_its_left() -> None:
    rotation = rotation_from_angles(-90.0, 11.0)
    view = straight(rotation=rotation, eye_level=np.array([0.0, 0.0, 3.0]) - 5 * rotation[2])
    camera, farther, higher = view.pixels(np.array([(0, 0, 0), (0, 0, 4), (0, -1, 3)], float))
    assert camera[0] < view.centre_px[0] < farther[0]
    assert higher[1] < view.centre_px[1]


def test_points_behind_the_spectator_are_nan() -> None:
    seen = straight().pixels(np.array([(0, 0, 1), (0, 0, 0), (1, 1, -1)], float))
    assert np.isfinite(seen).all(-1).tolist() == [True, False, False]


def test_a_segment_is_clipped_where_it_passes_the_spectator() -> None:
    view = straight()
    for ends in ([(1, 0, 1), (1, 2, -1)], [(1, 2, -1), (1, 0, 1)]):
        clipped = view.clip(np.array(ends, float))
        assert clipped is not None
        assert view.depth_m(clipped).min() == pytest.approx(NEAREST_M)
        assert np.isfinite(view.pixels(clipped)).all()
        nearest = clipped[view.depth_m(clipped).argmin()]
        np.testing.assert_allclose(nearest, [1, 1 - NEAREST_M, NEAREST_M], atol=1e-12)


def test_a_segment_behind_the_spectator_is_gone_and_one_in_front_is_whole() -> None:
    view = straight()
    assert view.clip(np.array([(0, 0, -1), (0, 1, -2)], float)) is None
    front = np.array([(0, 0, 1), (0, 1, 2)], float)
    np.testing.assert_array_equal(view.clip(front), front)


@given(joints=points, azimuth=st.sampled_from([0.0, -90.0]))
def test_the_fitting_distance_shows_everything_and_is_not_too_far(
    joints: np.ndarray, azimuth: float
) -> None:
    rotation, target = rotation_from_angles(azimuth, 11.0), joints.mean(0)
    half, focal = (300.0, 200.0), 900.0
    distance = distance_to_fit(joints, target, rotation, half, focal)
    view = straight(
        rotation=rotation,
        eye_level=target - distance * rotation[2],
        focal_px=focal,
        centre_px=(0.0, 0.0),
    )
    share = np.abs(view.pixels(joints)) / half
    assert share.max() <= 1 + 1e-6
    if distance > 1.0 and view.depth_m(joints).min() > 2 * NEAREST_M:
        assert share.max() >= 1 - 1e-6
