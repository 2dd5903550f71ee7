"""Metres, up, and the floor, from the walker that cameras were calibrated with."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from langpose_rt.geometry.skeleton import BONES, REFERENCE_STATURE_M, bone_lengths, stature_m

ANKLE_HEIGHT_M = 0.085
"""Height of the ankle joint over the floor of a standing adult of REFERENCE_STATURE_M."""

LEAST_WALKED_M = 0.8
"""A walker who covers less than this on the floor is taken for somebody who stands still."""

_STANCE = 0.5
_ROUNDS = 5
_FOOT_SIGMA_M = 0.02
_LEAN_SIGMA = 0.06
_STEPS = 10
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
    noise_m: Float[np.ndarray, " 17"],
) -> WorldAxes:
    """Find scale, up and floor.

    z is up and 0 on the floor; the origin is in the middle of where the walker was, and x points
    from there to the first camera.

    Args:
        joints: The walker; NaN where unknown.
        camera_up: Mean up of the cameras, which only has to be less than 90 degrees off.
        first_camera: Its centre.
        height_m: Of the walker.
        noise_m: How far each joint usually is from where it should be.
    """
    scale = height_m / walker_height(joints, noise_m)
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


def walker_height(
    joints: Float[np.ndarray, "time 17 3"], noise_m: Float[np.ndarray, " 17"]
) -> float:
    """Return the walker's height in the unit of the joints.

    Noise at both ends makes bones too long by its square, which is taken off again.
    """
    parents, children = np.array(BONES).T
    squared = np.nanmedian(bone_lengths(joints) ** 2, axis=0)
    noise = noise_m[parents] ** 2 + noise_m[children] ** 2
    return float(stature_m(np.sqrt(np.maximum(squared - noise, 0.25 * squared))))


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

    Standing feet lie in a plane; across the way of somebody who walks on one line only, the plane
    is open, and there the body says what is up.
    """
    ankles = metric[:, [_R_ANKLE, _L_ANKLE]]
    ankles = ankles[np.isfinite(ankles).all((1, 2))]
    up, stance = upright, ankles[:, 0]
    lean = (np.eye(3) - np.outer(upright, upright)) / _LEAN_SIGMA**2
    for _ in range(_ROUNDS):
        height = ankles @ up
        lower = ankles[np.arange(len(ankles)), height.argmin(1)]
        stance = lower[height.min(1) <= np.quantile(height.min(1), _STANCE)]
        spread = np.cov(stance.T, bias=True)
        _, axes = np.linalg.eigh(_STEPS * spread / _FOOT_SIGMA_M**2 + lean)
        up = axes[:, 0] * np.sign(axes[:, 0] @ upright)
    return up, float(np.median(stance @ up)) - ankle_m
