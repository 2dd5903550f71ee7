"""`langpose-rt evaluate`: error of lifted or fused poses in mm against the 3D of clips."""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from langpose_rt.cli.arguments.clip_files import add_clip_arguments, clip_from_arguments
from langpose_rt.cli.arguments.options import backend_from_arguments
from langpose_rt.cli.commands.lift import (
    SLOTS,
    add_fuse_argument,
    add_lifting_arguments,
    config_of_pipeline,
    fused_from_arguments,
    lift_with_progress,
)
from langpose_rt.cli.terminal.figure_table import (
    ERRORS,
    FUSED_ERRORS,
    counted_people,
    figure_lines,
)
from langpose_rt.cli.terminal.printable import printable
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from langpose_rt.evaluation.clip_scores import Scores
    from langpose_rt.formats.clip import Clip

SUMMARY = (
    "lift clips that carry 3D, and print the error in mm beside the best pose that never moves"
)
EXAMPLE = """langpose-rt evaluate clip.npz --lookahead-ms 130 --smoothing off --json
  langpose-rt evaluate --cameras calib.toml --fuse cam1.npz cam2.npz"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "clips",
        type=Path,
        nargs="+",
        metavar="CLIP.npz",
        help="clip with pose3d (F,17,3) metres in camera axes of the person in column 0",
    )
    add_clip_arguments(parser)
    add_fuse_argument(parser)
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")
    add_lifting_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Lift every clip, or fuse all, and print the scores."""
    from langpose_rt.evaluation.clip_scores import scores_of_poses

    if arguments.fuse:
        return _evaluate_fused(arguments)
    config = config_of_pipeline(arguments)
    clips = {path: _checked(clip_from_arguments(arguments, path), path) for path in arguments.clips}
    backend = backend_from_arguments(arguments, slots=SLOTS)
    scores: dict[str, Scores] = {}
    for path, clip in clips.items():
        lifted = lift_with_progress(clip, backend, config)
        try:
            scores[str(path)] = scores_of_poses(lifted.pose[:, 0], clip)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
    if arguments.json:
        print(json.dumps({name: one.to_dict() for name, one in scores.items()}, indent=2))
    else:
        print("\n".join(_table(name, one) for name, one in scores.items()))
    return 0


def _evaluate_fused(arguments: argparse.Namespace) -> int:
    from langpose_rt.evaluation.fused_scores import scores_of_fused
    from langpose_rt.formats.clip_checks import check_truth
    from langpose_rt.formats.volume_calibration import volumes_from_toml

    fused, notes, clips = fused_from_arguments(arguments, arguments.clips)
    for name, clip in clips.items():
        check_truth(clip, name)
    (volume,) = volumes_from_toml([arguments.cameras], arguments.up)
    scores = scores_of_fused(fused, clips, volume.cameras, volume.offsets_s)
    if arguments.json:
        print(json.dumps(scores.to_dict() | {"notes": notes}))
        return 0
    print(f"{counted_people(scores.people)} by {len(clips)} cameras: {scores.poses} poses")
    print("\n".join(figure_lines(asdict(scores), FUSED_ERRORS, indent="  ")))
    for note in notes:
        print(f"note: {printable(note)}")
    return 0


def first_person(clip: "Clip") -> "Clip":
    """Return the clip with only the person of column 0, whose 3D is pose3d, under one id."""
    import numpy as np

    ids = np.zeros((len(clip.t_ns), 1), np.int64)
    bones_m = None if clip.bones_m is None else clip.bones_m[:1]
    return replace(clip, keypoints=clip.keypoints[:, :1], ids=ids, bones_m=bones_m)


def _checked(clip: "Clip", path: Path) -> "Clip":
    """Return the first person of a clip, if it has one with 3D to compare with."""
    from langpose_rt.formats.clip_checks import check_truth

    if clip.pose3d is None:
        raise ConfigError(f'{path}: found no "pose3d"; expected (F,17,3) metres in camera axes')
    if not clip.present[:, 0].any():
        raise ConfigError(
            f"{path}: column 0 of the keypoints has no person; expected the person of pose3d"
        )
    check_truth(clip, str(path))
    return first_person(clip)


def _table(name: str, scores: "Scores") -> str:
    rows = figure_lines(asdict(scores), ERRORS, indent="  ")
    return "\n".join((f"{name}: {scores.frames} frames", *rows))
