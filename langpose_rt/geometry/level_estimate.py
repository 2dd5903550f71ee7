"""Estimate which way is up for a camera that nobody knows, from the people it sees.

Who stands or walks is upright on average: from the middle of the feet to the neck points up. The
estimate is a running mean of that direction over everybody who is upright in themselves, with
straight legs and the trunk in line with them. It is causal and slow, and it is for output axes
only: the network never gets it.
"""

import math

import numpy as np
from jaxtyping import Bool, Float

from langpose_rt.config import NS_PER_S
from langpose_rt.geometry.level_axes import Vector
from langpose_rt.geometry.skeleton import JOINTS

PERIOD_S = 0.2
"""People are looked at so often: leaning changes slowly, and a look costs time."""

MEMORY_S = 300.0
"""Time constant with which old looks are forgotten: a camera may be moved."""

ENOUGH_S = 10.0
"""Seconds of upright people before there is an estimate."""

AGREEMENT = 0.97
"""Least length of the mean of the directions: about 14 degrees of scatter."""

_STRAIGHT = 0.96
_IN_LINE = math.cos(math.radians(20.0))
_THORAX = JOINTS.index("Thorax")
_RIGHT, _LEFT = (
    [JOINTS.index(side + name) for name in ("Hip", "Knee", "Ankle")] for side in ("R", "L")
)
_NEEDED = [*_RIGHT, *_LEFT, JOINTS.index("LShoulder"), JOINTS.index("RShoulder")]
"""Joints that must be seen; the neck follows from the shoulders."""


class LevelEstimate:
    """Running estimate of gravity in the axes of one camera.

    Attributes:
        gravity: Unit vector that points down; None while too little, or contradictory, was seen.

    Source:
        Ours: standing people as plumb lines.
    """

    def __init__(self) -> None:
        self.gravity: Vector | None = None
        self._sum = np.zeros(3)
        self._seconds = 0.0
        self._time_ns: int | None = None

    def is_due(self, time_ns: int) -> bool:
        """Return True if a frame of this capture time is to be looked at.

        A step back of the time, of a new epoch, begins a new period.
        """
        return self._time_ns is None or not 0 <= time_ns - self._time_ns < PERIOD_S * NS_PER_S

    def look(
        self,
        poses_m: Float[np.ndarray, "person 17 3"],
        seen: Bool[np.ndarray, "person 17"],
        time_ns: int,
    ) -> None:
        """Take a frame into the estimate, if one is due.

        Args:
            poses_m: Joints in camera axes, relative to any origin.
            seen: Joints with a keypoint.
            time_ns: Capture time.
        """
        if not self.is_due(time_ns):
            return
        self._time_ns = time_ns
        ups = upright_directions(poses_m, seen)
        kept = math.exp(-PERIOD_S * len(ups) / MEMORY_S)
        self._sum = kept * self._sum + PERIOD_S * ups.sum(0)
        self._seconds = kept * self._seconds + PERIOD_S * len(ups)
        length = float(np.linalg.norm(self._sum))
        self.gravity = None
        if self._seconds >= ENOUGH_S and length >= AGREEMENT * self._seconds:
            x, y, z = (-self._sum / length).tolist()
            self.gravity = x, y, z


def upright_directions(
    poses_m: Float[np.ndarray, "person 17 3"], seen: Bool[np.ndarray, "person 17"]
) -> Float[np.ndarray, "upright 3"]:
    """Return the direction from the feet to the neck of everybody who is upright in themselves."""
    whole = poses_m[seen[:, _NEEDED].all(1)].astype(np.float64)
    feet = (whole[:, _RIGHT[2]] + whole[:, _LEFT[2]]) / 2
    trunk, legs = whole[:, _THORAX] - whole[:, 0], whole[:, 0] - feet
    straight = np.minimum(_straightness(whole[:, _RIGHT]), _straightness(whole[:, _LEFT]))
    in_line = (_unit(trunk) * _unit(legs)).sum(-1)
    up = _unit(whole[:, _THORAX] - feet)
    return np.asarray(up[(straight > _STRAIGHT) & (in_line > _IN_LINE)])


def _straightness(leg: Float[np.ndarray, "person 3 3"]) -> Float[np.ndarray, " person"]:
    """Return the distance from hip to ankle over the length of thigh and shin."""
    thigh, shin, whole = (
        np.linalg.norm(leg[:, end] - leg[:, start], axis=-1)
        for start, end in ((0, 1), (1, 2), (0, 2))
    )
    return np.asarray(whole / np.maximum(thigh + shin, 1e-6))


def _unit(vectors: Float[np.ndarray, "person 3"]) -> Float[np.ndarray, "person 3"]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-9))
