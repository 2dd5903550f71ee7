"""Plausibility checks of clocks, image sizes, lenses, keypoint formats and 3D ground truth.

Pure functions over arrays, the same for a clip and for a live stream. Each returns a Finding, or
None for plausible numbers. The caller decides what follows: impossible numbers are refused, odd
ones are used and reported once.
"""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt32

from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.geometry.skeleton import BONES, SKELETONS, Skeleton, bone_lengths, to_h36m17

MIN_INTERVAL_NS = 900_000
"""Shortest plausible interval between frames: a little less than that of 1000 Hz."""

_LONGEST_INTERVAL_NS = 2_000_000_000
_FRAME_RATES_HZ = (1.0, 1000.0)
_USUAL_RATE_HZ = 50.0
_UNITS_NS = {"microseconds": 1e3, "milliseconds": 1e6, "seconds": 1e9, "ticks of 100 ns": 1e2}
_CLOCK_SPEEDS = (0.3, 4.0)
"""Capture time over receive time; within these, poses are less than 50 mm off."""

_UNIT_BOX = 1.5
"""Keypoints that all lie within this many pixels of the corner are fractions of the image."""

_FEWEST_JOINTS = 3
_OUTSIDE_SHARE = 0.5
_REACH_SHARE = 0.98
_SURE = 0.5
_SURE_OUTSIDE_SHARE = 0.04
_CORNER_SHARE = 0.45
_SIZES = (
    (640, 480), (848, 480), (1280, 720), (1280, 960), (1920, 1080), (2560, 1440), (2704, 1520),
    (3840, 2160), (4096, 2160), (5312, 2988), (7680, 4320),
)  # fmt: skip

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

FORMAT_FRAMES = 30
"""Frames that a format is checked over."""
_FORMAT_MARGIN = 1.25
_FEW_FRAMES = 5
_FORMAT_MARGIN_OF_FEW = 1.4
_THORAX, _LEFT_SHOULDER, _RIGHT_SHOULDER = 8, 11, 14
_DOWNWARDS_SHARE = 0.5
_UPWARDS = 0.6
_LOOKS_UP = 0.87
"""Sine of the pitch from which a camera cannot look up: 60 degrees."""

_LARGEST_THOUSANDTH = 1024
_FEWEST_WHOLE = 100
_ASPECT_STRETCHES = 1.25
_SHOULDERS_PER_TRUNK = (0.5, 0.9)
"""Width of the shoulders over the length of the trunk, of people who turn in front of a camera."""
_BONE_STARTS, _BONE_ENDS = np.array(BONES).T
_FEWEST_BONES = 10
_SAME_SIZE = {17: ("coco17", "h36m17"), 25: ("body25", "body25b")}

_LEAST_SHARED = 0.4
"""Share of poses that rest on two cameras: 0.68 and more in pairs of the bundled cameras, 0.29 and
less with exchanged names or another unit."""

