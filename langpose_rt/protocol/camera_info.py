"""Camera entry of a keypoint message, and the check of its numbers.

Calibration files and the cameras that poses are computed with are in `langpose_rt.geometry.camera`.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from langpose_rt.geometry.camera import DISTORTION_COUNTS
from langpose_rt.protocol.header import RejectReason, reject

_MAX_DIST = 1e4
_MAX_METRES = 1e6
_FOCAL_IMAGES = (0.02, 200.0)
"""Least and greatest focal length in image sizes: fields of view from 175 down to 0.3 degrees."""


class RigCamera(msgspec.Struct, frozen=True, omit_defaults=True):
    """Camera parameters sent by a rig; every entry is optional."""

    k: tuple[float, float, float, float] | None = None
    """fx, fy, cx, cy in pixels of the image `wh`."""
    dist: tuple[float, ...] = ()
    """Distortion in OpenCV's order: none, 4, 5, 8, 12 or 14 numbers."""
    undistorted: bool = False
    """The keypoints are already undistorted; `dist` is then not to be applied."""
    T_wc: Annotated[tuple[float, ...], Meta(min_length=16, max_length=16)] | None = None
    """Rigid transform from camera to world, 4 x 4 in row order, metres."""
    gravity: tuple[float, float, float] | None = None
    """Direction in which things fall, in camera axes; unit length after decoding."""


@lru_cache(maxsize=256)
def camera_checked(cam: RigCamera | None, wh: tuple[int, int]) -> RigCamera | None:
    """Check a camera and return it with gravity of unit length; cached per camera.

    Raises:
        MessageError: bad_camera, if a number is not finite or impossible for a camera.
    """
    if cam is None:
        return None
    image_px = float(max(wh))
    if cam.k is not None:
        focal, centre = cam.k[:2], cam.k[2:]
        least_px, most_px = (images * image_px for images in _FOCAL_IMAGES)
        _require(all(least_px <= f <= most_px for f in focal), f"focal lengths {focal} px")
        _require(all(abs(c) <= 10 * image_px for c in centre), f"principal point {centre} px")
    _require(len(cam.dist) in DISTORTION_COUNTS, f"{len(cam.dist)} distortion numbers")
    _require(all(abs(d) <= _MAX_DIST for d in cam.dist), f"distortion {cam.dist}")
    if cam.T_wc is not None:
        _require(_is_rigid(cam.T_wc), "a T_wc that is not a rigid transform in row order")
    if cam.gravity is None:
        return cam
    length = math.hypot(*cam.gravity)
    _require(0.1 <= length <= 100, f"gravity {cam.gravity}")
    if abs(length - 1) < 1e-6:
        return cam
    x, y, z = (axis / length for axis in cam.gravity)
    return msgspec.structs.replace(cam, gravity=(x, y, z))


def _require(holds: bool, found: str) -> None:
    if not holds:
        raise reject(RejectReason.BAD_CAMERA, f"got {found}, which no camera has")


def _is_rigid(numbers: Sequence[float]) -> bool:
    if not all(abs(number) <= _MAX_METRES for number in numbers):
        return False
    T = np.array(numbers).reshape(4, 4)
    R = T[:3, :3]
    return bool(
        np.abs(R @ R.T - np.eye(3)).max() < 1e-3
        and np.linalg.det(R) > 0
        and np.abs(T[3] - (0, 0, 0, 1)).max() < 1e-6
    )
