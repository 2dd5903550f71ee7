"""People of one frame in the JSON of OpenPose, AlphaPose, MMPose, rtmlib, MediaPipe and YOLO.

Shared by the readers of files and of messages, so that both read the same. Errors are MessageError
with the reasons of the wire: one frame is not acceptable.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from langpose_rt.errors import MessageError

MAX_ID = (1 << 53) - 1
"""Largest number of a person: the largest integer that JavaScript holds exactly."""

BAD_JSON, BAD_SHAPE, SEVERAL_FRAMES = "bad_json", "bad_shape", "several_frames"

MAX_NAME_CHARS = 64
"""Longer names of people are cut."""

Names = tuple[Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARS)] | None, ...]
"""A name of every person; None without one."""

_MAX_OFFENDER_CHARS = 80
_NOBODY = ("", "-1")
_NAMED_ID = 1 << 52
"""Least number of a person who has a name instead of a number."""


class NamedId(int):
    """Number of a person whom a tracker calls by a text, which it keeps.

    The number is a hash of the text, so that it is the same in every frame, file and start.
    """

    name: str

    @classmethod
    def of(cls, text: str) -> "NamedId":
        """Return the number of a text."""
        digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).digest()
        number = cls(_NAMED_ID + int.from_bytes(digest, "big"))
        number.name = text[:MAX_NAME_CHARS]
        return number


def names_of_ids(ids: Sequence[int]) -> dict[int, str]:
    """Return the names of those numbers that have one."""
    return {int(number): number.name for number in ids if isinstance(number, NamedId)}


class Landmark(msgspec.Struct):
    """A joint as an object: MediaPipe's landmark or TensorFlow.js' keypoint."""

    x: float | None
    y: float | None
    visibility: float | None = None
    score: float | None = None

    def to_numbers(self) -> list[float | None]:
        """Return x, y and score; a joint without a score counts as seen."""
        score = self.score if self.visibility is None else self.visibility
        return [self.x, self.y, 1.0 if score is None else score]


Point = list[float | None]
Numbers = list[float | Landmark | list[float | Landmark | Point | None] | None]
"""Nested lists of numbers or landmarks; null is a missing one."""


class LandmarkOrList(msgspec.Struct):
    """A landmark, or a person of MediaPipe's older interface: `{"landmark": [...]}`."""

    x: float | None = None
    y: float | None = None
    visibility: float | None = None
    landmark: list[Landmark] | None = None

    def to_landmarks(self) -> list[Landmark] | Landmark:
        """Return the person's landmarks, or the one landmark."""
        return self.landmark or Landmark(self.x, self.y, self.visibility)


Landmarks = LandmarkOrList | list[LandmarkOrList | list[Landmark]]


class OpenPosePerson(msgspec.Struct):
    """A person of OpenPose; `pose_keypoints` is the key of OpenPose before 1.2."""

    pose_keypoints_2d: list[float | None] | msgspec.UnsetType | None = msgspec.UNSET
    pose_keypoints: list[float | None] | msgspec.UnsetType | None = msgspec.UNSET
    person_id: Any = None

    @property
    def named(self) -> bool:
        """True if the object has a key of body keypoints."""
        return not (
            self.pose_keypoints_2d is msgspec.UNSET and self.pose_keypoints is msgspec.UNSET
        )

    @property
    def numbers(self) -> list[float | None]:
        """x, y, score of every joint in a row; empty if the body was not found."""
        return self.pose_keypoints_2d or self.pose_keypoints or []


class Columns(msgspec.Struct):
    """Keypoints as columns, as ultralytics (YOLO pose) writes them; not found is (0, 0)."""

    x: list[float | None]
    y: list[float | None]
    visible: list[float | None] | None = None

    def to_numbers(self) -> list[Any]:
        """Return x, y and score of every joint; without a score a joint counts as seen.

        Raises:
            MessageError: bad_shape.
        """
        scores = [1.0] * len(self.x) if self.visible is None else self.visible
        if not len(self.x) == len(self.y) == len(scores):
            found = f"{len(self.x)} x, {len(self.y)} y and {len(scores)} visible"
            raise MessageError(BAD_SHAPE, f"got keypoints with {found}; they do not fit together")
        return [list(joint) for joint in zip(self.x, self.y, scores, strict=True)]


class Instance(msgspec.Struct):
    """A person of AlphaPose (flat x, y, score), MMPose (pairs, scores beside them) or YOLO."""

    keypoints: Numbers | Columns
    keypoint_scores: list[float | None] | None = None
    scores: list[float | None] | None = None
    track_id: Any = None
    idx: Any = None
    image_id: Any = None


class _Keys(msgspec.Struct):
    people: list[dict[str, Any]] = []


_KEYS = msgspec.json.Decoder(_Keys)

People = tuple[npt.NDArray[np.float64], list[int]]
"""x, y, score of people and joints, and an id for every person; -1 is unknown."""


def people_from_openpose(people: Sequence[OpenPosePerson]) -> People:
    """Return the people of an OpenPose frame; one without body keypoints is left out.

    Raises:
        MessageError: bad_shape.
    """
    seen = [person for person in people if person.numbers]
    found = people_with_scores([person.numbers for person in seen], None)
    return found, [person_id(person.person_id) for person in seen]


