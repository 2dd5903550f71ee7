"""Videos of published data sets in screen coordinates, the input and output of the paper's models.

There are three conventions, which must not be mixed; a checkpoint's card names its convention.

    h36m-motionbert     targets in normalised pixels, converted to mm by the factor of the file
    h36m-videopose3d    targets in metres, camera axes
    mpi-inf-3dhp        targets in units of 1024 mm, of the height-normalised annotation

Source: MotionBERT, VideoPose3D and MotionAGFormer, public code.
"""

from argparse import Namespace
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32

from langpose_rt.config import NUM_JOINTS
from langpose_rt.errors import ConfigError
from training.data.h36m_motionbert import ImageVideo, read_h36m_motionbert
from training.data.h36m_videopose3d import (
    FPS,
    TEST_SUBJECTS,
    TRAIN_SUBJECTS,
    CameraVideo,
    read_h36m_videopose3d,
)
from training.data.mpi_inf_3dhp import Sequence3dhp, read_3dhp
from training.synthesis.batches import screen_from_pixels

Convention = Literal["h36m-motionbert", "h36m-videopose3d", "mpi-inf-3dhp"]
CONVENTIONS: tuple[Convention, ...] = ("h36m-motionbert", "h36m-videopose3d", "mpi-inf-3dhp")

Split = Literal["train", "test"]

MM_PER_UNIT_3DHP = 1024.0
CORRUPT = ("s_09_act_05_subact_02", "s_09_act_10_subact_02", "s_09_act_13_subact_01")
"""Recordings with wrong ground truth, which are commonly left out of MotionBERT's file."""


@dataclass(frozen=True, kw_only=True)
class ScreenVideo:
    """Video of one camera in screen coordinates.

    Attributes:
        name, action: Name and action in the data set.
        fps: Frame rate.
        rows: x, y over half the image width, middle at zero, and score.
        target: Target relative to joint 0, in units of the convention.
        mm_per_unit: Converts predictions to mm; NaN if the file has no factor.
        truth_mm: Ground truth for the scores, relative to joint 0.
        valid: True for frames that are scored.
    """

    name: str
    action: str
    fps: float
    rows: Float32[np.ndarray, "frame 17 3"]
    target: Float32[np.ndarray, "frame 17 3"]
    mm_per_unit: Float32[np.ndarray, " frame"]
    truth_mm: Float32[np.ndarray, "frame 17 3"]
    valid: Bool[np.ndarray, " frame"]


def read_screen_videos(arguments: Namespace, split: Split) -> tuple[Convention, list[ScreenVideo]]:
    """Read the data set whose files the flags name.

    Args:
        arguments: Flags of `add_screen_arguments`.
        split: Split of the data set.

    Raises:
        ConfigError: If no data set or more than one is named, or a file is invalid.
    """
    if (arguments.h36m_3d is None) != (arguments.h36m_2d is None):
        raise ConfigError("VideoPose3D's Human3.6M is two files; give --h36m-3d and --h36m-2d")
    named = [arguments.h36m_motionbert, arguments.h36m_3d, arguments.mpi_inf_3dhp]
    if sum(path is not None for path in named) != 1:
        raise ConfigError(
            "name one data set: --h36m-motionbert FILE, --h36m-3d FILE --h36m-2d FILE, or "
            "--mpi-inf-3dhp FILE; their conventions do not mix"
        )
    if arguments.h36m_motionbert is not None:
        images = read_h36m_motionbert(arguments.h36m_motionbert, split)
        return "h36m-motionbert", [_from_image(video) for video in images if not _corrupt(video)]
    if arguments.h36m_3d is not None:
        subjects = TRAIN_SUBJECTS if split == "train" else TEST_SUBJECTS
        seen = read_h36m_videopose3d(arguments.h36m_3d, arguments.h36m_2d, subjects)
        return "h36m-videopose3d", [_from_camera(video) for video in seen]
    sequences = read_3dhp(arguments.mpi_inf_3dhp, split)
    return "mpi-inf-3dhp", [_from_3dhp(sequence) for sequence in sequences]


def _corrupt(video: ImageVideo) -> bool:
    return video.source.startswith(CORRUPT)


def _from_image(video: ImageVideo) -> ScreenVideo:
    width_px = video.size_px[0]
    target = video.pose_image_px * np.float32(2 / width_px)
    target = target - target[:, :1]
    count = len(target)
    unknown = np.full(count, np.nan, np.float32)
    factor = unknown if video.mm_per_px is None else video.mm_per_px * np.float32(width_px / 2)
    truth_mm = target * factor[:, None, None] if video.pose_mm is None else video.pose_mm
    return ScreenVideo(
        name=video.source,
        action=video.action,
        fps=FPS,
        rows=_rows(video.joints_px, video.size_px, video.scores),
        target=target,
        mm_per_unit=factor,
        truth_mm=truth_mm - truth_mm[:, :1],
        valid=np.ones(count, bool),
    )


def _from_camera(video: CameraVideo) -> ScreenVideo:
    target = video.pose_camera_m - video.pose_camera_m[:, :1]
    count = len(target)
    return ScreenVideo(
        name=f"{video.subject} {video.action} {video.camera.name}",
        action=video.action.split(" ")[0],
        fps=FPS,
        rows=_rows(video.joints_px, video.camera.size_px, np.ones((count, NUM_JOINTS), np.float32)),
        target=target,
        mm_per_unit=np.full(count, 1000, np.float32),
        truth_mm=target * 1000,
        valid=np.ones(count, bool),
    )


def _from_3dhp(sequence: Sequence3dhp) -> ScreenVideo:
    truth_mm = sequence.pose_mm - sequence.pose_mm[:, :1]
    count = len(truth_mm)
    return ScreenVideo(
        name=sequence.name,
        action=sequence.name,
        fps=sequence.fps or 25.0,
        rows=_rows(sequence.joints_px, sequence.size_px, np.ones((count, NUM_JOINTS), np.float32)),
        target=truth_mm / np.float32(MM_PER_UNIT_3DHP),
        mm_per_unit=np.full(count, MM_PER_UNIT_3DHP, np.float32),
        truth_mm=truth_mm,
        valid=sequence.valid,
    )


def _rows(
    joints_px: Float32[np.ndarray, "frame 17 2"],
    size_px: tuple[int, int],
    scores: Float32[np.ndarray, "frame 17"],
) -> Float32[np.ndarray, "frame 17 3"]:
    screen = screen_from_pixels(joints_px, np.array(size_px, np.float64))
    return np.concatenate([screen, scores[..., None]], -1)
