"""Pinhole cameras: pixels to rays, root position, camera to world.

Camera axes are x right, y down, z forward, in metres. OpenCV is imported only where a lens has
distortion. Reading calibration files lives in `formats/calibration.py`.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from langpose_rt.errors import ConfigError

Number = int | float

_WORDS = re.compile(r"[^\W\d_]+|\d+")

DISTORTION_COUNTS = (0, 4, 5, 8, 12, 14)
"""How many distortion coefficients OpenCV's model may have."""

ASSUMED_FOV_DEG = 60.0
"""Field of view of the long side of an image without known intrinsics."""

NEAREST_M = 0.1
"""A root is never placed closer to the camera plane than this."""

_PRIOR_DEPTH_M = 4.0
_PRIOR_WEIGHT = 1e-6
"""In squared ray units: a person 10 m away spans 1e-3, so the prior moves the depth by 0.1 %."""

ROOT_PARAMETERS = np.array([_PRIOR_WEIGHT, _PRIOR_DEPTH_M, NEAREST_M])
"""The constants of `root_from_pose` in the order of RootParameters in cpp_ext/person_step.cpp."""

_UNDISTORT_UNTIL = (3, 40, 1e-9)
"""Termination criteria of cv2.undistortPoints: 40 iterations or a change below 1e-9; OpenCV's
default of 5 iterations is too few for strong distortion."""


def name_in(names: Iterable[str], wanted: str) -> str | None:
    """Return the name of a camera as a calibration spells it; None if there is none.

    "cam01", "cam_01" and "Cam1" are the same camera where only one of the names fits.
    """
    known = list(names)
    if wanted in known:
        return wanted
    alike = [name for name in known if _spelling(name) == _spelling(wanted)]
    return alike[0] if len(alike) == 1 else None


def name_of_stream(names: Iterable[str], rig: str, camera: str) -> str | None:
    """Return the name that a calibration has for a camera of a rig; None if there is none.

    "rig/camera" is looked for before "camera", and either as it is before other spellings.
    """
    known, place = list(names), f"{rig}/{camera}"
    exact = next((name for name in (place, camera) if name in known), None)
    return exact or name_in(known, place) or name_in(known, camera)


def name_within(names: Iterable[str], text: str) -> str | None:
    """Return the only camera whose name is part of a text, such as a file's; None otherwise.

    "cam_1" is in "trial_cam01_json", and not in "cam10".
    """
    words = _spelling(text)
    found = []
    for name in names:
        own = _spelling(name)
        starts = range(len(words) - len(own) + 1)
        if own and any(words[start : start + len(own)] == own for start in starts):
            found.append(name)
    return found[0] if len(found) == 1 else None


def _spelling(name: str) -> tuple[str, ...]:
    """Return letters and numbers of a name, without case, separators and leading zeros."""
    return tuple(word.lstrip("0") or "0" for word in _WORDS.findall(name.casefold()))