_TRUNK_M = (0.2, 1.2)
_TRUTH_UNITS = {"millimetres": 1000.0, "centimetres": 100.0, "inches": 39.37}


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of a check that failed.

    Attributes:
        reason: Short label; name of the counter and the event.
        detail: One sentence for the user: what was found, what it looks like, what to do.
        impossible: The numbers cannot be right; False if they are merely odd.
    """

    reason: str
    detail: str
    impossible: bool


def clock_finding(t_ns: Int[np.ndarray, " frame"]) -> Finding | None:
    """Check the interval between frames against the frame rates of cameras.

    Args:
        t_ns: Rising capture times, nominally in nanoseconds.
    """
    if len(t_ns) < 2:
        return None
    interval = float(np.median(np.diff(t_ns)))
    if interval >= _LONGEST_INTERVAL_NS:
        detail = f"frames are {interval / 1e9:.3g} s apart; if that is wrong, send nanoseconds"
        return Finding("slow_clock", detail, impossible=False)
    if interval >= MIN_INTERVAL_NS:
        return None
    unit = _time_unit(t_ns, interval)
    looks = f"; they look like {unit}" if unit else ""
    detail = f"frames are {interval:g} ns apart{looks}; expected nanoseconds"
    return Finding("bad_clock", detail, impossible=True)


def _time_unit(t_ns: Int[np.ndarray, " frame"], interval: float) -> str:
    if (np.diff(t_ns) == 1).all():
        return "frame numbers"
    rates = {unit: 1e9 / max(interval * ns, 1e-9) for unit, ns in _UNITS_NS.items()}
    least, most = _FRAME_RATES_HZ
    likely = [unit for unit, rate in rates.items() if least <= rate <= most]
    return min(likely, key=lambda unit: abs(math.log(rates[unit] / _USUAL_RATE_HZ)), default="")


def clock_speed_finding(captured_ns: int, received_ns: int) -> Finding | None:
    """Check how fast a capture clock runs against the receive clock.

    Args:
        captured_ns: Capture time between two frames that are far apart.
        received_ns: Time between their arrivals.
    """
    speed = captured_ns / max(received_ns, 1)
    if _CLOCK_SPEEDS[0] <= speed <= _CLOCK_SPEEDS[1]:
        return None
    detail = (
        f"capture times run {speed:.3g} times as fast as the frames arrive; expected nanoseconds, "
        "unless a recording is played at another speed or a detector is slower than its video"
    )
    return Finding("odd_clock", detail, impossible=False)


def fractions_finding(
    keypoints: Float[np.ndarray, "*batch 3"], size: tuple[int, int]
) -> Finding | None:
    """Detect fractions of the image that were sent as pixels.

    Args:
        keypoints: x, y in pixels and score; a missing joint has no score.
        size: Width and height of the image, pixels.
    """
    xy = keypoints[keypoints[..., 2] > 0][..., :2]
    if len(xy) < _FEWEST_JOINTS or min(size) <= 8 * _UNIT_BOX or not (abs(xy) <= _UNIT_BOX).all():
        return None
    span = "-1 to 1" if (xy < 0).mean() > 0.1 else "0 to 1"
    detail = (
        f"keypoints lie between {xy.min():.3g} and {xy.max():.3g}; they look like fractions from "
        f"{span} of the image; expected pixels of {size[0]} x {size[1]}"
    )
    return Finding("fractions", detail, impossible=True)


def image_finding(
    keypoints: Float[np.ndarray, "frame person joint 3"], size: tuple[int, int]
) -> Finding | None:
    """Check keypoints of many frames against the size of their image.

    Args:
        keypoints: x, y in pixels and score; a missing joint has no score.
        size: Width and height of the image, pixels.
    """
    points = keypoints[keypoints[..., 2] > 0]
    xy, scores = points[:, :2], points[:, 2]
    if len(points) < _FEWEST_JOINTS:
        return None
    if (found := fractions_finding(points, size)) is not None:
        return found
    outside = ((xy < 0) | (xy > np.array(size))).any(axis=-1)
    reach = np.sort(xy, axis=0)[int(_REACH_SHARE * (len(xy) - 1))]
    given = f"the image is said to be {size[0]} x {size[1]}"
    reached = f"keypoints reach {reach[0]:.0f}, {reach[1]:.0f}"
    looks = f"they look like those of {_size_of(reach, size[1] > size[0])}"
    if outside.mean() > _OUTSIDE_SHARE:
        return Finding("wrong_size", f"{reached}, but {given}; {looks}", impossible=True)
    if (reach < _CORNER_SHARE * np.array(size)).all():
        return Finding("small_size", f"{reached}, and {given}; {looks}", impossible=False)
    sure = scores >= _SURE * np.median(scores)  # guesses of joints that are cut off are unsure
    share = (outside & sure).sum() / sure.sum()
    if share <= _SURE_OUTSIDE_SHARE:
        return None
    return Finding("outside", _outside(xy[outside & sure], share, given), impossible=False)


def _outside(stray: Float[np.ndarray, "joint 2"], share: float, given: str) -> str:
    """Say how many keypoints are outside, and whether most are one place that marks a missing one.

    A single one marks it if x and y are equal, as in -1, -1.
    """
    found = f"{share:.0%} of the keypoints are outside the image"
    places, times = np.unique(stray, axis=0, return_counts=True)
    x, y = places[times.argmax()].tolist()
    if times.max() > times.sum() / 2 and (times.max() > 1 or x == y):
        return f"{found}, most at {x:g}, {y:g}; a joint that is missing has the score 0"
    return f"{found}; {given}; were they found in it?"


def posture_finding(joints: Float[np.ndarray, "person 17 3"]) -> Finding | None:
    """Check that shoulders are above hips in most frames: y grows downwards.

    Args:
        joints: The 17 joints, x, y in pixels and score.
    """
    hip, thorax = joints[:, 0], joints[:, _THORAX]
    both = (hip[:, 2] > 0) & (thorax[:, 2] > 0)
    trunk = (thorax - hip)[both, :2]
    if not len(trunk) or (trunk[:, 1] > abs(trunk[:, 0])).mean() <= _DOWNWARDS_SHARE:
        return None
    detail = (
        "shoulders are below hips; y grows downwards from the top of the image, and the image "
        "must be upright"
    )
    return Finding("upside_down", detail, impossible=False)


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
    hip, thorax = joints[:, 0], joints[:, _THORAX]
    trunk = (thorax - hip)[(hip[:, 2] > 0) & (thorax[:, 2] > 0), :2]
    lengths = np.linalg.norm(trunk, axis=-1)
    if not lengths.any():
        return None
    upwards = (trunk[lengths > 0] / lengths[lengths > 0, None]) @ down[:2]
    if (upwards > _UPWARDS).mean() <= _DOWNWARDS_SHARE:
        return None
    x, y, z = down.tolist()
    detail = (
        f"gravity {x:.2f}, {y:.2f}, {z:.2f} points to people's heads; it is the way down, x right, "
        "y down, z forward; an accelerometer at rest measures the way up"
    )
    return Finding("gravity_up", detail, impossible=False)


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


def thousandths_finding(
    keypoints: Float[np.ndarray, "person joint 3"],
    joints: Float[np.ndarray, "person 17 3"],
    size: tuple[int, int],
) -> Finding | None:
    """Detect thousandths of the image that were sent as pixels, by what they do to bodies.

    Vision-language models answer in whole numbers from 0 to 1000, whatever the image. In an image
    that is larger, and wider or higher, these are within it, and people too narrow or too wide.

    Args:
        keypoints: x, y in pixels and score; a missing joint has no score.
        joints: The 17 joints of the same people, x, y in pixels and score.
        size: Width and height of the image, pixels.
    """
    width, height = size
    wider = width / height
    if min(size) <= _LARGEST_THOUSANDTH or max(wider, 1 / wider) < _ASPECT_STRETCHES:
        return None
    xy = keypoints[..., :2]
    largest = xy.max(initial=0)
    if largest > _LARGEST_THOUSANDTH or (xy % 1).any():
        return None
    if np.count_nonzero(keypoints[..., 2]) < _FEWEST_WHOLE:
        return None
    parts = joints[:, [_LEFT_SHOULDER, _RIGHT_SHOULDER, _THORAX, 0]]
    parts = parts[(parts[..., 2] > 0).all(-1), :, :2]
    if not len(parts):
        return None
    across = abs(parts[:, 0] - parts[:, 1])[:, 0]
    along = np.maximum(abs(parts[:, 2] - parts[:, 3])[:, 1], 1)
    widest = float(np.sort(across / along)[int(_REACH_SHARE * (len(parts) - 1))])
    least, most = _SHOULDERS_PER_TRUNK
    if not (widest < least < widest * wider if wider > 1 else widest > most > widest * wider):
        return None
    detail = (
        f"keypoints are whole numbers up to {largest:.0f} in an image of {width} x {height}, and "
        f"people are too {'narrow' if wider > 1 else 'wide'}; if they are thousandths of the "
        "image, as vision-language models give, divide by 1000 and send the unit norm"
    )
    return Finding("thousandths", detail, impossible=False)


def _size_of(reach: Float[np.ndarray, "2"], upright: bool) -> str:
    """Name the smallest usual image size that contains a point."""
    sizes = sorted(
        (*_SIZES, *((h, w) for w, h in _SIZES)),
        key=lambda size: (size[0] * size[1], (size[1] > size[0]) != upright),
    )
    for width, height in sizes:
        if reach[0] <= width and reach[1] <= height:
            return f"an image of {width} x {height}"
    return "a larger image"


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


def format_finding(
    people: Float[np.ndarray, "person joint 3"],
    skeleton: Skeleton,
    joints: Float[np.ndarray, "person 17 3"],
    fewest: int = FORMAT_FRAMES,
) -> Finding | None:
    """Check a keypoint format against others with the same number of joints by bone length.

    Args:
        people: x, y in pixels and score of all frames; a missing joint is all 0.
        skeleton: The assumed format. The right format has the shortest bones.
        joints: The 17 joints of the people by that format.
        fewest: Fewest people for a finding.
    """
    others = [name for name in _SAME_SIZE.get(len(skeleton.joints), ()) if name != skeleton.name]
    if not others:
        return None
    own = _mean_bone(joints)
    for name in others:
        other = _mean_bone(to_h36m17(people, SKELETONS[name]))
        both = np.isfinite(own) & np.isfinite(other)
        if both.sum() < fewest:
            continue
        longer = float(np.median(own[both] / other[both]))
        if longer > (_FORMAT_MARGIN_OF_FEW if both.sum() < _FEW_FRAMES else _FORMAT_MARGIN):
            detail = (
                f"{len(skeleton.joints)} keypoints taken for {skeleton.name} make bones "
                f"{longer:.1f} times as long as those of {name}; name the format, {name} if it is"
            )
            return Finding("other_format", detail, impossible=True)
    return None


def guess_finding(skeleton: Skeleton, option: str) -> Finding:
    """Return the finding that a format was guessed from the number of keypoints.

    Args:
        skeleton: The guessed format.
        option: Instruction that selects another format, such as "say --format".
    """
    count = len(skeleton.joints)
    others = [name for name in _SAME_SIZE.get(count, ()) if name != skeleton.name]
    perhaps = "".join(f"; if they are {name}, {option} {name}" for name in others)
    detail = f"{count} keypoints are taken for {skeleton.name}{perhaps}"
    return Finding("format_guessed", detail, impossible=False)


def _mean_bone(joints: Float[np.ndarray, "person 17 3"]) -> Float[np.ndarray, " person"]:
    """Return the mean bone length of every person in pixels; NaN if most bones are not seen."""
    starts, ends = _BONE_STARTS, _BONE_ENDS
    bones = joints[:, starts, :2] - joints[:, ends, :2]
    lengths = np.hypot(bones[..., 0], bones[..., 1])
    seen = (joints[:, starts, 2] > 0) & (joints[:, ends, 2] > 0)
    mean = np.where(seen, lengths, 0).sum(-1) / np.maximum(seen.sum(-1), 1)
    return np.where((seen.sum(-1) >= _FEWEST_BONES) & (mean > 0), mean, np.nan)


def truth_finding(pose3d: Float[np.ndarray, "frame 17 3"], counted: np.ndarray) -> Finding | None:
    """Check the trunk length of 3D ground truth against that of a person in metres.

    Args:
        pose3d: Joints, nominally in metres.
        counted: True for the joints that are evaluated.
    """
    known = np.isfinite(pose3d).all(-1) & counted
    if counted.any() and not known.any():
        return Finding("no_truth", '"pose3d" holds no number; expected metres', impossible=True)
    whole = (
        pose3d[known.all(-1)] if known.all(-1).any() else pose3d[np.isfinite(pose3d).all((1, 2))]
    )
    if not len(whole):
        return None
    trunk = float(np.median(bone_lengths(whole)[:, _TRUNK].sum(-1)))
    if trunk == 0:
        detail = 'all joints of "pose3d" are in one place; expected metres'
        return Finding("no_truth", detail, impossible=True)
    if _TRUNK_M[0] <= trunk <= _TRUNK_M[1]:
        return None
    detail = f'the trunk of "pose3d" is {trunk:.3g} long{_truth_unit(trunk)}; expected metres'
    return Finding("truth_unit", detail, impossible=True)


def agreement_finding(
    views: UInt32[np.ndarray, "frame person joint"], ids: Int[np.ndarray, "frame person"]
) -> Finding | None:
    """Check that fused poses rest on more than one camera where several see people.

    Args:
        views: Bit mask of the cameras that a joint rests on.
        ids: Ids of the people, -1 for nobody.
    """
    seen = (ids >= 0) & _several(np.bitwise_or.reduce(views, axis=(1, 2)))[:, None]
    share = (seen & _several(views).any(-1)).sum() / max(seen.sum(), 1)
    if not seen.any() or share >= _LEAST_SHARED:
        return None
    detail = (
        f"{share:.0%} of the poses rest on more than one camera; if the cameras see the same "
        "people, their calibration is of other cameras, mirrored or in another unit, their names "
        "are exchanged, or their clocks are apart"
    )
    return Finding("no_agreement", detail, impossible=False)


def _several(mask: UInt32[np.ndarray, "*batch"]) -> Bool[np.ndarray, "*batch"]:
    """Return True where more than one bit is set."""
    return (mask & (mask - np.uint32(1))) > 0


def _truth_unit(trunk: float) -> str:
    for unit, per_metre in _TRUTH_UNITS.items():
        if _TRUNK_M[0] <= trunk / per_metre <= _TRUNK_M[1]:
            return f"; it looks like {unit}"
    return ""


_TRUNK = [place for place, (_, end) in enumerate(BONES) if end in (7, 8)]
"""Indices of the bones Hip to Spine and Spine to Thorax."""
