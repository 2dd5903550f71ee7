"""`langpose-rt lift`: lift a file of 2D keypoints to a file of 3D poses.

Its clip and lifting flags are shared with the other commands that read files.

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
    from langpose_rt.formats.clip import Clip, ClipOverrides
    from langpose_rt.formats.lifted_npz import PoseSequence
    from langpose_rt.pipeline.config import PipelineConfig
    from langpose_rt.runtime.backend import Backend

SUMMARY = "lift a file of 2D keypoints to 3D poses, through the very pipeline that serves live"
EXAMPLE = "langpose-rt lift openpose_json/ --size 1920x1080 --fps 60 -o poses.npz"

NOT_FOR_FILES = ("name", "axes", "max_wait_ms", "max_streams", "idle_s")
"""Options of the live pipeline that have no effect on a file."""

SLOTS = 128
"""Twice the most people of a frame: lost people keep their slot until the track timeout."""


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
    """Declare the flags that complete a file of keypoints."""
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
        rate = f"{poses / took_s:,.0f} poses/s" if poses else "no person was seen"
        print(f"{arguments.out}: {frames} frames, {columns} columns, {poses} poses, {rate}")
    return 0


def clip_from_arguments(arguments: argparse.Namespace, path: Path) -> "Clip":
    """Read the clip of a file, completed by the flags.

    Raises:
        ConfigError: If a flag is wrong, or the file cannot be read.
    """
    from langpose_rt.formats.readers import read_clip

    return read_clip(path, _overrides(arguments))


def config_of_pipeline(arguments: argparse.Namespace) -> "PipelineConfig":
    """Build the pipeline configuration that the flags describe."""
    from langpose_rt.pipeline.config import PipelineConfig

    return config_from_arguments(PipelineConfig, arguments)


def lift_with_progress(
    clip: "Clip", backend: "Backend", config: "PipelineConfig"
) -> "PoseSequence":
    """Lift a clip, with a progress bar on a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    from langpose_rt.pipeline.offline import lift_clip

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("lifting", total=len(clip.t_ns))
        return lift_clip(
            clip, backend, config, on_frame=lambda frames: bar.update(task, completed=frames)
        )


def _overrides(arguments: argparse.Namespace) -> "ClipOverrides":
    from langpose_rt.formats.clip import ClipOverrides
    from langpose_rt.geometry.skeleton import skeleton_named

    skeleton = None if arguments.format is None else skeleton_named(arguments.format)
    return ClipOverrides(skeleton=skeleton, size=size_from_text(arguments.size), fps=arguments.fps)


def size_from_text(text: str | None) -> tuple[int, int] | None:
    """Parse a size such as "1920x1080"; None stays None.

    Raises:
        ConfigError: If the text is not a size.
    """
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    try:
        return int(width), int(height)
    except ValueError:
        raise ConfigError(f"--size is {text!r}; expected WIDTHxHEIGHT such as 1920x1080") from None
