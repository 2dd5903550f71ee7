"""`langpose-rt lift`: lift a file of 2D keypoints, or fuse those of several cameras, to 3D poses.

Its lifting flags are shared with the other commands that read files.
"""

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from langpose_rt.cli.arguments.clip_files import (
    add_clip_arguments,
    clip_from_arguments,
    clips_of_cameras,
)
from langpose_rt.cli.arguments.detection import add_detector_arguments
from langpose_rt.cli.arguments.options import (
    add_config_arguments,
    add_model_arguments,
    backend_from_arguments,
    check_not_input,
    check_writable,
    config_from_arguments,
)
from langpose_rt.cli.terminal.figure_table import counted_people
from langpose_rt.cli.terminal.printable import printable
from langpose_rt.cli.terminal.progress_line import counted
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langpose_rt.formats.clip import Clip
    from langpose_rt.formats.fused_npz import FusedSequence
    from langpose_rt.formats.lifted_npz import PoseSequence
    from langpose_rt.pipeline.config import PipelineConfig
    from langpose_rt.runtime.backend import Backend

SUMMARY = "lift 2D keypoints, or a video, to 3D poses, through the very pipeline that serves live"
EXAMPLE = """langpose-rt lift openpose_json/ --size 1920x1080 --fps 60 -o poses.npz
  langpose-rt lift walk.mp4 -o poses.npz
  langpose-rt lift --cameras calib.toml --fuse cam1.npz cam2.npz -o fused.npz"""

NOT_FOR_FILES = (
    *("name", "axes", "size", "max_wait_ms", "max_streams", "idle_s"),
    *("fuse", "fuse_wait_ms"),  # lift has a --fuse of its own
    *("gravity", "camera_pitch_deg"),  # of the clip
    "front",  # of a cluster
)
"""Options of the live pipeline that have no effect on a file."""

_CONVERTED_TO = (".trc", ".c3d", ".bvh", ".csv")

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
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="npz clip, folder of OpenPose JSON, JSON of AlphaPose or MMPose, or a video; with "
        "--fuse one a camera, or a recording",
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="OUT.npz", help="poses to write"
    )
    add_clip_arguments(parser)
    add_fuse_argument(parser)
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")
    add_detector_arguments(parser)
    add_lifting_arguments(parser)


