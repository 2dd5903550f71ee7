"""Video of a lifted clip from the pictures of its file, with progress."""

import contextlib
import math
from pathlib import Path
from typing import TYPE_CHECKING

from langpose_rt.cli.terminal.progress_line import counted

if TYPE_CHECKING:
    from langpose_rt.formats.clip import Clip
    from langpose_rt.formats.lifted_npz import PoseSequence


def save_video(out: Path, video: Path, clip: "Clip", lifted: "PoseSequence") -> int:
    """Write the video of a lifted clip; return its number of frames.

    Args:
        out: File to write.
        video: The file whose frames the clip is of.
        clip: Keypoints of the video.
        lifted: Poses of the clip.

    Raises:
        ConfigError: If nobody was lifted, or the file cannot be written.
    """
    from langpose_rt.capture.video_source import VideoFile
    from langpose_rt.visualization.lifted_video import save_lifted_video

    with contextlib.closing(VideoFile(str(video), speed=math.inf)) as source:
        pictures = (picture for picture, _ in source.pictures())
        with counted("drawing", len(clip.t_ns)) as report:
            return save_lifted_video(out, pictures, clip, lifted, on_frame=report)
