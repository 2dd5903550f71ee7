"""Undo exchanged left and right limbs in single views, by where the person is expected.

A detector now and then takes a left knee for the right one, or a person seen from behind for one
seen from the front. Against a person known in space the exchange shows joint pair by joint pair.
"""

import numpy as np
from jaxtyping import Float, Int

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
    left, right = pairs.T
    unit = depth_m / REFERENCE_STATURE_M
    straight = np.zeros((*rays.shape[:2], len(pairs)))
    crossed = np.zeros_like(straight)
    for mine, other in ((left, right), (right, left)):
        seen = scores[:, :, mine] > 0
        known = np.isfinite(expected_rays[:, :, left, 0]) & np.isfinite(
            expected_rays[:, :, right, 0]
        )
        for total, place in ((straight, mine), (crossed, other)):
            away = rays[:, :, mine] - expected_rays[:, :, place]
            distance = np.sqrt((away * away).sum(-1)) * unit[:, :, place]
            np.add(total, np.where(seen & known, distance, 0.0), out=total)
    wrong = (crossed < CLEARLY * straight) & (straight - crossed > LEAST_GAIN)
    if not wrong.any():
        return
    person, camera, pair = np.nonzero(wrong)
    a, b = left[pair], right[pair]
    for values in (rays, scores):
        values[person, camera, a], values[person, camera, b] = (
            values[person, camera, b],
            values[person, camera, a],
        )
