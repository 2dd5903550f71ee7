"""People of a frame as a detector sent them: wrong numbers, crowds and repeated ids corrected.

The corrections are counted, so that a detector with errors is found and costs nobody a frame. They
are the same in C++ (cpp_ext/keypoints.cpp) if the extension was built.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from langpose_rt.protocol.header import MAX_PEOPLE, RejectReason, reject
from langpose_rt.window.native import HOST_IS_NATIVE

if HOST_IS_NATIVE:
    from langpose_rt import _native as native

MAX_IMAGE_SIZES = 10
"""A coordinate further out than this many image sizes is an impossible number."""

_ANY_FLOAT = float(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """Checked people of one frame: keypoints and ids, and counts of the corrections.

    Args:
        keypoints: x and y in pixels, score in 0..1; a missing joint is (0, 0, 0).
        ids: Number of every person; -1 is untracked; no other number comes twice.
        places: Place of every person in the message.
        clipped: Joints that were made missing because a number was impossible.
        people_dropped: People beyond the MAX_PEOPLE best, left out.
        duplicate_ids: People whose id was taken by an earlier one.
        largest_score: Largest score as it came, before those above 1 became 1; at least 1.
    """

    keypoints: Float32[np.ndarray, "person joint 3"]
    ids: Int64[np.ndarray, " person"]
    places: Sequence[int]
    clipped: int
    people_dropped: int
    duplicate_ids: int
    largest_score: float


def detections_from_wire(
    keypoints: Float32[np.ndarray, "person joint 3"],
    ids: Sequence[int],
    wh: tuple[int, int],
    *,
    unit: str = "px",
) -> Detections:
    """Correct and count missing joints, impossible numbers, crowds and repeated ids.

    A joint is missing where any of its numbers is NaN, its score is not above 0, or it lies exactly
    at (0, 0). It is made missing, and counted, where a number is infinite or a coordinate is more
    than MAX_IMAGE_SIZES images away. Scores above 1 become 1: some detectors report peak heights.

    Args:
        keypoints: x, y, score as they came; not changed.
        ids: One number for every person, -1 or more.
        wh: Width and height of the image in pixels.
        unit: "px", or "norm" for coordinates that are fractions of width and height.

    Raises:
        MessageError: bad_ids, if there is not one id for every person.
    """
    if len(ids) != len(keypoints):
        raise reject(RejectReason.BAD_IDS, f"got {len(ids)} ids for {len(keypoints)} people")
    clean, clipped = clean_keypoints(keypoints, wh, unit=unit)
    numbers = np.array(ids, np.int64)
    dropped = max(len(ids) - MAX_PEOPLE, 0)
    places: Sequence[int] = range(len(ids))
    if dropped:
        best = np.sort(np.argsort(-clean[..., 2].mean(-1), kind="stable")[:MAX_PEOPLE])
        clean, numbers, places = clean[best], numbers[best], best.tolist()
    repeated = _repeated(numbers)
    if repeated:
        numbers[repeated] = -1
    return Detections(
        keypoints=clean,
        ids=numbers,
        places=places,
        clipped=clipped,
        people_dropped=dropped,
        duplicate_ids=len(repeated),
        largest_score=float(np.fmax.reduce(keypoints[..., 2], axis=None, initial=1)),
    )


def clean_keypoints(
    keypoints: Float32[np.ndarray, "person joint 3"], wh: tuple[int, int], *, unit: str
) -> tuple[Float32[np.ndarray, "person joint 3"], int]:
    """Make joints missing as `detections_from_wire` says, and turn fractions into pixels.

    Returns:
        New keypoints, and the count of joints that were impossible.
    """
    if not HOST_IS_NATIVE:
        return clean_keypoints_numpy(keypoints, wh, unit=unit)
    clean = np.empty(keypoints.shape, np.float32)
    clipped: int = native.clean_keypoints(
        np.require(keypoints, np.float32, ["C", "A"]), *wh, unit == "norm", MAX_IMAGE_SIZES, clean
    )
    return clean, clipped


def clean_keypoints_numpy(
    keypoints: Float32[np.ndarray, "person joint 3"], wh: tuple[int, int], *, unit: str
) -> tuple[Float32[np.ndarray, "person joint 3"], int]:
    """Define `clean_keypoints`, and stand in for it without the extension."""
    width, height = wh if unit == "px" else (1, 1)
    limits = (MAX_IMAGE_SIZES * width, MAX_IMAGE_SIZES * height, _ANY_FLOAT)
    x, y, score = (keypoints[..., column] for column in range(3))
    seen = (abs(x) <= limits[0]) & (abs(y) <= limits[1]) & (score > 0) & (score <= limits[2])
    seen &= (x != 0) | (y != 0)  # (0, 0) is the missing joint of detectors of the YOLO family
    clean, clipped = keypoints.copy(), 0
    if not seen.all():
        clean[~seen] = 0
        clipped = int((abs(keypoints) > np.array(limits, np.float32)).any(-1).sum())
    np.minimum(clean[..., 2], 1, out=clean[..., 2])
    if unit == "norm":
        clean[..., :2] *= np.array(wh, np.float32)
    return clean, clipped


def _repeated(ids: Int64[np.ndarray, " person"]) -> list[int]:
    """Return the indices of people whose id, from 0 on, is that of an earlier person.

    The later one becomes untracked rather than the message refused, so that an error of a detector
    does not cost the other people their frame.
    """
    taken: set[int] = set()
    places = []
    for place, number in enumerate(ids.tolist()):
        if number in taken:
            places.append(place)
        elif number >= 0:
            taken.add(number)
    return places
