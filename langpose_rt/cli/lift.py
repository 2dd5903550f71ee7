"""`langpose-rt lift`: a file of 2D keypoints becomes a file of 3D poses."""

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from langpose_rt.cli.options import add_config_arguments, add_model_arguments, config_from_arguments

if TYPE_CHECKING:
    from langpose_rt.formats.clip import Clip
    from langpose_rt.formats.lifted_npz import Lifted

SUMMARY = "lift a file of 2D keypoints to 3D poses, through the very pipeline that serves live"
EXAMPLE = "langpose-rt lift openpose_json/ --size 1920x1080 --fps 60 -o poses.npz --lookahead-ms 130"

NOT_FOR_FILES = ("server", "frame", "backlog_ms", "max_streams", "idle_s")
"""Options of the live pipeline that mean nothing for one file."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="npz clip, or a folder of OpenPose JSON")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="OUT.npz", help="poses to write")
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
    group = parser.add_argument_group("lifting")
    add_config_arguments(group, _pipeline_config(), leave_out=NOT_FOR_FILES)
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Lift the file and write the poses."""
    from langpose_rt.formats.lifted_npz import lifted_to_npz

    clip = clip_from_arguments(arguments, arguments.file)
    started_s = time.perf_counter()
    lifted = lifted_from_arguments(arguments, clip)
    took_s = time.perf_counter() - started_s
    lifted_to_npz(arguments.out, lifted)
    frames, persons = lifted.ids.shape
    poses = int((lifted.ids >= 0).sum())
    if arguments.json:
        print(json.dumps({"out": str(arguments.out), "frames": frames, "persons": persons, "poses": poses, "seconds": round(took_s, 3)}))
    else:
        rate = f"{poses / took_s:,.0f} poses/s" if poses else "nobody in it"
        print(f"{arguments.out}: {frames} frames, {persons} people at most at once, {poses} poses, {rate}")
    return 0


def clip_from_arguments(arguments: argparse.Namespace, path: Path) -> "Clip":
    """The clip of a file, completed by the flags."""
    from langpose_rt.formats.clip import Given, read_clip
    from langpose_rt.skeleton import skeleton_named

    skeleton = None if arguments.format is None else skeleton_named(arguments.format)
    return read_clip(path, Given(skeleton=skeleton, size=_size(arguments.size), fps=arguments.fps))


def lifted_from_arguments(arguments: argparse.Namespace, clip: "Clip") -> "Lifted":
    """The poses of a clip through the model and pipeline the flags describe."""
    from langpose_rt.runtime.base import open_backend
    from langpose_rt.streaming.offline import lift_clip

    config = config_from_arguments(_pipeline_config(), arguments)
    backend = open_backend(
        arguments.model, arguments.backend, threads=arguments.threads, precision=arguments.precision
    )
    with _Progress(len(clip.t_ns)) as progress:
        return lift_clip(clip, backend, config, progress=progress.show)


def _pipeline_config() -> type:
    from langpose_rt.streaming.options import PipelineConfig

    return PipelineConfig


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    from langpose_rt.errors import ConfigError

    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ConfigError(f"--size is {text!r}; expected WIDTHxHEIGHT such as 1920x1080")
    return int(width), int(height)


class _Progress:
    """A bar on a terminal, nothing elsewhere; a file is lifted faster than anybody reads lines."""

    def __init__(self, frames: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        self._bar = Progress(console=console, disable=not console.is_terminal, transient=True)
        self._task = self._bar.add_task("lifting", total=frames)

    def __enter__(self) -> "_Progress":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, frames: int) -> None:
        self._bar.update(self._task, completed=frames)
