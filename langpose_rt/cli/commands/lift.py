"""`langpose-rt lift`: a file of 2D keypoints becomes a file of 3D poses.

What a file is read and lifted with is here too, for the other commands that take files.
"""

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from langpose_rt.cli.arguments.options import (
    add_config_arguments,
    add_model_arguments,
    backend_from_arguments,
    check_writable,
    config_from_arguments,
)
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from langpose_rt.formats.clip import Clip, Given
    from langpose_rt.formats.lifted_npz import PoseSequence
    from langpose_rt.pipeline.config import PipelineConfig
    from langpose_rt.runtime.backend import Backend

SUMMARY = "lift a file of 2D keypoints to 3D poses, through the very pipeline that serves live"
EXAMPLE = "langpose-rt lift openpose_json/ --size 1920x1080 --fps 60 -o poses.npz"

NOT_FOR_FILES = ("name", "axes", "max_wait_ms", "max_streams", "idle_s")
"""Options of the live pipeline that mean nothing for one file."""

SLOTS = 128
"""As many people as a frame may have, twice: those who have just left are waited for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="npz clip, folder of OpenPose JSON, or JSON of AlphaPose or MMPose",
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="OUT.npz", help="poses to write"
    )
    add_clip_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")
    add_lifting_arguments(parser)


def add_clip_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what a file of keypoints may leave out."""
    group = parser.add_argument_group("what the file may leave out")
    group.add_argument("--format", metavar="NAME", help="keypoint format, such as coco17 or body25")
    group.add_argument("--size", metavar="WxH", help="image size in pixels, such as 1920x1080")
    group.add_argument("--fps", type=float, metavar="X", help="frames per second")


def add_lifting_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the pipeline and the model, for commands that lift files."""
    from langpose_rt.pipeline.config import PipelineConfig

    group = parser.add_argument_group("lifting")
    add_config_arguments(group, PipelineConfig, leave_out=NOT_FOR_FILES)
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Lift the file and write the poses."""
    from langpose_rt.formats.lifted_npz import lifted_to_npz

    check_writable(arguments.out, "poses")
    config = config_of_pipeline(arguments)
    clip = clip_from_arguments(arguments, arguments.file)
    backend = backend_from_arguments(arguments, slots=SLOTS)
    started_s = time.perf_counter()
    lifted = lift_with_progress(clip, backend, config)
    took_s = time.perf_counter() - started_s
    lifted_to_npz(arguments.out, lifted)
    frames, columns = lifted.ids.shape
    poses = int((lifted.ids >= 0).sum())
    if arguments.json:
        facts = {"frames": frames, "persons": columns, "poses": poses, "seconds": round(took_s, 3)}
        print(json.dumps({"out": str(arguments.out)} | facts))
    else:
        rate = f"{poses / took_s:,.0f} poses/s" if poses else "nobody was seen"
        print(f"{arguments.out}: {frames} frames, {columns} columns, {poses} poses, {rate}")
    return 0


def clip_from_arguments(arguments: argparse.Namespace, path: Path) -> "Clip":
    """The clip of a file, completed by the flags.

    Raises:
        ConfigError: If a flag is wrong, or the file cannot be read.
    """
    from langpose_rt.formats.readers import read_clip

    return read_clip(path, _given(arguments))


def config_of_pipeline(arguments: argparse.Namespace) -> "PipelineConfig":
    """The pipeline the flags describe."""
    from langpose_rt.pipeline.config import PipelineConfig

    return config_from_arguments(PipelineConfig, arguments)


def lift_with_progress(
    clip: "Clip", backend: "Backend", config: "PipelineConfig"
) -> "PoseSequence":
    """The poses of a clip; a bar on a terminal, nothing elsewhere: it takes no longer than that."""
    from rich.console import Console
    from rich.progress import Progress

    from langpose_rt.pipeline.offline import lift_clip

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("lifting", total=len(clip.t_ns))
        return lift_clip(
            clip, backend, config, on_frame=lambda frames: bar.update(task, completed=frames)
        )


def _given(arguments: argparse.Namespace) -> "Given":
    from langpose_rt.formats.clip import Given
    from langpose_rt.geometry.skeleton import skeleton_named

    skeleton = None if arguments.format is None else skeleton_named(arguments.format)
    return Given(skeleton=skeleton, size=size_from_text(arguments.size), fps=arguments.fps)


def size_from_text(text: str | None) -> tuple[int, int] | None:
    """Width and height of words such as "1920x1080"; None stays None.

    Raises:
        ConfigError: If they are none.
    """
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    try:
        return int(width), int(height)
    except ValueError:
        raise ConfigError(f"--size is {text!r}; expected WIDTHxHEIGHT such as 1920x1080") from None
