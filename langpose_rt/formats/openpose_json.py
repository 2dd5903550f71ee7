"""Reader for a folder of OpenPose JSON, one file per frame.

The number of a frame is the last run of digits in its file's name (`cam01.0035.json`,
`video_000000000035_keypoints.json`); a missing number is a gap in time. The files have no image
size, frame rate or keypoint format: the caller gives them.
"""

import re
from pathlib import Path

import msgspec
import numpy as np
from jaxtyping import Float, Int

from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import Clip, ClipOverrides, keypoints_normalised, times_from_fps
from langpose_rt.geometry.skeleton import Skeleton, skeleton_of_size

PEOPLE_MAX = 64
"""A frame with more people than this is rejected as damaged."""

_LONGEST_FRAMES = 10_000_000


class _Person(msgspec.Struct):
    pose_keypoints_2d: list[float | None]
    person_id: list[int] = []


class _Frame(msgspec.Struct):
    people: list[_Person]


def clip_from_openpose(folder: Path, overrides: ClipOverrides) -> Clip:
    """Read a clip from a folder of OpenPose JSON.

    People have no fixed column: without a `person_id` for each of them, all ids are -1.

    Raises:
        ConfigError: If a file is damaged, the numbers of frames or keypoints do not fit, or size or
            frame rate is missing.
    """
    if overrides.size is None:
        raise ConfigError(
            f"{folder}: OpenPose JSON has no image size; say it with --size 1920x1080"
        )
    if overrides.fps is None:
        raise ConfigError(f"{folder}: OpenPose JSON has no frame rate; say it with --fps 30")
    numbered = _frames_by_number(folder)
    first = min(numbered)
    frames = [_read(path) for path in numbered.values()]
    count = _keypoint_count(list(numbered.values()), frames)
    skeleton = overrides.skeleton or _skeleton_of(folder, count)
    if count not in (0, len(skeleton.joints)):
        wanted = f"{len(skeleton.joints)} of the format {skeleton.name}; say another with --format"
        raise ConfigError(f"{folder}: found {count} keypoints a person; expected {wanted}")
    keypoints, ids = _padded(frames, len(skeleton.joints))
    return Clip(
        keypoints=keypoints_normalised(keypoints),
        skeleton=skeleton,
        size=overrides.size,
        t_ns=times_from_fps(np.array([n - first for n in numbered]), overrides.fps),
        ids=ids,
        intrinsics=overrides.intrinsics,
    )


def _frames_by_number(folder: Path) -> dict[int, Path]:
    numbered: dict[int, Path] = {}
    for path in sorted(folder.glob("*.json")):
        digits = re.findall(r"\d+", path.stem)
        if not digits:
            raise ConfigError(
                f"{path}: found no frame number in the name; expected frame_0001.json"
            )
        number = int(digits[-1])
        if number in numbered:
            both = f"{numbered[number].name} and {path.name}"
            raise ConfigError(f"{folder}: {both} are the same frame; give the folder of one camera")
        numbered[number] = path
    if not numbered:
        raise ConfigError(f"{folder} has no .json files; expected one a frame, or give an npz file")
    span = max(numbered) - min(numbered)
    if span > _LONGEST_FRAMES:
        raise ConfigError(
            f"{folder}: frame numbers span {span}; expected at most {_LONGEST_FRAMES}"
        )
    return dict(sorted(numbered.items()))


def _read(path: Path) -> list[_Person]:
    try:
        people = msgspec.json.decode(path.read_bytes(), type=_Frame).people
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is no OpenPose frame: {error}") from None
    if len(people) > PEOPLE_MAX:
        raise ConfigError(f"{path}: found {len(people)} people; expected at most {PEOPLE_MAX}")
    return [person for person in people if person.pose_keypoints_2d]


def _keypoint_count(paths: list[Path], frames: list[list[_Person]]) -> int:
    """Return the keypoints per person, the same in every frame; 0 if no frame has a person."""
    count = 0
    for path, people in zip(paths, frames, strict=True):
        for person in people:
            numbers = len(person.pose_keypoints_2d)
            if numbers % 3:
                raise ConfigError(f"{path}: found {numbers} numbers a person; expected x, y, score")
            if count and numbers != 3 * count:
                raise ConfigError(f"{path}: found {numbers // 3} keypoints; expected {count}")
            count = numbers // 3
    return count


def _skeleton_of(folder: Path, count: int) -> Skeleton:
    if count == 0:
        raise ConfigError(
            f"{folder}: no frame has a person; expected people with pose_keypoints_2d"
        )
    try:
        return skeleton_of_size(count)
    except ConfigError as error:
        raise ConfigError(f"{folder}: {error}") from None


def _padded(
    frames: list[list[_Person]], count: int
) -> tuple[Float[np.ndarray, "frame person k 3"], Int[np.ndarray, "frame person"]]:
    most = max(1, *map(len, frames))
    keypoints = np.zeros((len(frames), most, count, 3))
    ids = np.full((len(frames), most), -1, np.int64)
    for frame, people in enumerate(frames):
        for column, person in enumerate(people):
            numbers = np.array(person.pose_keypoints_2d, np.float64)  # null becomes NaN
            keypoints[frame, column] = numbers.reshape(count, 3)
            ids[frame, column] = person.person_id[0] if person.person_id else -1
    tracked = all(_ids_unique(ids[frame, : len(people)]) for frame, people in enumerate(frames))
    return keypoints, ids if tracked else np.full_like(ids, -1)


def _ids_unique(ids: Int[np.ndarray, " person"]) -> bool:
    return bool((ids >= 0).all()) and len(np.unique(ids)) == len(ids)
