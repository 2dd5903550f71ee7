"""Undo exchanged left and right limbs in single views, by where the person is expected.

A detector now and then takes a left knee for the right one, or a person seen from behind for one
seen from the front. Against a person known in space the exchange shows joint pair by joint pair.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M

CLEARLY = 0.5
"""A pair is exchanged if that leaves less than this share of its distance."""

LEAST_GAIN = 0.06
"""And if that saves at least so many body heights over the two joints."""


def exchange_pairs(
    rays: Float[np.ndarray, "person camera joint 2"],
    scores: Float[np.ndarray, "person camera joint"],
    expected_rays: Float[np.ndarray, "person camera joint 2"],
    depth_m: Float[np.ndarray, "person camera joint"],
    pairs: Int[np.ndarray, "pair 2"],
) -> None:
    """Exchange the joints of every pair that fit better exchanged, in place.

    Args:
        rays: Changed in place.
        scores: Changed in place; 0 is missing.
        expected_rays: Where the joints should be seen; NaN where nobody knows.
        depth_m: Their distance from each camera.
        pairs: Joints that can be exchanged, as (left, right).
    """
    if not len(pairs) or not rays.size:
        return
    sides = pairs.T
    own, expected = rays[:, :, sides], expected_rays[:, :, sides]
    unit = depth_m[:, :, sides] / REFERENCE_STATURE_M
    usable = (scores[:, :, sides] > 0) & np.isfinite(expected[..., 0]).all(2, keepdims=True)
    straight = _apart(own, expected, unit, usable)
    if straight.max() <= LEAST_GAIN:  # an exchange saves no more than there is
        return
    crossed = _apart(own, expected[:, :, ::-1], unit[:, :, ::-1], usable)
    wrong = (crossed < CLEARLY * straight) & (straight - crossed > LEAST_GAIN)
    if not wrong.any():
        return
    person, camera, pair = np.nonzero(wrong)
    a, b = pairs[pair].T
    for values in (rays, scores):
        values[person, camera, a], values[person, camera, b] = (
            values[person, camera, b],
            values[person, camera, a],
        )


def _apart(
    own: Float[np.ndarray, "person camera 2 pair 2"],
    expected: Float[np.ndarray, "person camera 2 pair 2"],
    unit: Float[np.ndarray, "person camera 2 pair"],
    usable: Bool[np.ndarray, "person camera 2 pair"],
) -> Float[np.ndarray, "person camera pair"]:
    """Return the distances of both joints of every pair in body heights, added up."""
    away = own - expected
    x, y = away[..., 0], away[..., 1]
    return np.asarray(np.where(usable, np.sqrt(x * x + y * y) * unit, 0.0).sum(2))
