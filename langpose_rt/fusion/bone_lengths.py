"""Estimate everybody's bone lengths while they are seen, and hold poses to them softly.

The estimate is causal: a running mean of lengths whose two ends several views saw, which begins at
a usual adult; both sides of a body are alike. A pose is moved towards the lengths, and its pelvis
to the middle of its hips, by as much as its covariance lets it.
"""

import numpy as np
from jaxtyping import Bool, Float

from langpose_rt.geometry.skeleton import BONES, FLIP_INDICES, REFERENCE_BONES_M, bone_lengths

MEMORY = 600.0
"""The mean forgets as if it were of so many frames."""

PRIOR_FRAMES = 5.0
"""Weight of the reference adult's bone lengths, in frames."""

_PELVIS_SIGMA_M = 0.005
_PELVIS, _RIGHT_HIP, _LEFT_HIP = 0, 1, 4
_RELAXATION = 0.7
_SHORTEST_M = 1e-3
_PARENTS, _CHILDREN = np.array(BONES).T
_OTHER_SIDE = np.array(
    [BONES.index((FLIP_INDICES[parent], FLIP_INDICES[child])) for parent, child in BONES]
)
_PULLS = np.zeros((17, len(BONES)))
_PULLS[_CHILDREN, np.arange(len(BONES))] = 1.0
_HOLDS = np.zeros((17, len(BONES)))
_HOLDS[_PARENTS, np.arange(len(BONES))] = 1.0


def first_estimate(people: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the lengths (metres) and weights (frames) of people about whom nothing is known."""
    lengths = np.tile(REFERENCE_BONES_M.astype(np.float64), (people, 1))
    return lengths, np.full((people, len(BONES)), PRIOR_FRAMES)


def bones_of(joints: Bool[np.ndarray, "person 17"]) -> Bool[np.ndarray, "person 16"]:
    """Mask the bones that begin or end at a joint."""
    return np.asarray(joints[:, _PARENTS] | joints[:, _CHILDREN])


def learn(
    lengths_m: Float[np.ndarray, "person 16"],
    weights: Float[np.ndarray, "person 16"],
    joints17: Float[np.ndarray, "person 17 3"],
    observed: Bool[np.ndarray, "person 17"],
) -> None:
    """Take a frame into the running means, in place.

    Args:
        lengths_m: Changed in place.
        weights: Changed in place; how many frames each mean is worth.
        joints17: Measured joints.
        observed: Joints that several views saw.
    """
    found = bone_lengths(joints17)
    good = observed[:, _PARENTS] & observed[:, _CHILDREN] & np.isfinite(found)
    good &= (found > 0.3 * lengths_m) & (found < 3.0 * lengths_m)
    share = np.where(good, 1.0 / (weights + 1.0), 0.0)
    lengths_m += share * (np.where(good, found, lengths_m) - lengths_m)
    weights += good
    np.minimum(weights, MEMORY, out=weights)
    other = weights[:, _OTHER_SIDE]
    lengths_m += other / (weights + other) * (lengths_m[:, _OTHER_SIDE] - lengths_m)


def hold_lengths(
    joints17: Float[np.ndarray, "person 17 3"],
    covariance_m2: Float[np.ndarray, "person 17 3 3"],
    lengths_m: Float[np.ndarray, "person 16"],
    sigma_m: Float[np.ndarray, "person 16"],
) -> Float[np.ndarray, "person 17 3"]:
    """Return the pose moved towards its bone lengths.

    Every bone is a measurement of the distance of its ends: each end moves along the bone by its
    share of the doubt. An unknown joint (NaN) neither moves nor pulls.

    Args:
        joints17: The pose; not changed.
        covariance_m2: Of every joint.
        lengths_m: The lengths.
        sigma_m: How far a bone may be from its length.

    Source: one Kalman update a bone, all bones at once and under-relaxed (Jacobi).
    """
    bone = joints17[:, _CHILDREN] - joints17[:, _PARENTS]
    now = np.sqrt((bone * bone).sum(-1))
    known = np.isfinite(now) & (now > _SHORTEST_M)
    along = np.where(known[..., None], bone, 0.0) / np.where(known, now, 1.0)[..., None]
    doubt = np.where(np.isfinite(covariance_m2[..., :1, :1]), covariance_m2, 0.0)
    doubt_child = _along(doubt[:, _CHILDREN], along)
    doubt_parent = _along(doubt[:, _PARENTS], along)
    gap = np.where(known, lengths_m - now, 0.0)
    pull = (_RELAXATION * gap / (doubt_child + doubt_parent + sigma_m**2))[..., None] * along
    moves = _PULLS @ (pull * doubt_child[..., None]) - _HOLDS @ (pull * doubt_parent[..., None])
    return np.asarray(joints17 + moves)


def hold_hips(
    joints17: Float[np.ndarray, "person 17 3"], covariance_m2: Float[np.ndarray, "person 17 3 3"]
) -> Float[np.ndarray, "person 17 3"]:
    """Return the pose with its pelvis moved to the middle of its hips, and these towards it.

    Args:
        joints17: The pose; not changed. Whoever lacks one of the three stays.
        covariance_m2: Of every joint.

    Source: one Kalman update, with the mean variance of the axes.
    """
    three = [_PELVIS, _RIGHT_HIP, _LEFT_HIP]
    doubt = covariance_m2[:, three][..., (0, 1, 2), (0, 1, 2)].mean(-1)
    gap = joints17[:, _PELVIS] - 0.5 * (joints17[:, _RIGHT_HIP] + joints17[:, _LEFT_HIP])
    known = np.isfinite(gap).all(-1) & np.isfinite(doubt).all(-1)
    own, right, left = np.where(known[:, None], doubt, 0.0).T
    total = own + 0.25 * (right + left) + _PELVIS_SIGMA_M**2
    pull = np.where(known[:, None], gap, 0.0) / total[:, None]
    held = joints17.copy()
    held[:, three] += np.stack([-own, 0.5 * right, 0.5 * left], 1)[..., None] * pull[:, None]
    return held


def _along(
    covariance_m2: Float[np.ndarray, "person 16 3 3"], along: Float[np.ndarray, "person 16 3"]
) -> Float[np.ndarray, "person 16"]:
    """Variance in a direction."""
    return np.asarray(((covariance_m2 @ along[..., None])[..., 0] * along).sum(-1))