@dataclass(frozen=True, kw_only=True)
class Intrinsics:
    """Intrinsic parameters of one camera.

    Args:
        fx_px, fy_px: Focal lengths.
        cx_px, cy_px: Principal point, from the top-left corner.
        width_px, height_px: Size of the image that the other numbers belong to.
        dist: Distortion coefficients in OpenCV's order; empty for none.
        assumed: The numbers are a guess, not a calibration.

    Raises:
        ConfigError: If a number is not finite, a focal length or size is not positive, or there is
            no OpenCV model with that many coefficients.
    """

    fx_px: Number
    fy_px: Number
    cx_px: Number
    cy_px: Number
    width_px: Number
    height_px: Number
    dist: tuple[Number, ...] = ()
    assumed: bool = False

    def __post_init__(self) -> None:
        for name in ("fx_px", "fy_px", "width_px", "height_px"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"camera {name} is {value}; expected a positive number")
        if not (math.isfinite(self.cx_px) and math.isfinite(self.cy_px)):
            found = f"({self.cx_px}, {self.cy_px})"
            raise ConfigError(f"camera principal point is {found}; expected finite pixels")
        if len(self.dist) not in DISTORTION_COUNTS:
            counts = ", ".join(map(str, DISTORTION_COUNTS))
            raise ConfigError(
                f"camera has {len(self.dist)} distortion coefficients; expected one of {counts}"
            )
        if not all(math.isfinite(value) for value in self.dist):
            raise ConfigError(f"camera distortion is {self.dist}; expected finite numbers")

    @classmethod
    def from_fov(
        cls,
        width_px: Number,
        height_px: Number,
        fov_deg: Number = ASSUMED_FOV_DEG,
        assumed: bool = False,
    ) -> "Intrinsics":
        """Build intrinsics with square pixels, a centred principal point and a field of view.

        The field of view is that of the long side of the image.

        Raises:
            ConfigError: If the field of view is not between 3 and 170 degrees.
        """
        if not 3.0 <= fov_deg <= 170.0:
            looks = "; it looks like radians" if 0.1 <= fov_deg < 3.0 else ""
            raise ConfigError(f"field of view is {fov_deg} degrees{looks}; expected 3 to 170")
        focal_px = 0.5 * max(width_px, height_px) / math.tan(math.radians(fov_deg) / 2)
        return cls.from_focal(width_px, height_px, focal_px, assumed)

    @classmethod
    def from_focal(
        cls, width_px: Number, height_px: Number, focal_px: Number, assumed: bool = False
    ) -> "Intrinsics":
        """Build intrinsics with square pixels, a centred principal point and a focal length."""
        return cls(
            fx_px=focal_px,
            fy_px=focal_px,
            cx_px=width_px / 2,
            cy_px=height_px / 2,
            width_px=width_px,
            height_px=height_px,
            assumed=assumed,
        )

    @classmethod
    def from_matrix(
        cls, matrix: Any, width_px: Number, height_px: Number, dist: Sequence[Number] = ()
    ) -> "Intrinsics":
        """Build intrinsics from a 3 x 3 camera matrix, as calibration files give it.

        Raises:
            ConfigError: If it is not 3 x 3 finite numbers, or its last row is not 0 0 1.
        """
        K = _matrix_from_numbers(matrix)
        return cls(
            fx_px=float(K[0, 0]),
            fy_px=float(K[1, 1]),
            cx_px=float(K[0, 2]),
            cy_px=float(K[1, 2]),
            width_px=float(width_px),
            height_px=float(height_px),
            dist=tuple(float(value) for value in dist),
        )

    def resized(self, width_px: Number, height_px: Number) -> "Intrinsics":
        """Return the same lens for an image that was scaled to another size."""
        if (width_px, height_px) == (self.width_px, self.height_px):
            return self
        across, down = width_px / self.width_px, height_px / self.height_px
        return replace(
            self,
            fx_px=self.fx_px * across,
            cx_px=self.cx_px * across,
            fy_px=self.fy_px * down,
            cy_px=self.cy_px * down,
            width_px=width_px,
            height_px=height_px,
        )

    @property
    def matrix(self) -> Float[np.ndarray, "3 3"]:
        """The 3 x 3 camera matrix."""
        rows = [[self.fx_px, 0, self.cx_px], [0, self.fy_px, self.cy_px], [0, 0, 1]]
        return np.array(rows, np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Camera:
    """A calibrated camera: intrinsics, pose in the world and gravity.

    Args:
        name: Name the rig uses for it.
        intrinsics: Its lens and image size.
        T_world_camera: Takes points from camera axes to the world; None if unknown.
        gravity: Unit vector that points down, in camera axes; None if unknown.
    """

    name: str
    intrinsics: Intrinsics
    T_world_camera: Float[np.ndarray, "4 4"] | None = None
    gravity: Float[np.ndarray, "3"] | None = None


def gravity_in_world(cameras: Iterable[Camera]) -> tuple[float, float, float] | None:
    """Return the unit vector that points down in the world of the cameras; None if none knows."""
    for camera in cameras:
        if camera.gravity is not None and camera.T_world_camera is not None:
            x, y, z = (camera.T_world_camera[:3, :3] @ camera.gravity).tolist()
            return x, y, z
    return None


def pixel_to_ray(
    keypoints_px: Float[np.ndarray, "*batch joint 2"], intrinsics: Intrinsics
) -> Float[np.ndarray, "*batch joint 2"]:
    """Return the direction of every keypoint from the camera, as x/z and y/z.

    Frames:
        pixel: origin top-left, x right, y down; unit 1 px.
        ray: origin on the optical axis, x right, y down; dimensionless.

    Args:
        keypoints_px: Joints in the pixel frame; joints outside the image are legal.
        intrinsics: Lens of the image the joints were found in.

    Returns:
        A new array of the same dtype; missing joints (NaN) stay NaN. Where the distortion cannot be
        undone (far outside the image) the joint is taken as if the lens had none.

    Source:
        Pinhole model, Hartley and Zisserman 2004, eq. 6.2; distortion as in OpenCV.
    """
    focal = np.array([intrinsics.fx_px, intrinsics.fy_px])
    centre = np.array([intrinsics.cx_px, intrinsics.cy_px])
    rays = (keypoints_px.astype(np.float64) - centre) / focal
    if any(intrinsics.dist):
        _undistort(rays, intrinsics)
    return np.asarray(rays, keypoints_px.dtype)


def root_from_pose(
    pose_camera: Float[np.ndarray, "*batch joint 3"],
    rays: Float[np.ndarray, "*batch joint 2"],
    weights: Float[np.ndarray, "*batch joint"],
    last_root: Float[np.ndarray, "*batch 3"] | None = None,
) -> Float[np.ndarray, "*batch 3"]:
    """Return the root position at which the pose projects best onto its rays.

    Args:
        pose_camera: Joints relative to the root, in camera axes, metres.
        rays: Direction of every joint as x/z and y/z.
        weights: Weight of every joint, at least 0; a joint whose numbers are not finite gets 0.
        last_root: Root of the previous frame, NaN if there was none. Its depth is kept where the
            joints are too few or too close together to tell; all of it where no joint has weight.

    Returns:
        Root in camera axes, metres, always finite and at least NEAREST_M in front of the camera.
        With fewer than two weighted joints and no last root, the depth is 4 m; with none, the root
        is on the optical axis.

    Source:
        Ours: least squares of the two equations x - u z = 0, y - v z = 0 a joint, linear in the
        root.
    """
    joints, rays64 = pose_camera.astype(np.float64), rays.astype(np.float64)
    trusted = np.isfinite(joints).all(-1) & np.isfinite(rays64).all(-1)
    trusted &= np.isfinite(weights) & (weights > 0)
    w = np.where(trusted, weights.astype(np.float64), 0.0)
    w /= np.maximum(w.sum(-1, keepdims=True), np.finfo(np.float64).tiny)
    uv = np.where(trusted[..., None], rays64, 0.0)
    joints = np.where(trusted[..., None], joints, 0.0)
    # Sum over joints of w (xy + root_xy - uv (z + root_z))^2. Its best root_xy for a given root_z
    # is mean_uv * root_z - mean_gap, which leaves one line to solve.
    gap = joints[..., :2] - uv * joints[..., 2:]
    mean_uv, mean_gap = (w[..., None] * uv).sum(-2), (w[..., None] * gap).sum(-2)
    spread_uv = np.where(trusted[..., None], uv - mean_uv[..., None, :], 0.0)
    information = (w[..., None] * spread_uv**2).sum((-1, -2)) + _PRIOR_WEIGHT
    pull = (w[..., None] * spread_uv * (gap - mean_gap[..., None, :])).sum((-1, -2))
    prior = np.full((*w.shape[:-1], 3), (np.nan, np.nan, _PRIOR_DEPTH_M))
    if last_root is not None:
        prior = np.where(np.isfinite(last_root).all(-1, keepdims=True), last_root, prior)
    depth = np.maximum((pull + _PRIOR_WEIGHT * prior[..., 2]) / information, NEAREST_M)[..., None]
    root = np.concatenate([mean_uv * depth - mean_gap, depth], -1)
    nothing = ~trusted.any(-1, keepdims=True) & np.isfinite(prior).all(-1, keepdims=True)
    root = np.where(nothing, prior, root)
    return np.asarray(root, pose_camera.dtype)


def camera_to_world(
    points_camera: Float[np.ndarray, "*batch 3"], T_world_camera: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "*batch 3"]:
    """Return the points in world axes, as a new array of the points' dtype."""
    points_world = points_camera @ T_world_camera[:3, :3].T + T_world_camera[:3, 3]
    return np.asarray(points_world, points_camera.dtype)


def _matrix_from_numbers(matrix: Any) -> Float[np.ndarray, "3 3"]:
    try:
        K = np.asarray(matrix, np.float64)
    except (TypeError, ValueError):
        raise ConfigError("camera matrix is not made of numbers; expected 3 x 3 numbers") from None
    if K.shape != (3, 3):
        raise ConfigError(f"camera matrix has shape {K.shape}; expected (3, 3)")
    if not np.allclose(K[2], (0.0, 0.0, 1.0)):
        raise ConfigError(f"camera matrix ends in the row {K[2].tolist()}; expected 0 0 1")
    return K


def _distort(rays: np.ndarray, intrinsics: Intrinsics) -> np.ndarray:
    import cv2

    points = np.concatenate([rays, np.ones_like(rays[:, :1])], -1)
    if len(points) == 0:
        return rays
    zero, dist = np.zeros(3), np.array(intrinsics.dist)
    return np.asarray(cv2.projectPoints(points, zero, zero, np.eye(3), dist)[0]).reshape(-1, 2)


def _undistort(rays: np.ndarray, intrinsics: Intrinsics) -> None:
    """Undistort rays in place; keep a ray whose redistortion misses by more than one pixel."""
    import cv2

    known = np.isfinite(rays).all(-1)
    if not known.any():
        return
    distorted = np.ascontiguousarray(rays[known])
    points, lens, dist = distorted[:, None], np.eye(3), np.array(intrinsics.dist)
    if hasattr(cv2, "undistortPointsIter"):  # OpenCV 4; in 5 undistortPoints takes the criteria
        undistorted = cv2.undistortPointsIter(points, lens, dist, None, None, _UNDISTORT_UNTIL)[
            :, 0
        ]
    else:
        undistorted = cv2.undistortPoints(points, lens, dist, criteria=_UNDISTORT_UNTIL)[:, 0]
    miss_px = np.abs(distorted - _distort(undistorted, intrinsics)).max(-1) * intrinsics.fx_px
    rays[known] = np.where(miss_px[:, None] <= 1.0, undistorted, distorted)
