import numpy as np

from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.left_right import MOSTLY, exchange_pairs, learn_sides
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


def test_the_share_of_exchanged_views_is_told_where_two_can_tell() -> None:
    rays, scores, expected, depth = views()
    rays[0, 0] = rays[0, 0, FLIP_INDICES]
    share = exchange_pairs(rays, scores, expected, depth, LAYOUT.pairs)
    assert share.shape == (1, len(LAYOUT.pairs))
    told = share[np.isfinite(share)]
    assert len(told) >= 3
    assert ((told >= 0.3) & (told <= 0.5)).all()
    assert (exchange_pairs(rays, scores, expected, depth, LAYOUT.pairs) == 0).all()
    scores[:, 1:] = 0.0
    rays[0, 0] = rays[0, 0, FLIP_INDICES]
    assert np.isnan(exchange_pairs(rays, scores, expected, depth, LAYOUT.pairs)).all()


def test_a_short_exchange_is_nothing_and_a_long_one_is_most() -> None:
    exchanged, count = np.zeros((1, 17)), len(LAYOUT.pairs)
    share = np.full((1, count), np.nan)
    share[0, 0] = 1.0
    a, b = LAYOUT.pairs[0]
    for _ in range(12):
        learn_sides(exchanged, share, LAYOUT.pairs, 1 / 60)
    assert 0 < exchanged[0, a] < MOSTLY
    for _ in range(18):
        learn_sides(exchanged, share, LAYOUT.pairs, 1 / 60)
    assert exchanged[0, a] == exchanged[0, b] > MOSTLY
    assert np.count_nonzero(exchanged) == 2
