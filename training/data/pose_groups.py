"""Groups of poses by what the body does: seated, lying, reaching and so on.

A frame may belong to several groups. Sampling draws by group, reports are split by group. Motion
and clips are not known here.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float

GROUP_WEIGHTS: Mapping[str, float] = {
    "seated": 3.0,
    "kneeling": 2.0,
    "lying": 1.5,
    "all fours": 2.0,
    "bent": 2.0,
    "overhead": 1.5,
    "arm in depth": 2.5,
    "boxing": 1.0,
    "climbing": 1.0,
}
"""How often each group is drawn, relative to the others. Source: ours."""

ACTION_WORDS: Mapping[str, tuple[str, ...]] = {
    "boxing": ("box", "punch", "kick"),
    "climbing": ("climb", "ladder", "hang", "grip bar"),
}
"""Groups that a pose does not show and a description names."""

REACH_M = 0.35
"""A wrist so far in front of its shoulder is an arm in depth, of a person of usual size."""

_LIMBS = ((1, 2, 3), (4, 5, 6))
_ARMS = ((11, 13), (14, 16))


def pose_groups(
    joints_m: Float[np.ndarray, "frame 17 3"],
) -> dict[str, Bool[np.ndarray, " frame"]]:
    """Tell for every frame which groups its pose belongs to.

    Args:
        joints_m: Joints in a z-up world; where the floor is need not be known.

    Returns:
        A mask for every group of GROUP_WEIGHTS that a pose shows.
    """
    up = _unit(joints_m[:, 8] - joints_m[:, 0])
    lean_deg = np.degrees(np.arccos(np.clip(up[:, 2], -1, 1)))
    above_m = joints_m[..., 2] - joints_m[..., 2].min(1, keepdims=True)
    hip_m, wrist_m = above_m[:, 0], above_m[:, [13, 16]].min(1)
    knee_over_ankle_m = above_m[:, [2, 5]].min(1) - above_m[:, [3, 6]].min(1)
    thigh_deg = np.min([_from_down_deg(joints_m, hip, knee) for hip, knee, _ in _LIMBS], axis=0)
    forward = _unit(np.cross(joints_m[:, 11] - joints_m[:, 14], up))
    reach_m = np.max(
        [
            np.einsum("fd,fd->f", joints_m[:, wrist] - joints_m[:, shoulder], forward)
            for shoulder, wrist in _ARMS
        ],
        axis=0,
    )
    lying = (lean_deg > 60) & (hip_m < 0.4)
    all_fours = (lean_deg > 45) & (wrist_m < 0.3) & (hip_m >= 0.3)
    return {
        "seated": (thigh_deg > 50) & (lean_deg < 50),
        "kneeling": (knee_over_ankle_m < 0.2) & (lean_deg < 60) & (hip_m < 0.75),
        "lying": lying,
        "all fours": all_fours,
        "bent": (lean_deg > 40) & ~lying & ~all_fours,
        "overhead": joints_m[:, [13, 16], 2].max(1) > joints_m[:, 10, 2],
        "arm in depth": reach_m > REACH_M,
    }


def groups_of_description(text: str) -> tuple[str, ...]:
    """Return the groups that a description of a motion names."""
    lower = text.lower()
    return tuple(
        group for group, words in ACTION_WORDS.items() if any(word in lower for word in words)
    )


def _from_down_deg(
    joints_m: Float[np.ndarray, "frame 17 3"], start: int, end: int
) -> Float[np.ndarray, " frame"]:
    """Return the angle between a bone and straight down."""
    down = -_unit(joints_m[:, end] - joints_m[:, start])[:, 2]
    return np.asarray(np.degrees(np.arccos(np.clip(down, -1, 1))))


def _unit(vectors: Float[np.ndarray, "frame 3"]) -> Float[np.ndarray, "frame 3"]:
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norm, 1e-9))
