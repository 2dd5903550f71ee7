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
    add_gravity_arguments,
    add_model_arguments,
    add_up_argument,
    backend_from_arguments,
    check_not_input,
    check_writable,
    config_from_arguments,
)
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from langpose_rt.formats.clip import Clip, ClipOverrides
    from langpose_rt.formats.lifted_npz import PoseSequence
    from langpose_rt.geometry.camera import Camera
    from langpose_rt.pipeline.config import PipelineConfig
    from langpose_rt.runtime.backend import Backend

SUMMARY = "lift a file of 2D keypoints to 3D poses, through the very pipeline that serves live"
EXAMPLE = "langpose-rt lift openpose_json/ --size 1920x1080 --fps 60 -o poses.npz"

NOT_FOR_FILES = (
    *("name", "axes", "max_wait_ms", "max_streams", "idle_s"),
    *("gravity", "camera_pitch_deg"),  # of the clip
)
"""Options of the live pipeline that have no effect on a file."""

_OTHER_ENDINGS = (".trc", ".c3d", ".bvh", ".csv", ".mcap", ".json")

SLOTS = 128
"""Twice the most people of a frame: lost people keep their slot until the track timeout."""


_LEVEL_NOTES = {
    "none": "gravity is not known: say it with --camera-pitch-deg or --gravity",
    "estimated": "gravity is an estimate from feet and upright trunks",
}
"""What to say of a clip's gravity, by level_src."""


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


def add_clip_arguments(parser: argparse.ArgumentParser, *, camera_name: bool = True) -> None:
    """Declare the flags that complete a file of keypoints.

    Args:
        parser: Parser of the command.
        camera_name: Declare --camera; False for a command that has a --camera of its own.
    """
    group = parser.add_argument_group("what the file may leave out")
    group.add_argument("--format", metavar="NAME", help="keypoint format, such as coco17 or body25")
    group.add_argument("--size", metavar="WxH", help="image size in pixels, such as 1920x1080")
    group.add_argument("--fps", metavar="X", help="frames per second, such as 60 or 30000/1001")
    group.add_argument(
        "--cameras", type=Path, metavar="FILE", help="calibration TOML with the camera of the clip"
    )
    if camera_name:
        group.add_argument(
            "--camera", metavar="NAME", help="name of the camera in --cameras, if it has several"
        )
    add_up_argument(group)
    add_gravity_arguments(group)


def add_lifting_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the pipeline and the model, for commands that lift files."""
    from langpose_rt.pipeline.config import PipelineConfig

    group = parser.add_argument_group("lifting")
    add_config_arguments(group, PipelineConfig, leave_out=NOT_FOR_FILES)
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Lift the file and write the poses."""
    from langpose_rt.formats.clip_checks import assumed_lens_note
    from langpose_rt.formats.lifted_npz import lifted_to_npz

    check_npz(arguments.out)
    check_writable(arguments.out, "poses")
    config = config_of_pipeline(arguments)
    check_not_input(arguments.out, arguments.file)
    clip = clip_from_arguments(arguments, arguments.file)
    lens = assumed_lens_note(clip, config.fov_deg)
    notes = [*clip.notes, *([lens] if lens else [])]
    backend = backend_from_arguments(arguments, slots=SLOTS)
    started_s = time.perf_counter()
    lifted = lift_with_progress(clip, backend, config)
    took_s = time.perf_counter() - started_s
    lifted_to_npz(arguments.out, lifted)
    if note := _LEVEL_NOTES.get(lifted.level_src):
        notes.append(note)
    frames, columns = lifted.ids.shape
    poses = int((lifted.ids >= 0).sum())
    if arguments.json:
        facts = {"frames": frames, "persons": columns, "poses": poses, "seconds": round(took_s, 3)}
        print(json.dumps({"out": str(arguments.out)} | facts | {"notes": notes}))
    else:
        rate = f"{poses / took_s:,.0f} poses/s" if poses else "no person was seen"
        print(f"{arguments.out}: {frames} frames, {columns} columns, {poses} poses, {rate}")
        if notes:
            print(f"note: {'; '.join(notes)}")
    return 0


def check_npz(out: Path) -> None:
    """Refuse an output path with the ending of another format; only npz files are written.

    Raises:
        ConfigError: If the ending is that of another format.
    """
    if out.suffix.lower() in _OTHER_ENDINGS:
        raise ConfigError(
            f"{out} is an npz file by content; choose -o {out.stem}.npz, then "
            f"'langpose-rt convert {out.stem}.npz -o {out.name}'"
        )


def clip_from_arguments(arguments: argparse.Namespace, path: Path) -> "Clip":
    """Read the clip of a file, completed by the flags.

    Raises:
        ConfigError: If a flag is wrong, or the file cannot be read.
    """
    from langpose_rt.formats.clip_checks import checked_clip
    from langpose_rt.formats.readers import read_clip

    return checked_clip(read_clip(path, _overrides(arguments)), str(path))


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
    camera = _camera(arguments)
    return ClipOverrides(
        skeleton=skeleton,
        size=size_from_text(arguments.size),
        fps=rate_from_text(arguments.fps),
        intrinsics=None if camera is None else camera.intrinsics,
        gravity=gravity_from_arguments(arguments, None if camera is None else camera.gravity),
    )


def gravity_from_arguments(
    arguments: argparse.Namespace, calibrated: "np.ndarray | None" = None
) -> "np.ndarray | None":
    """Return the gravity of --gravity or --camera-pitch-deg, else the calibrated one.

    Raises:
        ConfigError: If both flags are given, or one is wrong.
    """
    import numpy as np

    from langpose_rt.geometry.level_axes import gravity_from_options

    given = gravity_from_options(arguments.gravity, arguments.camera_pitch_deg)
    return calibrated if given is None else np.array(given)


def _camera(arguments: argparse.Namespace) -> "Camera | None":
    """Return the calibrated camera that recorded the clip; None without a calibration.

    Raises:
        ConfigError: If the file has several cameras and --camera names none of them.
    """
    if arguments.cameras is None:
        return None
    from langpose_rt.formats.calibration import cameras_from_toml

    cameras = cameras_from_toml(arguments.cameras, arguments.up)
    name = arguments.camera
    if len(cameras) == 1:
        return next(iter(cameras.values()))
    found = cameras.get(name)
    if found is None:
        known = ", ".join(cameras)
        raise ConfigError(f"{arguments.cameras} has {known}; say which with --camera NAME")
    return found


def rate_from_text(text: str | None) -> float | None:
    """Parse a frame rate such as "29.97" or "30000/1001" in Hz; None stays None.

    Raises:
        ConfigError: If it is neither a number nor a fraction.
    """
    if text is None:
        return None
    above, _, below = text.partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        raise ConfigError(
            f"--fps is {text!r}; expected a number, or a fraction such as 30000/1001"
        ) from None


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
