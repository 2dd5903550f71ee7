"""Undo exchanged left and right limbs in single views, by where the person is expected.

A detector now and then takes a left knee for the right one, or a person seen from behind for one
seen from the front. Against a person known in space the exchange shows joint pair by joint pair.
Where most views of a pair are exchanged for long, it is the person who was first seen wrongly.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M

CLEARLY = 0.5
"""A pair is exchanged if that leaves less than this share of its distance."""

LEAST_GAIN = 0.06
"""And if that saves at least so many body heights over the two joints."""

MOSTLY = 0.6
"""A person's own sides are wrong if so large a share of the views is exchanged."""

_SMOOTHING_S = 0.4


def exchange_pairs(
    rays: Float[np.ndarray, "person camera joint 2"],
    scores: Float[np.ndarray, "person camera joint"],
    expected_rays: Float[np.ndarray, "person camera joint 2"],
    depth_m: Float[np.ndarray, "person camera joint"],
    pairs: Int[np.ndarray, "pair 2"],
) -> Float[np.ndarray, "person pair"]:
    """Exchange the joints of every pair that fit better exchanged, in place.

    Args:
        rays: Changed in place.
        scores: Changed in place; 0 is missing.
        expected_rays: Where the joints should be seen; NaN where nobody knows.
        depth_m: Their distance from each camera.
        pairs: Joints that can be exchanged, as (left, right).

    Returns:
        Share of the views of every pair that were exchanged, of those that tell the sides apart;
        NaN with less than two of them.
    """
    if not len(pairs) or not rays.size:
        return np.full((len(rays), len(pairs)), np.nan)
    sides = pairs.T
    own, expected = rays[:, :, sides], expected_rays[:, :, sides]
    unit = depth_m[:, :, sides] / REFERENCE_STATURE_M
    usable = (scores[:, :, sides] > 0) & np.isfinite(expected[..., 0]).all(2, keepdims=True)
    straight = _apart(own, expected, unit, usable)
    if straight.max() <= LEAST_GAIN:  # an exchange saves no more than there is
        return np.zeros((len(rays), len(pairs)))
    crossed = _apart(own, expected[:, :, ::-1], unit[:, :, ::-1], usable)
    wrong = (crossed < CLEARLY * straight) & (straight - crossed > LEAST_GAIN)
    telling = (np.abs(straight - crossed) > LEAST_GAIN).sum(1)
    share = np.where(telling >= 2, wrong.sum(1) / np.maximum(telling, 1), np.nan)
    if not wrong.any():
        return share
    person, camera, pair = np.nonzero(wrong)
    a, b = pairs[pair].T
    for values in (rays, scores):
        values[person, camera, a], values[person, camera, b] = (
            values[person, camera, b],
            values[person, camera, a],
        )
    return share


def learn_sides(
    exchanged: Float[np.ndarray, "person joint"],
    share: Float[np.ndarray, "person pair"],
    pairs: Int[np.ndarray, "pair 2"],
    dt_s: float,
) -> None:
    """Take the views of an instant into the running share of exchanged views, in place.

    Args:
        exchanged: Changed in place; the same for both joints of a pair.
        share: Of this instant; NaN where it says nothing.
        pairs: Joints that can be exchanged, as (left, right).
        dt_s: Time since the instant before.
    """
    for side in pairs.T:
        step = np.nan_to_num(share - exchanged[:, side])
        exchanged[:, side] += step * dt_s / (dt_s + _SMOOTHING_S)


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
