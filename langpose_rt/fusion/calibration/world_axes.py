"""Metres, up, and the floor, from the walker that cameras were calibrated with."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M

ANKLE_HEIGHT_M = 0.085
"""Height of the ankle joint over the floor of a standing adult of REFERENCE_STATURE_M."""

LEAST_WALKED_M = 0.8
"""A walker who covers less than this on the floor is taken for somebody who stands still."""

_TOLERANCES_M = (0.1, 0.07, 0.05, 0.035, 0.025, 0.02, 0.02, 0.02)
"""Ankles so far from the floor count half; round by round, since the first floor is a guess."""
_FOOT_SIGMA_M = 0.02
_LEAN_SIGMA = 0.06
_SAMPLES_A_STEP = 6
_HIP, _THORAX, _R_ANKLE, _L_ANKLE = 0, 8, 3, 6


@dataclass(frozen=True, eq=False)
class WorldAxes:
    """Transform from the axes of the adjustment to the world: x_world = scale R x + t.

    Attributes:
        scale: Metres per unit.
        R: Rotation.
        t: Metres.
        walked_m: How far the walker got around on the floor: the larger side of the area.
    """

    scale: float
    R: Float[np.ndarray, "3 3"]
    t: Float[np.ndarray, "3"]
    walked_m: float


def world_axes(
    joints: Float[np.ndarray, "time 17 3"],
    camera_up: Float[np.ndarray, "3"],
    first_camera: Float[np.ndarray, "3"],
    height_m: float,
    scale: float,
) -> WorldAxes:
    """Find up and the floor.

    z is up and 0 on the floor; the origin is in the middle of where the walker was, and x points
    from there to the first camera.

    Args:
        joints: The walker; NaN where unknown.
        camera_up: Mean up of the cameras, which only has to be less than 90 degrees off.
        first_camera: Its centre.
        height_m: Of the walker.
        scale: Metres per unit.
    """
    metric = joints * scale
    upright = _upright(metric)
    if upright @ camera_up < 0:
        upright = -upright
    up, floor = _floor(metric, upright, ANKLE_HEIGHT_M * height_m / REFERENCE_STATURE_M)
    hips = metric[:, _HIP][np.isfinite(metric[:, _HIP]).all(-1)]
    middle = np.median(hips, axis=0)
    ahead = scale * first_camera - middle
    ahead -= up * (up @ ahead)
    x = ahead / np.linalg.norm(ahead)
    R = np.stack([x, np.cross(up, x), up])
    origin = middle - up * (up @ middle - floor)
    flat = (hips - origin) @ R[:2].T
    walked = float((np.quantile(flat, 0.98, axis=0) - np.quantile(flat, 0.02, axis=0)).max())
    return WorldAxes(scale=scale, R=R, t=-R @ origin, walked_m=walked)


def _upright(metric: Float[np.ndarray, "time 17 3"]) -> Float[np.ndarray, "3"]:
    """Return the median direction from between the feet to the neck, else from the hip."""
    for low in (metric[:, [_R_ANKLE, _L_ANKLE]].mean(1), metric[:, _HIP]):
        body = metric[:, _THORAX] - low
        body = body[np.isfinite(body).all(-1)]
        if len(body):
            break
    mean = np.median(body / np.linalg.norm(body, axis=-1, keepdims=True), axis=0)
    return np.asarray(mean / np.linalg.norm(mean))


def _floor(
    metric: Float[np.ndarray, "time 17 3"], upright: Float[np.ndarray, "3"], ankle_m: float
) -> tuple[Float[np.ndarray, "3"], float]:
    """Up and the height of the floor along it, from the lower ankle of every moment.

    Standing feet lie in a plane, and raised ones are above it; across the way of somebody who
    walks on one line only, the plane is open, and there the body says what is up.
    """
    ankles = metric[:, [_R_ANKLE, _L_ANKLE]]
    ankles = ankles[np.isfinite(ankles).all((1, 2))]
    across = np.linalg.svd(upright[None])[2][1:]
    slope, floor = np.zeros(2), float(np.median((ankles @ upright).min(1)))
    for tolerance_m in _TOLERANCES_M:
        height = ankles @ upright - ankles @ across.T @ slope
        lower = ankles[np.arange(len(ankles)), height.argmin(1)]
        over = height.min(1) - floor
        weight = 1 / (1 + (over / tolerance_m) ** 2) / (_SAMPLES_A_STEP * _FOOT_SIGMA_M**2)
        places = np.concatenate([lower @ across.T, np.ones((len(lower), 1))], 1)
        H = places.T @ (weight[:, None] * places)
        H[[0, 1], [0, 1]] += _LEAN_SIGMA**-2
        plane = np.linalg.solve(H, places.T @ (weight * (lower @ upright)))
        slope, floor = plane[:2], float(plane[2])
    up = upright - slope @ across
    length = float(np.linalg.norm(up))
    return up / length, floor / length - ankle_m
