"""Clip of a video file: a detector on every frame, as fast as it can."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from langpose_rt.capture.detector import Detector
from langpose_rt.capture.video_source import VideoFile
from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import Clip, ClipOverrides, keypoints_normalised
from langpose_rt.geometry.skeleton import skeleton_named


def clip_from_video(
    source: VideoFile,
    detector: Detector,
    overrides: ClipOverrides,
    *,
    on_frame: Callable[[int], None] = lambda _: None,
) -> Clip:
    """Detect the people in every frame of a video.

    Args:
        source: The video, opened with an endless speed; stays open.
        detector: The 2D detector.
        overrides: Intrinsics and gravity of the camera; the rest is known from the video.
        on_frame: Called with the number of frames done.

    Returns:
        A clip with the video's size and times and without ids: the pipeline tracks the people.

    Raises:
        ConfigError: If not a single frame can be read.
    """
    found, times_ns = [], []
    for picture, t_ns in source.pictures():
        found.append(detector(picture))
        times_ns.append(t_ns)
        on_frame(len(found))
    if not found:
        raise ConfigError("no frame of the video can be read; convert it to H.264 in mp4")
    skeleton = skeleton_named(detector.skeleton)
    keypoints = _in_columns(found, len(skeleton.joints))
    empty = sum(len(people) == 0 for people in found)
    notes = (f"nobody was found in {empty} of {len(found)} frames",) if empty else ()
    return Clip(
        keypoints=keypoints,
        skeleton=skeleton,
        size=source.size,
        t_ns=np.array(times_ns, np.int64),
        ids=np.full(keypoints.shape[:2], -1, np.int64),
        intrinsics=overrides.intrinsics,
        gravity=overrides.gravity,
        notes=notes,
    )


def _in_columns(
    found: list[Float[np.ndarray, "_person keypoint 3"]], joints: int
) -> Float[np.ndarray, "frame person keypoint 3"]:
    """Return the people of all frames in one array; the columns of missing people are 0."""
    most = max(1, *(len(people) for people in found))
    keypoints = np.zeros((len(found), most, joints, 3), np.float32)
    for row, people in zip(keypoints, found, strict=True):
        row[: len(people)] = people
    return keypoints_normalised(keypoints)
