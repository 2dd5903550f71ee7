"""The people of one frame as they came from the network, made safe to compute with.

Works on arrays only: which joints are missing, which people are kept, which ids stand. Headers and
bytes are in `keypoint_message.py`, JSON in `lenient.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from langpose_rt.geometry.skeleton import SKELETONS
from langpose_rt.protocol.header import MAX_JOINTS, MAX_PEOPLE, RejectReason, reject

MAX_IMAGE_SIZES = 10
"""A coordinate further out than this many image sizes is an impossible number."""

_ANY_FLOAT = float(np.finfo(np.float32).max)


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """Keypoints and ids that every later stage may trust, and what was changed.

    Args:
        keypoints: x and y in pixels, score in 0..1; a missing joint is (0, 0, 0).
        ids: Number of every person; -1 is untracked; no other number comes twice.
        clipped: Joints that were made missing because a number was impossible.
        people_dropped: People beyond the MAX_PEOPLE best, left out.
        duplicate_ids: People whose id was taken by an earlier one.
    """

    keypoints: Float32[np.ndarray, "person joint 3"]
    ids: Int64[np.ndarray, " person"]
    clipped: int
    people_dropped: int
    duplicate_ids: int


def check_joint_count(skeleton: str, joints: int) -> None:
    """Refuse an unknown keypoint format, or a number of joints that is not the format's.

    Raises:
        MessageError: unknown_format or bad_shape.
    """
    if skeleton not in SKELETONS:
        known = ", ".join(sorted(SKELETONS))
        raise reject(RejectReason.UNKNOWN_FORMAT, f"got fmt {skeleton[:64]!r}, known are {known}")
    expected = len(SKELETONS[skeleton].joints)
    if joints != expected or joints > MAX_JOINTS:
        raise reject(
            RejectReason.BAD_SHAPE,
            f"got {joints} joints, {skeleton} has {expected} (at most {MAX_JOINTS})",
        )


def detections_from_wire(
    keypoints: Float32[np.ndarray, "person joint 3"],
    ids: Sequence[int],
    wh: tuple[int, int],
    *,
    unit: str = "px",
) -> Detections:
    """Missing joints, impossible numbers, crowds and twice-given ids, each dealt with and counted.

    A joint is missing where any of its numbers is NaN, its score is not above 0, or it lies exactly
    at (0, 0). It is made
    missing, and counted, where a number is infinite or a coordinate is more than MAX_IMAGE_SIZES
    images away. Scores above 1 become 1: some detectors report peak heights.

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
    width, height = wh if unit == "px" else (1, 1)
    limits = (MAX_IMAGE_SIZES * width, MAX_IMAGE_SIZES * height, _ANY_FLOAT)
    x, y, score = (keypoints[..., column] for column in range(3))
    seen = (abs(x) <= limits[0]) & (abs(y) <= limits[1]) & (score > 0) & (score <= limits[2])
    clean, clipped = keypoints.copy(), 0
    seen &= (x != 0) | (y != 0)  # where detectors of the YOLO family put what they did not find
    if not seen.all():
        clean[~seen] = 0
        clipped = int((abs(keypoints) > np.array(limits, np.float32)).any(-1).sum())
    np.minimum(clean[..., 2], 1, out=clean[..., 2])
    if unit == "norm":
        clean[..., :2] *= np.array(wh, np.float32)
    numbers = np.array(ids, np.int64)
    dropped = max(len(ids) - MAX_PEOPLE, 0)
    if dropped:
        best = np.sort(np.argsort(-clean[..., 2].mean(-1), kind="stable")[:MAX_PEOPLE])
        clean, numbers = clean[best], numbers[best]
    repeated = _repeated(numbers)
    if repeated:
        numbers[repeated] = -1
    return Detections(
        keypoints=clean,
        ids=numbers,
        clipped=clipped,
        people_dropped=dropped,
        duplicate_ids=len(repeated),
    )


def _repeated(ids: Int64[np.ndarray, " person"]) -> list[int]:
    """Places where an id from 0 on was already given to an earlier person.

    The later one becomes untracked rather than the message refused: a detector that slips once
    must not cost everyone else in the image their frame.
    """
    taken: set[int] = set()
    places = []
    for place, number in enumerate(ids.tolist()):
        if number in taken:
            places.append(place)
        elif number >= 0:
            taken.add(number)
    return places