def add_lifting_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the pipeline and the model, for commands that lift files."""
    from langpose_rt.pipeline.config import PipelineConfig

    group = parser.add_argument_group("lifting")
    add_config_arguments(group, PipelineConfig, leave_out=NOT_FOR_FILES)
    add_model_arguments(parser)


def add_fuse_argument(parser: argparse.ArgumentParser) -> None:
    """Declare --fuse."""
    parser.add_argument(
        "--fuse",
        action="store_true",
        help="the files are of the cameras of --cameras at the same time; everybody becomes one "
        "pose in world axes",
    )


def run(arguments: argparse.Namespace) -> int:
    """Lift or fuse the files and write the poses."""
    from langpose_rt.formats.fused_npz import poses_to_npz

    check_npz(arguments.out)
    check_writable(arguments.out, "poses")
    for path in arguments.files:
        check_not_input(arguments.out, path)
    if arguments.cameras is not None:
        check_not_input(arguments.out, arguments.cameras)
    started_s = time.perf_counter()
    lifted, notes = (_fused if arguments.fuse else _lifted)(arguments)
    took_s = time.perf_counter() - started_s
    poses_to_npz(arguments.out, lifted)
    frames, columns = lifted.ids.shape
    poses = int((lifted.ids >= 0).sum())
    if arguments.json:
        facts = {"frames": frames, "persons": columns, "poses": poses, "seconds": round(took_s, 3)}
        print(json.dumps({"out": str(arguments.out)} | facts | {"notes": notes}))
    else:
        who = counted_people(columns) if poses else "no person was seen"
        out = printable(str(arguments.out))
        print(f"{out}: {frames:,} frames, {who}, {poses:,} poses in {took_s:.1f} s")
        for note in notes:
            print(f"note: {printable(note)}")
    return 0


def _lifted(arguments: argparse.Namespace) -> "tuple[PoseSequence, list[str]]":
    from langpose_rt.formats.clip_checks import assumed_lens_note

    if len(arguments.files) > 1:
        raise ConfigError(
            f"found {len(arguments.files)} files; expected one, or --fuse and the --cameras that "
            "took them"
        )
    config = config_of_pipeline(arguments)
    clip = clip_from_arguments(arguments, arguments.files[0])
    lens = assumed_lens_note(clip, config.fov_deg)
    backend = backend_from_arguments(arguments, slots=SLOTS)
    lifted = lift_with_progress(clip, backend, config)
    level = _LEVEL_NOTES.get(lifted.level_src)
    return lifted, [*clip.notes, *(note for note in (lens, level) if note)]


def _fused(arguments: argparse.Namespace) -> "tuple[PoseSequence, list[str]]":
    fused, notes, _ = fused_from_arguments(arguments, arguments.files)
    return fused, notes


def fused_from_arguments(
    arguments: argparse.Namespace, files: "Sequence[Path]"
) -> "tuple[FusedSequence, list[str], dict[str, Clip]]":
    """Read the clips of several cameras, lift each, and fuse them.

    Args:
        arguments: Parsed flags of clips, lifting and model.
        files: Clips and recordings.

    Returns:
        The poses, what is odd about clips and cameras, a sentence each, and the clips by camera
        name.

    Raises:
        ConfigError: If there is no calibration, or the clips cannot be fused with it.
    """
    from langpose_rt.formats.volume_calibration import volumes_from_toml
    from langpose_rt.fusion.clip_fusion import fuse_clips
    from langpose_rt.fusion.health.agreement import agreement_finding
    from langpose_rt.pipeline.offline import tracked_clip

    if arguments.cameras is None:
        raise ConfigError(
            "--fuse needs the calibration of the cameras; say --cameras calib.toml, made with "
            "'langpose-rt calibrate'"
        )
    config = config_of_pipeline(arguments)
    (volume,) = volumes_from_toml([arguments.cameras], arguments.up)
    clips = clips_of_cameras(arguments, files, volume.cameras)
    clips = {name: tracked_clip(clip, config.track_timeout_s) for name, clip in clips.items()}
    backend = backend_from_arguments(arguments, slots=SLOTS)
    lifts = {name: lift_with_progress(clip, backend, config) for name, clip in clips.items()}
    fused, events = fuse_clips(clips, volume.cameras, lifts=lifts, offsets_s=volume.offsets_s)
    notes = [f"{name}: {note}" for name, clip in clips.items() for note in clip.notes]
    notes += [event.detail for event in events]
    apart = agreement_finding(fused.views, fused.ids)
    if apart is not None and all(event.kind != apart.reason for event in events):
        notes.append(apart.detail)
    return fused, notes, clips


def check_npz(out: Path) -> None:
    """Refuse an output path with the ending of another format; only npz files are written.

    Raises:
        ConfigError: If the ending is that of another format.
    """
    if out.suffix.lower() in ("", ".npz"):
        return
    then = f", then 'langpose-rt convert {out.stem}.npz -o {out.name}'"
    convertible = out.suffix.lower() in _CONVERTED_TO
    raise ConfigError(
        f"this command writes npz files; choose -o {out.stem}.npz{then if convertible else ''}"
    )


def config_of_pipeline(arguments: argparse.Namespace) -> "PipelineConfig":
    """Build the pipeline configuration that the flags describe."""
    from langpose_rt.pipeline.config import PipelineConfig

    flags = {name: value for name, value in vars(arguments).items() if name not in NOT_FOR_FILES}
    return config_from_arguments(PipelineConfig, argparse.Namespace(**flags))


def lift_with_progress(
    clip: "Clip", backend: "Backend", config: "PipelineConfig"
) -> "PoseSequence":
    """Lift a clip, with progress."""
    from langpose_rt.pipeline.offline import lift_clip

    with counted("lifting", len(clip.t_ns)) as report:
        return lift_clip(clip, backend, config, on_frame=report)
