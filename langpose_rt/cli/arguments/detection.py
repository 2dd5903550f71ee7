"""Flags of the 2D detector of commands that take cameras and videos, and the clip of a video."""

import argparse
import contextlib
import math
from pathlib import Path
from typing import TYPE_CHECKING

from langpose_rt.cli.arguments.options import add_config_arguments, config_from_arguments
from langpose_rt.cli.terminal.progress_line import counted
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from langpose_rt.capture.detector import Detector
    from langpose_rt.formats.clip import Clip, ClipOverrides

NOT_FOR_VIDEOS = ("format", "size", "fps")
"""Flags of keypoint files that a video and its detector know themselves."""


def add_detector_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the detector."""
    from langpose_rt.capture.detector_config import DetectorConfig

    group = parser.add_argument_group("cameras and videos")
    add_config_arguments(group, DetectorConfig)


def detector_from_arguments(arguments: argparse.Namespace) -> "Detector":
    """Open the detector that the flags describe.

    Raises:
        ConfigError: If it is not installed, or a flag is not one of this detector.
    """
    from langpose_rt.capture.detector_config import DetectorConfig, detector_from_config

    return detector_from_config(config_from_arguments(DetectorConfig, arguments))


def check_video_flags(
    arguments: argparse.Namespace, source: str, allowed: tuple[str, ...] = ()
) -> None:
    """Refuse flags of keypoint files beside a camera or a video.

    Args:
        arguments: Parsed flags.
        source: The camera or video.
        allowed: Flags that have a meaning for this source.

    Raises:
        ConfigError: If one was given.
    """
    for flag in NOT_FOR_VIDEOS:
        if flag not in allowed and getattr(arguments, flag) is not None:
            raise ConfigError(
                f"--{flag} says nothing about {source}; leave it out"
                + ("" if flag != "format" else " and choose the keypoints with --keypoints")
            )


def clip_of_video(arguments: argparse.Namespace, path: Path, overrides: "ClipOverrides") -> "Clip":
    """Detect the people in a video file, with progress.

    Args:
        arguments: Parsed flags, of `add_detector_arguments` at least.
        path: The video file.
        overrides: What the other flags say of the camera.

    Raises:
        ConfigError: If the command takes no videos, a flag says nothing about one, or the video or
            the detector cannot be opened.
    """
    from langpose_rt.capture.video_clip import clip_from_video
    from langpose_rt.capture.video_source import VideoFile

    if not hasattr(arguments, "detector"):
        raise ConfigError(
            f"{path} is a video, and this command takes keypoints; lift it with "
            f"'langpose-rt lift {path.name} -o poses.npz'"
        )
    check_video_flags(arguments, str(path))
    with contextlib.closing(VideoFile(str(path), speed=math.inf)) as source:
        detector = detector_from_arguments(arguments)
        with counted("finding people", source.frames) as report:
            return clip_from_video(source, detector, overrides, on_frame=report)
