"""Plausibility checks of keypoints in their image: unit, size, and which way is up."""

import numpy as np
from jaxtyping import Float

from langpose_rt.formats.plausibility.finding import Finding

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

THORAX, _LEFT_SHOULDER, _RIGHT_SHOULDER = 8, 11, 14
DOWNWARDS_SHARE = 0.5
"""Share of frames in which people must be upside down."""

_LARGEST_THOUSANDTH = 1024
_FEWEST_WHOLE = 100
_ASPECT_STRETCHES = 1.25
_SHOULDERS_PER_TRUNK = (0.5, 0.9)
"""Width of the shoulders over the length of the trunk, of people who turn in front of a camera."""


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