def check_people_named(people: Sequence[OpenPosePerson], raw: bytes) -> None:
    """Refuse people none of whom has a key that is known, though they hold something.

    Args:
        people: As they were decoded.
        raw: The JSON they came from.

    Raises:
        MessageError: bad_json, naming the keys that were found.
    """
    if not people or any(person.named for person in people):
        return
    keys = sorted({key for person in _KEYS.decode(raw).people for key in person} - {"person_id"})
    if keys:
        found = ", ".join(keys)[:_MAX_OFFENDER_CHARS]
        raise MessageError(
            BAD_JSON, f"got people with {found}; expected pose_keypoints_2d or pose_keypoints"
        )


def people_from_instances(instances: Sequence[Instance]) -> People:
    """Return the people of a frame of AlphaPose or MMPose.

    Raises:
        MessageError: bad_shape, or several_frames if they are of more than one image.
    """
    images = {str(instance.image_id) for instance in instances}
    if len(images) > 1:
        raise MessageError(SEVERAL_FRAMES, f"got people of {len(images)} images")
    found = [
        item.keypoints.to_numbers()
        if isinstance(item.keypoints, Columns)
        else numbers_of_landmarks(item.keypoints)
        for item in instances
    ]
    scores = [_scores_beside(item) for item in instances]
    unscored = all(score is None for score in scores)
    ids = [person_id(item.track_id, _alphapose_id(item.idx)) for item in instances]
    return people_with_scores(found, None if unscored else scores), ids


def people_from_landmarks(landmarks: Landmarks) -> People:
    """Return the people of a frame of MediaPipe: x and y are fractions of the image.

    Raises:
        MessageError: bad_shape.
    """
    found = landmarks if isinstance(landmarks, list) else [landmarks]
    rows: list[Any] = [
        item.to_landmarks() if isinstance(item, LandmarkOrList) else item for item in found
    ]
    if rows and all(isinstance(row, Landmark) for row in rows):
        rows = [rows]  # one person without the outer list
    people = people_with_scores(numbers_of_landmarks(rows), None)
    return people, [-1] * len(people)


def people_with_scores(
    numbers: Sequence[Any], scores: Sequence[Any] | None
) -> npt.NDArray[np.float64]:
    """Return people, joints and x, y, score, from whichever nesting they came in.

    Args:
        numbers: Nested lists of x, y, score, of x and y, or with every person in one row.
        scores: Of every joint, where they are beside x and y; None for a score of 1.

    Raises:
        MessageError: bad_shape.
    """
    found = _array(numbers)
    if found.size == 0:
        return np.empty((0, 0, 3))
    if found.ndim == 1 or (found.ndim == 2 and found.shape[1] in (2, 3)):
        found = found[None]  # one person without the outermost list
    if found.ndim == 2 and found.shape[1] % 3 == 0:
        found = found.reshape(len(found), -1, 3)
    if found.ndim != 3 or found.shape[2] not in (2, 3):
        shape = list(found.shape)
        raise MessageError(BAD_SHAPE, f"got keypoints of shape {shape}, expected [P, K, 3]")
    if found.shape[2] == 3 and scores is None:
        return found
    beside = np.ones(found.shape[:2]) if scores is None else _array(scores)
    if found.shape[2] == 3 or beside.size != found[..., 0].size:
        shapes = f"{list(found.shape)} and scores of shape {list(beside.shape)}"
        raise MessageError(BAD_SHAPE, f"got keypoints of shape {shapes}; they do not fit together")
    return np.concatenate([found, beside.reshape(*found.shape[:2], 1)], -1)


def numbers_of_landmarks(numbers: Sequence[Any]) -> list[Any]:
    """Return nested lists of numbers with every landmark object as its x, y and score."""
    return [
        item.to_numbers()
        if isinstance(item, Landmark)
        else numbers_of_landmarks(item)
        if isinstance(item, list) and any(isinstance(inner, Landmark) for inner in item)
        else item
        for item in numbers
    ]


def has_own_scores(numbers: Sequence[Any]) -> bool:
    """Return True if nested lists of keypoints have a third column."""
    while isinstance(numbers, list) and numbers and isinstance(numbers[0], list):
        numbers = numbers[0]
    return len(numbers) != 2


def person_id(*candidates: object) -> int:
    """Return the first candidate that is a number or a name, alone or in lists; else -1."""
    for value in candidates:
        number = value
        while isinstance(number, list) and number:  # AlphaPose: [[1.0], [1.0]] after merging boxes
            number = number[0]
        if isinstance(number, str) and number.strip() not in _NOBODY:
            return int(number) if _is_number(number) else NamedId.of(number.strip())
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        if 0 <= number <= MAX_ID and number == int(number):
            return int(number)
    return -1


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text[:17]) <= MAX_ID and len(text) < 17


def _scores_beside(instance: Instance) -> list[float | None] | None:
    if instance.keypoint_scores is not None:
        return instance.keypoint_scores
    if isinstance(instance.keypoints, Columns) or has_own_scores(instance.keypoints):
        return None
    return instance.scores


def _alphapose_id(idx: object) -> int | None:
    """Return AlphaPose's number of a person; 0 means that it does not track."""
    return person_id(idx) or None


def _array(numbers: Sequence[Any]) -> npt.NDArray[np.float64]:
    try:
        return np.array(numbers, np.float64)
    except ValueError:  # NumPy on rows of different lengths
        counts = sorted({len(row) for row in numbers if isinstance(row, list)})
        found = f" of {', '.join(map(str, counts))} numbers" if len(counts) > 1 else ""
        raise MessageError(
            BAD_SHAPE,
            f"got rows{found} of different lengths in one frame; expected one format for everybody",
        ) from None
    except TypeError:
        raise MessageError(BAD_JSON, "got keypoints nested unevenly; expected [P, K, 3]") from None
