"""Builder of a clip from the people of numbered frames, as in the JSON files of detectors.

Such files have no image size, frame rate or keypoint format: the caller passes them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import Clip, ClipOverrides, keypoints_normalised, times_from_fps
from langpose_rt.formats.detections.detected_people import names_of_ids
from langpose_rt.geometry.skeleton import Skeleton, skeleton_of_size

MAX_PEOPLE = 64
"""Of more people in a frame the best by mean score are kept, as in messages."""

_MAX_NUMBERS = 1 << 28


@dataclass(frozen=True, kw_only=True, eq=False)
class FramePeople:
    """Keypoints and ids of the people of one frame.

    Attributes:
        source: Name of the frame in error messages.
        people: x, y and score.
        ids: Number of every person; -1 is unknown.
    """

    source: str
    people: Float[np.ndarray, "person k 3"]
    ids: Sequence[int]


def required_size_and_rate(
    path: Path, overrides: ClipOverrides, what: str
) -> tuple[tuple[int, int], float | int]:
    """Return image size and frame rate; a calibrated camera knows the size.

    Raises:
        ConfigError: If one or both are missing.
    """
    lens, size = overrides.intrinsics, overrides.size
    if size is None and lens is not None:
        size = (round(lens.width_px), round(lens.height_px))
    missing = [
        (name, flag)
        for name, flag, value in (
            ("image size", "--size 1920x1080", size),
            ("frame rate", "--fps 30", overrides.fps),
        )
        if value is None
    ]
    if missing:
        names, flags = (" and ".join(words) for words in zip(*missing, strict=True))
        raise ConfigError(
            f"{path}: {what} has no {names.replace(' and ', ' and no ')}; say "
            f"{'it' if len(missing) == 1 else 'them'} with {flags}"
        )
    assert size is not None
    assert overrides.fps is not None
    return size, overrides.fps


def clip_from_frames(
    path: Path,
    frames: Mapping[int, FramePeople],
    overrides: ClipOverrides,
    *,
    what: str,
    notes: Sequence[str] = (),
) -> Clip:
    """Build a clip from its frames by number; a missing number is a gap in time.

    People have no fixed column: without an id for each of them, all ids are -1.

    Args:
        path: The file or folder, for error messages.
        frames: Frames in rising order.
        overrides: Overrides with at least size and frame rate.
        what: Name of the kind of file.
        notes: Notes about oddities found while reading.

    Raises:
        ConfigError: If the sizes do not match, or size or frame rate is missing.
    """
    size, fps = required_size_and_rate(path, overrides, what)
    kept = [_best(frame) for frame in frames.values()]
    count = _keypoint_count(kept)
    skeleton = overrides.skeleton or _skeleton_of(path, count)
    if count not in (0, len(skeleton.joints)):
        wanted = f"{len(skeleton.joints)} of the format {skeleton.name}; say another with --format"
        raise ConfigError(f"{path}: found {count} keypoints a person; expected {wanted}")
    keypoints, ids = _padded(path, kept, len(skeleton.joints))
    names = names_of_ids([number for frame in kept for number in frame.ids])
    numbers = np.array([number - min(frames) for number in frames], np.int64)
    crowded = max(len(frame.people) for frame in frames.values())
    if crowded > MAX_PEOPLE:
        notes = [*notes, f"found {crowded} people in a frame; the {MAX_PEOPLE} best are used"]
    return Clip(
        keypoints=keypoints_normalised(keypoints),
        skeleton=skeleton,
        size=size,
        t_ns=times_from_fps(numbers, fps),
        ids=ids,
        intrinsics=overrides.intrinsics,
        gravity=overrides.gravity,
        format_guessed=overrides.skeleton is None,
        notes=tuple(notes),
        names=names,
    )


def _best(frame: FramePeople) -> FramePeople:
    """Return the frame with at most MAX_PEOPLE people, those of the best mean score."""
    if len(frame.people) <= MAX_PEOPLE:
        return frame
    scores = np.nan_to_num(frame.people[..., 2]).mean(-1)
    best = np.sort(np.argsort(-scores, kind="stable")[:MAX_PEOPLE])
    return FramePeople(
        source=frame.source, people=frame.people[best], ids=[frame.ids[row] for row in best]
    )


def _keypoint_count(frames: Sequence[FramePeople]) -> int:
    """Return the keypoints of a person, the same in every frame; 0 if no frame has a person."""
    count = 0
    for frame in frames:
        found = frame.people.shape[1] if len(frame.people) else count
        if count and found != count:
            raise ConfigError(f"{frame.source}: found {found} keypoints; expected {count}")
        count = found
    return count


def _skeleton_of(path: Path, count: int) -> Skeleton:
    if count == 0:
        raise ConfigError(f"{path}: no frame has a person; expected people with pose_keypoints_2d")
    try:
        return skeleton_of_size(count)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _padded(
    path: Path, frames: Sequence[FramePeople], count: int
) -> tuple[Float[np.ndarray, "frame person k 3"], Int[np.ndarray, "frame person"]]:
    most = max(1, *(len(frame.people) for frame in frames))
    if len(frames) * most * count * 3 > _MAX_NUMBERS:
        raise ConfigError(
            f"{path}: found {len(frames)} frames of up to {most} people; lift it in parts"
        )
    keypoints = np.zeros((len(frames), most, count, 3))
    ids = np.full((len(frames), most), -1, np.int64)
    for row, frame in enumerate(frames):
        present = len(frame.people)
        if present:
            keypoints[row, :present] = frame.people
            ids[row, :present] = frame.ids
    tracked = all(_told_apart(ids[row, : len(frame.people)]) for row, frame in enumerate(frames))
    return keypoints, ids if tracked else np.full_like(ids, -1)


def _told_apart(ids: Int[np.ndarray, " person"]) -> bool:
    return bool((ids >= 0).all()) and len(np.unique(ids)) == len(ids)
