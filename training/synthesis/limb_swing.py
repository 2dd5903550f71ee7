"""Poses nobody recorded: limbs, head and trunk held a little differently for a whole clip.

Five hours of capture hold few lunges, reaches or bowed heads. Turning each limb about its own joint
by a small angle that stays for the clip keeps the motion and widens the poses.
"""

import numpy as np
from jaxtyping import Float32
from scipy.spatial.transform import Rotation

Rng = np.random.Generator

SWINGS: tuple[tuple[int, tuple[int, ...], float], ...] = (
    (0, (7, 8, 9, 10, 11, 12, 13, 14, 15, 16), 9.0),
    (8, (9, 10), 18.0),
    (11, (12, 13), 20.0),
    (14, (15, 16), 20.0),
    (12, (13,), 14.0),
    (15, (16,), 14.0),
    (4, (5, 6), 14.0),
    (1, (2, 3), 14.0),
    (5, (6,), 8.0),
    (2, (3,), 8.0),
)
"""Joint that is turned about, joints that follow, and standard deviation in degrees.

Source: ours, after the idea of PoseAug (Gong et al. 2021), drawn at random instead of learned.
"""

_LARGEST = 2.0


def swing(
    rng: Rng, joints_m: Float32[np.ndarray, "clip frame 17 3"]
) -> Float32[np.ndarray, "clip frame 17 3"]:
    """Return the motion with every limb turned by an angle of its own; bone lengths are kept."""
    result = joints_m.copy()
    for pivot, followers, degrees in SWINGS:
        turn = np.radians(degrees) * rng.standard_normal((len(joints_m), 3))
        length = np.linalg.norm(turn, axis=-1, keepdims=True)
        most = np.radians(degrees) * _LARGEST
        turn *= np.minimum(1.0, most / np.maximum(length, 1e-9))
        matrix = Rotation.from_rotvec(turn).as_matrix().astype(np.float32)
        centre = result[:, :, [pivot]]
        limb = result[:, :, followers] - centre
        result[:, :, followers] = centre + limb @ matrix[:, None].swapaxes(-1, -2)
    return result
