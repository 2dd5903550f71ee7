import numpy as np

from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.left_right import exchange_pairs
from langpose_rt.geometry.skeleton import FLIP_INDICES
from tests.fusion.rigs import LAYOUT, body, ring

CAMERAS = CameraArray.of_cameras(ring(3))


def views(shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rays, scores, expected rays and depths of one person [person, camera, joint]."""
    rays, depth = CAMERAS.project(body(shift)[None])
    expected, _ = CAMERAS.project(body()[None])
    return rays.swapaxes(0, 1), np.full((1, 3, 17), 0.9), expected.swapaxes(0, 1), depth[:, 0][None]


def test_a_view_of_exchanged_sides_is_put_right() -> None:
    rays, scores, expected, depth = views(0.02)
    right = rays.copy()
    rays[0, 1] = rays[0, 1, FLIP_INDICES]
    scores[0, 1, 3] = 0.4
    exchange_pairs(rays, scores, expected, depth, LAYOUT.pairs)
    np.testing.assert_allclose(rays, right)
    assert scores[0, 1, 6] == 0.4


def test_one_exchanged_limb_is_put_right() -> None:
    rays, scores, expected, depth = views()
    right = rays.copy()
    rays[0, 0, [2, 5]] = rays[0, 0, [5, 2]]
    exchange_pairs(rays, scores, expected, depth, LAYOUT.pairs)
    np.testing.assert_allclose(rays, right)


def test_right_views_are_left_alone_even_if_the_person_moved() -> None:
    rays, scores, expected, depth = views(0.1)
    before = rays.copy()
    exchange_pairs(rays, scores, expected, depth, LAYOUT.pairs)
    np.testing.assert_array_equal(rays, before)


def test_nothing_is_exchanged_about_people_nobody_knows() -> None:
    rays, scores, expected, depth = views()
    rays[0, 1] = rays[0, 1, FLIP_INDICES]
    before = rays.copy()
    exchange_pairs(rays, scores, np.full_like(expected, np.nan), depth, LAYOUT.pairs)
    np.testing.assert_array_equal(rays, before)
