"""JSON of a whole clip in one file, as AlphaPose and MMPose write it.

    [{"image_id": "12.jpg", "keypoints": [x, y, score, ...], "idx": 1}, ...]     AlphaPose
    {"12.jpg": {"people": [{"pose_keypoints_2d": [...]}]}, ...}                  AlphaPose, open
    [{"frame_id": 3, "instances": [{"keypoints": [[x, y], ...]}, ...]}, ...]     MMPose
    {"meta_info": {...}, "instance_info": [{"frame_id": 3, "instances": ...}]}   MMPose's demos
    [[{"keypoints": [[x, y], ...], "keypoint_scores": [...]}, ...], ...]         MMPose's inferencer

and lists of frames of OpenPose. The number of a frame is `frame_id` or the last number in the name
of its image, else its place. One frame alone, in any layout of the wire, is a clip of one frame.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.formats.bounded_file import MAX_CLIP_BYTES, read_bounded
from langpose_rt.formats.clip import Clip, ClipOverrides
from langpose_rt.formats.detections.detected_people import (
    Instance,
    OpenPosePerson,
    People,
    people_from_instances,
    people_from_openpose,
)
from langpose_rt.formats.detections.frames_of_people import (
    FramePeople,
    clip_from_frames,
    required_size_and_rate,
)
from langpose_rt.formats.detections.json_text import json_from_bytes

WHAT = "JSON of a detector"
LAYOUTS = "OpenPose, AlphaPose or MMPose"

_ANY: "msgspec.json.Decoder[Any]" = msgspec.json.Decoder()
_MAX_FRAME = 10_000_000


def clip_from_detector_json(path: Path, overrides: ClipOverrides) -> Clip:
    """Read a clip from one file.

    Raises:
        ConfigError: If it is none of the layouts, or size or frame rate is missing.
    """
    required_size_and_rate(path, overrides, WHAT)
    try:
        document = json_from_bytes(read_bounded(path, MAX_CLIP_BYTES), _ANY)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no JSON: {error}") from None
    frames: dict[int, FramePeople] = {}
    for number, found in sorted(_frames(path, document), key=lambda frame: frame[0]):
        source = f"{path}: frame {number}"
        if number in frames:
            raise ConfigError(f"{source} comes twice; give the file of one video")
        try:
            people, ids = _people(found)
        except MessageError as error:
            raise ConfigError(f"{source}: {error.detail}") from None
        except msgspec.ValidationError as error:
            raise ConfigError(f"{source} is none of {LAYOUTS}: {error}") from None
        frames[number] = FramePeople(source=source, people=people, ids=ids)
    if not frames:
        raise ConfigError(f"{path} has no frames; expected those of {LAYOUTS}")
    return clip_from_frames(path, frames, overrides, what=WHAT)


def _frames(path: Path, document: Any) -> Iterator[tuple[int, Any]]:
    """Yield the number of every frame and what it holds."""
    if isinstance(document, dict) and "instance_info" in document:
        document = document["instance_info"]
    if isinstance(document, dict):
        if "people" in document or "instances" in document:
            yield 0, document
            return
        yield from _by_image(path, document)
    elif isinstance(document, list) and document and all(map(_is_instance, document)):
        images: dict[str, list[Any]] = {}
        for item in document:
            images.setdefault(str(item.get("image_id", 0)), []).append(item)
        yield from _by_image(path, images)
    elif isinstance(document, list):
        for place, item in enumerate(document):
            number = item.get("frame_id", place) if isinstance(item, dict) else place
            yield _checked(path, number), item
    else:
        raise ConfigError(f"{path}: found neither a list nor an object; expected {LAYOUTS}")


def _by_image(path: Path, images: Mapping[str, Any]) -> Iterator[tuple[int, Any]]:
    digits = {name: re.findall(r"\d+", name) for name in images}
    numbered = all(digits.values())
    for place, (name, found) in enumerate(images.items()):
        yield _checked(path, int(digits[name][-1]) if numbered else place), found


def _checked(path: Path, number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= _MAX_FRAME:
        raise ConfigError(f"{path}: found the frame number {number!r}; expected 0 to {_MAX_FRAME}")
    return number


def _is_instance(item: Any) -> bool:
    return isinstance(item, dict) and "keypoints" in item


def _people(found: Any) -> People:
    """Return the people of one frame.

    Raises:
        MessageError or msgspec.ValidationError: If they cannot be read.
    """
    if isinstance(found, dict) and "people" in found:
        return people_from_openpose(msgspec.convert(found["people"], list[OpenPosePerson]))
    instances = found["instances"] if isinstance(found, dict) and "instances" in found else found
    return people_from_instances(msgspec.convert(instances, list[Instance]))
