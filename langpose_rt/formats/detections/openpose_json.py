"""Reader for a folder of OpenPose JSON, one file per frame.

The number of a frame is the number in its file's name that differs from file to file
(`cam01.0035.json`, `video_000000000035_keypoints.json`); a missing number is a gap in time, and so
is a file that is cut off. Files of another name that hold no people are passed over. The files say
neither image size, nor frame rate, nor keypoint format: whoever opens the folder does.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.formats.bounded_file import MAX_FRAME_BYTES, read_bounded
from langpose_rt.formats.clip import Clip, ClipOverrides
from langpose_rt.formats.detections.detected_people import (
    OpenPosePerson,
    check_people_named,
    people_from_openpose,
)
from langpose_rt.formats.detections.frame_files import files_by_frame
from langpose_rt.formats.detections.frames_of_people import (
    FramePeople,
    clip_from_frames,
    required_size_and_rate,
)
from langpose_rt.formats.detections.json_text import json_from_bytes

WHAT = "OpenPose JSON"
_NAMED_FILES = 3


class _Frame(msgspec.Struct):
    people: list[OpenPosePerson]


_FRAME = msgspec.json.Decoder(_Frame)


class _CutOffError(ConfigError):
    """A file that is no JSON: most often the program that wrote it was stopped."""


def clip_from_openpose(folder: Path, overrides: ClipOverrides) -> Clip:
    """Read a clip from a folder of OpenPose JSON.

    People have no fixed column: without a `person_id` for each of them, all ids are -1. Where
    empty objects keep the places of people who were not seen, as Pose2Sim's association writes
    them, the place is the id.

    Raises:
        ConfigError: If a file is not what it should be, the numbers of frames or keypoints do not
            fit, or size or frame rate is missing.
    """
    numbered, strays = files_by_frame(folder, _is_frame)
    required_size_and_rate(folder, overrides, WHAT)
    frames, damaged = _read_all(numbered)
    if any(not person.named for people in frames.values() for person in people):
        found = {n: _by_place(numbered[n], people) for n, people in frames.items()}
    else:
        found = {n: _frame_people(numbered[n], people) for n, people in frames.items()}
    notes = []
    if strays:
        notes.append(f"passed over {_named(strays)}: no OpenPose frames")
    if damaged:
        notes.append(f"{_named(damaged)} cannot be read: a gap in time")
    return clip_from_frames(folder, found, overrides, what=WHAT, notes=notes)


def _read_all(numbered: dict[int, Path]) -> tuple[dict[int, list[OpenPosePerson]], list[Path]]:
    """Return the people of every frame, and the files that are cut off.

    Raises:
        ConfigError: If half of the files or more are cut off, or one is something else.
    """
    frames: dict[int, list[OpenPosePerson]] = {}
    damaged: list[Path] = []
    first: _CutOffError | None = None
    for number, path in numbered.items():
        try:
            frames[number] = _read(path)
        except _CutOffError as error:
            damaged.append(path)
            first = first or error
    if first is not None and 2 * len(damaged) >= len(numbered):
        raise first
    return frames, damaged


def _read(path: Path) -> list[OpenPosePerson]:
    raw = read_bounded(path, MAX_FRAME_BYTES)
    try:
        people = json_from_bytes(raw, _FRAME).people
        check_people_named(people, raw)
    except MessageError as error:
        raise ConfigError(f"{path}: {error.detail}") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path} is no OpenPose frame: {error}") from None
    except msgspec.DecodeError as error:
        raise _CutOffError(f"{path} is no OpenPose frame: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no OpenPose frame: {error}") from None
    return people


def _is_frame(path: Path) -> bool:
    try:
        _read(path)
    except ConfigError:
        return False
    return True


def _frame_people(path: Path, people: list[OpenPosePerson]) -> FramePeople:
    for person in people:
        if len(person.numbers) % 3:
            raise ConfigError(
                f"{path}: found {len(person.numbers)} numbers a person; expected x, y, score"
            )
    try:
        found, ids = people_from_openpose(people)
    except MessageError as error:
        raise ConfigError(f"{path}: {error.detail}") from None
    return FramePeople(source=str(path), people=found, ids=ids)


def _by_place(path: Path, people: list[OpenPosePerson]) -> FramePeople:
    found = _frame_people(path, people)
    places = [place for place, person in enumerate(people) if person.numbers]
    return FramePeople(source=found.source, people=found.people, ids=places)


def _named(paths: Iterable[Path]) -> str:
    names = [path.name for path in paths]
    more = f" and {len(names) - _NAMED_FILES} more" if len(names) > _NAMED_FILES else ""
    return ", ".join(names[:_NAMED_FILES]) + more
