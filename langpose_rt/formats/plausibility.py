"""Plausibility checks of clocks, keypoints, their formats and 3D ground truth.

Pure functions over arrays, the same for a clip and for a live stream. Each returns a Finding, or
None for plausible numbers. The caller decides what follows: impossible numbers are refused, odd
ones are used and reported once.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.geometry.skeleton import (
    BONES,
    JOINTS,
    REFERENCE_BONES_M,
    REFERENCE_STATURE_M,
    SKELETONS,
    Skeleton,
    bone_lengths,
    stature_m,
    to_h36m17,
)

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
CORNER_SHARE = 0.45
"""Keypoints that all lie within this share of width and height are of a smaller image."""

_SIZES = (
    (640, 480), (848, 480), (1280, 720), (1280, 960), (1920, 1080), (2560, 1440), (2704, 1520),
    (3840, 2160), (4096, 2160), (5312, 2988), (7680, 4320),
)  # fmt: skip

FORMAT_FRAMES = 30
"""Frames that a format is checked over."""
_FORMAT_MARGIN = 1.25
_FEW_FRAMES = 5
_FORMAT_MARGIN_OF_FEW = 1.4
THORAX, _LEFT_SHOULDER, _RIGHT_SHOULDER = 8, 11, 14
DOWNWARDS_SHARE = 0.5
"""Share of frames in which people must be upside down."""

_LARGEST_THOUSANDTH = 1024
_FEWEST_WHOLE = 100
_ASPECT_STRETCHES = 1.25
_SHOULDERS_PER_TRUNK = (0.5, 0.9)
"""Width of the shoulders over the length of the trunk, of people who turn in front of a camera."""
_BONE_STARTS, _BONE_ENDS = np.array(BONES).T
_FEWEST_BONES = 10
_SAME_SIZE = {17: ("coco17", "h36m17"), 25: ("body25", "body25b")}

_LARGEST_SCORE, _PERCENT = 2.0, 30.0
"""Peaks of heat maps are a little above 1; scores that exceed the second are percentages."""

_STATURE_M = (0.3, 3.0)
_BONE_PROPORTIONS = (0.35, 2.0)
"""Length of a bone over the usual one; 0.41 to 1.62 in motion capture, whose rigs differ widely."""

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
    if (reach < CORNER_SHARE * np.array(size)).all():
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
    hip, thorax = joints[:, 0], joints[:, THORAX]
    both = (hip[:, 2] > 0) & (thorax[:, 2] > 0)
    trunk = (thorax - hip)[both, :2]
    if not len(trunk) or (trunk[:, 1] > abs(trunk[:, 0])).mean() <= DOWNWARDS_SHARE:
        return None
    detail = (
        "shoulders are below hips; y grows downwards from the top of the image, and the image "
        "must be upright"
    )
    return Finding("upside_down", detail, impossible=False)


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
    parts = joints[:, [_LEFT_SHOULDER, _RIGHT_SHOULDER, THORAX, 0]]
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


def scores_finding(largest: float) -> Finding | None:
    """Detect scores of another scale: those above 1 become 1, so that no joint is doubtful.

    Args:
        largest: Largest score as it came.
    """
    if not _LARGEST_SCORE < largest < math.inf:
        return None
    scale = "; if they are percentages, divide by 100" if largest > _PERCENT else ""
    detail = (
        f"scores reach {largest:g}, expected 0 to 1: every joint above 1 is fully trusted{scale}"
    )
    return Finding("large_scores", detail, impossible=False)


def bones_finding(bones_m: Float[np.ndarray, "person 16"]) -> Finding | None:
    """Detect bone lengths in another unit or order, by the bodies they make.

    Args:
        bones_m: Length of every bone of `skeleton.BONES`, metres; a row with a NaN is unknown.
    """
    known_m = bones_m[np.isfinite(bones_m).all(-1)].astype(np.float64)
    heights_m = stature_m(known_m)
    low, high = _STATURE_M
    wrong_m = heights_m[(heights_m < low) | (heights_m > high)]
    if len(wrong_m):
        detail = (
            f"bone lengths make a person {wrong_m[0]:.1f} m tall, expected {low} to {high} m; if "
            "they are not metres, convert them"
        )
        return Finding("odd_bones", detail, impossible=False)
    usual_m = REFERENCE_BONES_M * heights_m[:, None] / REFERENCE_STATURE_M
    ratio = known_m / usual_m
    low, high = _BONE_PROPORTIONS
    odd = (ratio < low) | (ratio > high)
    if not odd.any():
        return None
    person, bone = np.argwhere(odd)[0]
    names = " ".join(JOINTS[joint] for _, joint in BONES)
    detail = (
        f"the bone that ends in {JOINTS[BONES[bone][1]]} is {ratio[person, bone]:.1f} times as "
        f"long as is usual for this stature; the order of bones_m is {names}"
    )
    return Finding("odd_bones", detail, impossible=False)


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


def _truth_unit(trunk: float) -> str:
    for unit, per_metre in _TRUTH_UNITS.items():
        if _TRUNK_M[0] <= trunk / per_metre <= _TRUNK_M[1]:
            return f"; it looks like {unit}"
    return ""


_TRUNK = [place for place, (_, end) in enumerate(BONES) if end in (7, 8)]
"""Indices of the bones Hip to Spine and Spine to Thorax."""
