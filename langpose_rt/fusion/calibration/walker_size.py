"""Size of the walker in the unit of the adjustment: with their height it gives the metres."""

import numpy as np
from jaxtyping import Float

from langpose_rt.errors import ConfigError
from langpose_rt.geometry.skeleton import REFERENCE_BONES_M, bone_lengths

_LINE = [[1, 4], [2, 5], [6, 6], [7, 7], [8, 8], [9, 9]]
"""Bones that add up to the height: thigh, shin, spine, neck, face and head, right and left."""

_UPPER = [[1, 4], [2, 5], [7, 7], [8, 8], [9, 9], [10, 10]]
_LOWER = [[2, 5], [3, 6], [0, 0], [7, 7], [8, 8], [9, 9]]
"""Joints at the upper and the lower end of each."""

_PROPORTIONS = np.array([0.05, 0.05, 0.08, 0.08, 0.12, 0.12])
"""Standard deviation of each among people of one height, as a share of its length."""


def walker_size(
    joints: Float[np.ndarray, "time 17 3"],
    variance: Float[np.ndarray, "time 17"],
    offsets: Float[np.ndarray, "17 17"],
) -> float:
    """Return how large the walker is, in units of the reference body.

    Bones that the detector's constant offsets may have made longer or shorter count for less, as
    far as people of one height are alike. Errors across a bone make it longer by their square,
    which is taken off.

    Args:
        joints: The walker; NaN where unknown.
        variance: Of the joints along an axis, from moment to moment.
        offsets: Covariance of their constant errors along an axis.

    Raises:
        ConfigError: If no bone from foot to head is known.

    Source: generalised least squares; ours.
    """
    joint = np.eye(17)
    ends = joint[_UPPER].mean(1) - joint[_LOWER].mean(1)
    error = ends @ offsets @ ends.T
    across = 2 * (np.abs(ends) @ np.nan_to_num(_median(variance)) + np.diag(error))
    squared = _median(bone_lengths(joints) ** 2)[_LINE].mean(1)
    known = np.isfinite(squared)
    if not known.any():
        raise ConfigError(
            "two cameras never saw both ends of a bone of leg, trunk or head; expected a walker "
            "who is in view from head to foot"
        )
    lengths = np.sqrt(np.maximum(squared - across, 1e-4))[known]
    reference = REFERENCE_BONES_M[_LINE].mean(1).astype(np.float64)
    # people of one height: what one bone is too long, the others are too short
    spread = np.diag((_PROPORTIONS * reference) ** 2)
    total = spread.sum(0)
    spread -= np.outer(total, total) / total.sum()
    covariance = (spread + error + 1e-10 * np.eye(len(_LINE)))[np.ix_(known, known)]
    weight = np.linalg.solve(covariance, reference[known])
    return float(weight @ lengths / (weight @ reference[known]))


def _median(values: Float[np.ndarray, "time column"]) -> Float[np.ndarray, " column"]:
    """Return the median of what is known of every column; NaN where nothing is."""
    known = np.isfinite(values).any(0)
    medians = np.full(values.shape[1], np.nan)
    medians[known] = np.nanmedian(values[:, known], axis=0)
    return medians
