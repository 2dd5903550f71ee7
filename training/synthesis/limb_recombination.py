"""Limbs of other clips and moments on a body: the motion of each is real, the combination is new.

A limb is carried over relative to the part of the trunk it hangs from, so that an arm that reaches
forward does so from any trunk. Which clips lend limbs is batches.py's choice.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32

ARMS = ((11, 12, 13), (14, 15, 16))
LEGS = ((4, 5, 6), (1, 2, 3))
LIMBS = ARMS + LEGS
"""Joints of each limb from the trunk outwards: left arm, right arm, left leg, right leg."""

_CHEST = (14, 11, 0, 8)
_PELVIS = (1, 4, 0, 7)
"""Right, left, lower and upper joint that give the axes of chest and pelvis."""

TRUNK_RADIUS_M, LIMB_RADIUS_M, HEAD_RADIUS_M = 0.10, 0.05, 0.10
"""Half of what keeps points on the axes of body parts apart, for a person of usual size."""

MOST_TOUCHING = 0.15
"""A body that cuts into itself in a larger share of its frames is refused. Source: ours."""


def recombine(
    joints_m: Float32[np.ndarray, "clip frame 17 3"],
    lenders_m: Float32[np.ndarray, "clip 4 frame 17 3"],
    lent: Bool[np.ndarray, "clip 4"],
) -> tuple[Float32[np.ndarray, "clip frame 17 3"], Bool[np.ndarray, " clip"]]:
    """Hang limbs of other clips on bodies.

    Args:
        joints_m: Bodies.
        lenders_m: For each limb of LIMBS the clip it comes from.
        lent: Which limbs are exchanged.

    Returns:
        New joints, and which clips were changed; where the new body would cut into itself, or a
        trunk has no axes, the clip stays as it was.
    """
    result = joints_m.copy()
    for number, limb in enumerate(LIMBS):
        here = np.nonzero(lent[:, number])[0]
        if len(here):
            sides = _CHEST if limb in ARMS else _PELVIS
            lender_m = lenders_m[here, number]
            turn = _axes(joints_m[here], sides).swapaxes(-1, -2) @ _axes(lender_m, sides)
            outer = lender_m[:, :, limb[1:]] - lender_m[:, :, limb[:1]]
            moved_m = joints_m[here][:, :, limb[:1]] + outer @ turn.swapaxes(-1, -2)
            for place, joint in enumerate(limb[1:]):
                result[here, :, joint] = moved_m[:, :, place]
    sound = np.isfinite(result).all((1, 2, 3)) & (touching(result) <= MOST_TOUCHING)
    changed = lent.any(1) & sound
    result[~changed] = joints_m[~changed]
    return result, changed


def touching(joints_m: Float32[np.ndarray, "clip frame 17 3"]) -> Float[np.ndarray, " clip"]:
    """Return the share of frames in which limbs cut into trunk, head or one another.

    Looked at in every fourth frame, at points along the bones.
    """
    some = joints_m[:, ::4]
    outer = np.stack([_along(some, limb) for limb in LIMBS], 2)
    trunk = _between(some[:, :, 0], some[:, :, 8], (0.1, 0.3, 0.5, 0.7, 0.9))
    head = some[:, :, 9:11]
    arms = outer[:, :, :2].reshape(*some.shape[:2], -1, 3)
    legs = outer[:, :, 2:].reshape(*some.shape[:2], -1, 3)
    bad = _closer(arms, trunk, TRUNK_RADIUS_M + LIMB_RADIUS_M - 0.03)
    bad |= _closer(legs, trunk, TRUNK_RADIUS_M)
    bad |= _closer(arms, head, HEAD_RADIUS_M - 0.02)
    bad |= _closer(arms, legs, LIMB_RADIUS_M)
    bad |= _closer(outer[:, :, 0], outer[:, :, 1], LIMB_RADIUS_M)
    bad |= _closer(outer[:, :, 2], outer[:, :, 3], LIMB_RADIUS_M + 0.01)
    return np.asarray(bad.mean(1))


def _axes(
    joints_m: Float32[np.ndarray, "clip frame 17 3"], sides: tuple[int, int, int, int]
) -> Float32[np.ndarray, "clip frame 3 3"]:
    """Rows left, up and forward of a part of the trunk; NaN where it has no axes."""
    right, left, lower, upper = sides
    x = _unit(joints_m[:, :, left] - joints_m[:, :, right])
    up = joints_m[:, :, upper] - joints_m[:, :, lower]
    z = _unit(np.cross(x, up))
    return np.stack([x, np.cross(z, x), z], -2)


def _unit(vectors: Float32[np.ndarray, "clip frame 3"]) -> Float32[np.ndarray, "clip frame 3"]:
    norm = np.sqrt(np.einsum("btd,btd->bt", vectors, vectors))[..., None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(norm > 1e-4, vectors / norm, np.float32(np.nan)))


def _along(
    joints_m: Float32[np.ndarray, "clip frame 17 3"], limb: tuple[int, ...]
) -> Float32[np.ndarray, "clip frame point 3"]:
    """Points along a limb, away from the trunk it hangs from."""
    first, middle, last = (joints_m[:, :, joint] for joint in limb)
    upper = _between(first, middle, (0.7, 1.0))
    return np.concatenate([upper, _between(middle, last, (0.35, 0.7, 1.0))], 2)


def _between(
    start: Float32[np.ndarray, "clip frame 3"],
    end: Float32[np.ndarray, "clip frame 3"],
    shares: tuple[float, ...],
) -> Float32[np.ndarray, "clip frame point 3"]:
    part = np.array(shares, np.float32)[:, None]
    return np.asarray(start[:, :, None] + part * (end - start)[:, :, None])


def _closer(
    points: Float32[np.ndarray, "clip frame point 3"],
    others: Float32[np.ndarray, "clip frame other 3"],
    distance_m: float,
) -> Bool[np.ndarray, "clip frame"]:
    """Tell in which frames a point comes closer to one of the others than a distance."""
    squared = (points * points).sum(-1)[..., None] + (others * others).sum(-1)[..., None, :]
    squared -= 2 * points @ others.swapaxes(-1, -2)
    return np.asarray(squared.min((-1, -2)) < distance_m**2)
