"""Errors of a 2D detector that a calibration has to live with, as shares of a person's height.

What varies is averaged away by a long walk; what is constant for a camera and joint is not, and
decides how exact a calibration can be.
"""

import numpy as np
from jaxtyping import Float

NOISE = 0.004
"""Usual standard deviation of what varies, in each direction of the picture."""

_OFFSET = 0.01 * np.array(
    [1.3, 1.0, 0.9, 0.8, 1.0, 0.9, 0.8, 1.1, 1.5, 1.6, 2.0, 1.1, 0.7, 0.8, 1.1, 0.7, 0.8]
)
"""Standard deviation of each joint's constant offset, in a detector of the usual noise.

Source: ours, detectors measured against 3D (docs/model/training.md, "Detector noise").
"""

_HIPS = 0.014
_HIPS_SHARE = {0: 1.0, 1: 1.0, 4: 1.0, 7: 0.5}
"""Part of the offset that the hips have in common, and how much of it each joint takes."""


def offset_precision() -> Float[np.ndarray, "17 17"]:
    """Return the inverse covariance of the joints' constant offsets, in one direction.

    A detector that is noisier is also farther off: multiply by the square of its noise, in units
    of NOISE.
    """
    common = np.zeros(17)
    common[list(_HIPS_SHARE)] = list(_HIPS_SHARE.values())
    return np.asarray(np.linalg.inv(np.diag(_OFFSET**2) + _HIPS**2 * np.outer(common, common)))
