"""Plausibility checks of cameras: lens, image size, place in the world, and gravity.

The same for clips, rigs and calibrations.
"""

import math
import operator
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from langpose_rt.formats.plausibility.finding import Finding
from langpose_rt.formats.plausibility.images import DOWNWARDS_SHARE, THORAX
from langpose_rt.geometry.camera import Intrinsics

_ASPECT_WITHIN = 0.02
_FOCAL_PER_SIZE = (0.15, 30.0)
"""Focal length over the long side of the image: from 147 to 2 degrees."""

FARTHEST_M = 100.0
"""Positions farther from the origin of the world are in millimetres, or unusable."""

_OF_AN_AXIS, _OFF_ALL_AXES = 0.985, 0.94
"""Cosines of 10 and 20 degrees: from gravity to the nearest axis of a world that is level."""

_CENTRE_WITHIN = 0.15
"""Principal point from the middle of the image, over the image: 2 to 5 % by manufacture."""

_CORNER_TIMES = 3.0
"""Distance of a corner's image from the middle, over that without distortion."""

_UPWARDS = 0.6
_LOOKS_UP = 0.87
"""Sine of the pitch from which a camera cannot look up: 60 degrees."""


def size_finding(calibrated: tuple[int, int], size: tuple[int, int]) -> Finding | None:
    """Check the aspect ratio of an image against its calibration; scaling is allowed."""
    (width, height), (w, h) = calibrated, size
    if abs(w * height / (h * width) - 1) <= _ASPECT_WITHIN:
        return None
    given = f"calibrated for {width} x {height}, but the keypoints are of {w} x {h}"
    if abs(h * height / (w * width) - 1) <= _ASPECT_WITHIN:
        detail = f"{given}: the image was turned; calibrate the camera as it films"
    else:
        detail = f"{given}: the image was cropped or stretched; calibrate that size"
    return Finding("other_shape", detail, impossible=True)


def lens_finding(lens: Intrinsics) -> Finding | None:
    """Check focal lengths and principal point against the size of their image."""
    long_px = max(lens.width_px, lens.height_px)
    image = f"an image of {lens.width_px:g} x {lens.height_px:g}"
    least, most = _FOCAL_PER_SIZE
    for focal_px in (lens.fx_px, lens.fy_px):
        if not least * long_px <= focal_px <= most * long_px:
            normalised = max(lens.fx_px, lens.fy_px) < 8 and abs(lens.cx_px) <= 1
            looks = "fractions of the image" if normalised else "another unit or size"
            detail = (
                f"found a focal length of {focal_px:g} px for {image}; it looks like {looks}; "
                "expected pixels"
            )
            return Finding("bad_focal", detail, impossible=True)
    inside = 0 <= lens.cx_px <= lens.width_px and 0 <= lens.cy_px <= lens.height_px
    place = f"found the principal point {lens.cx_px:g}, {lens.cy_px:g}"
    if not inside:
        detail = f"{place} outside {image}; was it calibrated at another size?"
        return Finding("odd_centre", detail, impossible=False)
    off = max(abs(lens.cx_px / lens.width_px - 0.5), abs(lens.cy_px / lens.height_px - 0.5))
    if off > _CENTRE_WITHIN:
        detail = (
            f"{place}, far from the middle of {image}; that of an image of {2 * lens.cx_px:.0f} x "
            f"{2 * lens.cy_px:.0f} is there; was it calibrated at another size?"
        )
        return Finding("odd_centre", detail, impossible=False)
    if abs(times := _corner_moved(lens)) > _CORNER_TIMES:
        detail = (
            f"the distortion puts the corner of {image} at {times:.3g} times its distance from the "
            "middle; expected OpenCV's order: k1, k2, p1, p2, k3"
        )
        return Finding("odd_distortion", detail, impossible=False)
    if not 0.5 <= lens.fx_px / lens.fy_px <= 2.0:
        detail = f"found focal lengths of {lens.fx_px:g} and {lens.fy_px:g} px; expected near equal"
        return Finding("odd_focal", detail, impossible=False)
    return None


def _corner_moved(lens: Intrinsics) -> float:
    """Return by how much the polynomial k1, k2, k3 moves the corner; 1 for a rational one."""
    if len(lens.dist) not in (4, 5):
        return 1.0
    k1, k2, *_, k3 = (*lens.dist, 0.0)[:5]
    squared = (lens.width_px / lens.fx_px / 2) ** 2 + (lens.height_px / lens.fy_px / 2) ** 2
    return 1 + squared * (k1 + squared * (k2 + squared * k3))


def place_finding(
    T_world_camera: Sequence[float], gravity: tuple[float, float, float] | None
) -> Finding | None:
    """Check the place of a camera for its unit, and its direction against gravity.

    Args:
        T_world_camera: 4 x 4 in row order, nominally from camera to world in metres.
        gravity: The way down in camera axes, of unit length; None if it is not known.
    """
    T = T_world_camera
    far = math.hypot(T[3], T[7], T[11])
    if far > FARTHEST_M:
        detail = (
            f"T_wc puts the camera {far:.0f} m from the origin of the world; expected metres"
            f"{', and these look like millimetres' if far <= FARTHEST_M * 1000 else ''}"
        )
        return Finding("far_camera", detail, impossible=False)
    if gravity is None:
        return None
    rows, columns = (T[0:3], T[4:7], T[8:11]), (T[0:9:4], T[1:10:4], T[2:11:4])
    of_axis, of_axis_turned = (
        max(abs(sum(map(operator.mul, axis, gravity))) for axis in axes) for axes in (rows, columns)
    )
    if of_axis > _OFF_ALL_AXES or of_axis_turned < _OF_AN_AXIS:
        return None
    detail = (
        "gravity is along no axis of the world by T_wc, and along one by its inverse; expected "
        "camera to world: the last column is where the camera is"
    )
    return Finding("inverse_camera", detail, impossible=False)


def gravity_finding(
    down: Float[np.ndarray, "3"], joints: Float[np.ndarray, "person 17 3"]
) -> Finding | None:
    """Check that gravity does not point from people's hips to their shoulders, nor out of the lens.

    Args:
        down: Unit vector that is said to point down, camera axes: x right, y down, z forward.
        joints: The 17 joints, x, y in pixels and score.
    """
    if down[2] < -_LOOKS_UP:
        x, y, z = down.tolist()
        detail = (
            f"gravity {x:.2f}, {y:.2f}, {z:.2f} has the camera look up by "
            f"{math.degrees(math.asin(min(-z, 1))):.0f} degrees; it is the way down in the axes of "
            "the camera, x right, y down, z forward, and not in those of a world"
        )
        return Finding("gravity_up", detail, impossible=False)
    hip, thorax = joints[:, 0], joints[:, THORAX]
    trunk = (thorax - hip)[(hip[:, 2] > 0) & (thorax[:, 2] > 0), :2]
    lengths = np.linalg.norm(trunk, axis=-1)
    if not lengths.any():
        return None
    upwards = (trunk[lengths > 0] / lengths[lengths > 0, None]) @ down[:2]
    if (upwards > _UPWARDS).mean() <= DOWNWARDS_SHARE:
        return None
    x, y, z = down.tolist()
    detail = (
        f"gravity {x:.2f}, {y:.2f}, {z:.2f} points to people's heads; it is the way down, x right, "
        "y down, z forward; an accelerometer at rest measures the way up"
    )
    return Finding("gravity_up", detail, impossible=False)
