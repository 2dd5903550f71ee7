"""`langpose-rt convert`: convert poses to the formats of other programs."""

import argparse
import json
import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from langpose_rt.cli.arguments.clip_files import add_clip_arguments, clip_from_arguments
from langpose_rt.cli.arguments.detection import add_detector_arguments
from langpose_rt.cli.arguments.options import (
    backend_from_arguments,
    check_not_input,
    check_writable,
)
from langpose_rt.cli.commands.lift import (
    SLOTS,
    add_lifting_arguments,
    config_of_pipeline,
    lift_with_progress,
)
from langpose_rt.cli.lifted_video import save_video
from langpose_rt.cli.terminal.figure_table import counted_people
from langpose_rt.cli.terminal.printable import printable
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langpose_rt.formats.clip import Clip
    from langpose_rt.formats.lifted_npz import PoseSequence
    from langpose_rt.formats.track import Track

SUMMARY = "convert recorded or lifted poses, or the people of a video, to files of other programs"
EXAMPLE = """langpose-rt convert session.mcap -o session.trc --stream rig0/cam0 --person 0
  langpose-rt convert walk.mp4 -o walk.bvh
  langpose-rt convert walk.mp4 -o lifted.mp4         keypoints in the picture, beside the 3D"""

ONE_PERSON = (".trc", ".c3d", ".bvh")
"""Formats that hold one person at a fixed rate; the others hold all people at their own times."""

_SHOWN = 8
ENDINGS = (*ONE_PERSON, ".csv", ".npz")
VIDEO_ENDING = ".mp4"
"""Written from videos only: it shows their pictures."""


_NOTES = {
    ("camera", "none"): (
        "gravity is not known, so the camera is taken for level; say it with --camera-pitch-deg or "
        "--gravity"
    ),
    ("camera", "estimated"): (
        "gravity is an estimate from feet and upright trunks; say it with --gravity if you know it"
    ),
    ("world", "none"): "z is taken for up in world axes; say another with --up",
}
"""What to say of the axes of a file, by frame and level_src."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "file", type=Path, metavar="IN", help="recording (.mcap), poses of lift (.npz), or a video"
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="OUT",
        help="file to write; its ending says what: .trc .c3d .bvh .csv .npz, .mp4 of a video",
    )  # fmt: skip
    parser.add_argument("--stream", metavar="RIG/CAMERA", help="only this stream")
    parser.add_argument("--person", metavar="ID", help="only this person, by number or name")
    parser.add_argument(
        "--all", action="store_true", help="one file for each person, OUT-rig-camera-id"
    )
    parser.add_argument(
        "--rate", type=float, metavar="HZ",
        help="of TRC, C3D and BVH (default: the median one, or the usual one within 2 %%)",
    )  # fmt: skip
    parser.add_argument(
        "--axes", choices=("level", "recorded"), default="level",
        help="of CSV: level, z up where gravity is known, or as recorded (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")
    add_clip_arguments(parser)
    add_detector_arguments(parser)
    add_lifting_arguments(parser)


@dataclass(frozen=True, slots=True)
class Written:
    """Path and content of a written file."""

    out: str
    persons: int
    frames: int
    rate_hz: float | None = None


def run(arguments: argparse.Namespace) -> int:
    """Convert the file and print what was written."""
    from langpose_rt.capture.video_source import is_video_source

    ending = arguments.out.suffix.lower()
    from_video = is_video_source(str(arguments.file))
    endings = (*ENDINGS, VIDEO_ENDING) if from_video else ENDINGS
    if ending not in endings:
        advice = "a video is drawn over its pictures: 'langpose-rt convert walk.mp4 -o lifted.mp4'"
        raise ConfigError(
            f"{arguments.out} ends in none of {' '.join(endings)}; "
            + (advice if ending == VIDEO_ENDING else "choose another -o")
        )
    check_writable(arguments.out, "poses", "-o")
    check_not_input(arguments.out, arguments.file)
    if ending == VIDEO_ENDING:
        return _done([_video(arguments)], arguments)
    poses = _poses(arguments, from_video=from_video)
    all_tracks = _with_gravity(_tracks(arguments.file, poses), arguments)
    origin_ns = min(int(track.t_ns[0]) for track in all_tracks)
    tracks = _chosen(all_tracks, arguments)
    if ending == ".npz" and poses is None:
        poses = _fused(tracks, arguments.file)
    if ending == ".npz" and poses is not None:
        written = [_poses_file(poses, tracks, arguments.out)]
    elif ending in ONE_PERSON:
        written = _one_file_each(tracks, arguments, ending, origin_ns)
    else:
        if ending == ".csv" and arguments.axes == "level":
            from langpose_rt.formats.track import levelled

            tracks = [levelled(track) if track.gravity else track for track in tracks]
        written = [_one_file(tracks, arguments.out, ending, origin_ns)]
    if ending != ".npz":
        _tell_axes({(track.frame, track.level_src) for track in tracks})
    return _done(written, arguments)


def _done(written: list[Written], arguments: argparse.Namespace) -> int:
    if arguments.json:
        print(json.dumps([{name: getattr(w, name) for name in w.__slots__} for w in written]))
        return 0
    for one in written:
        rate = "" if one.rate_hz is None else f" at {one.rate_hz:g} Hz"
        what = "poses" if one.out.endswith(".csv") else "frames"  # a row each
        print(f"{printable(one.out)}: {counted_people(one.persons)}, {one.frames:,} {what}{rate}")
    return 0


def _video(arguments: argparse.Namespace) -> Written:
    clip, lifted = _lifted(arguments)
    _tell_axes({(lifted.frame, lifted.level_src)})
    frames = save_video(arguments.out, arguments.file, clip, lifted)
    return Written(str(arguments.out), lifted.ids.shape[1], frames)


def _lifted(arguments: argparse.Namespace) -> "tuple[Clip, PoseSequence]":
    """Detect and lift the people of the video."""
    from langpose_rt.formats.clip_checks import assumed_lens_note

    config = config_of_pipeline(arguments)
    backend = backend_from_arguments(arguments, slots=SLOTS)
    clip = clip_from_arguments(arguments, arguments.file)
    lens = assumed_lens_note(clip, config.fov_deg)
    for note in (*clip.notes, *([lens] if lens else [])):
        print(f"note: {note}", file=sys.stderr)
    return clip, lift_with_progress(clip, backend, config)


def _poses(arguments: argparse.Namespace, *, from_video: bool) -> "PoseSequence | None":
    """Return the poses of a file of one stream; None for a recording, which may hold more."""
    if from_video:
        return _lifted(arguments)[1]
    if arguments.file.suffix == ".mcap":
        return None
    from langpose_rt.formats.fused_npz import poses_from_npz

    _refuse_keypoints(arguments.file)
    return poses_from_npz(arguments.file)


def _refuse_keypoints(path: Path) -> None:
    """Refuse files of 2D keypoints, with the command that lifts them.

    Raises:
        ConfigError: If the file is a folder, JSON, or a clip without poses.
    """
    from langpose_rt.formats.archive import Archive

    keypoints = path.is_dir() or path.suffix == ".json"
    if not keypoints:
        with Archive(path) as archive:
            keypoints = "kp2d" in archive and "pose" not in archive
    if keypoints:
        raise ConfigError(
            f"{path} holds 2D keypoints; lift them with "
            f"'langpose-rt lift {path} -o poses.npz', then convert poses.npz"
        )


def _tracks(path: Path, poses: "PoseSequence | None") -> "list[Track]":
    """Return the people of the poses, or of a recording without them."""
    if poses is None:
        from langpose_rt.formats.recording import Recording
        from langpose_rt.recording.tracks import tracks_from_recording

        return tracks_from_recording(Recording(path))
    from langpose_rt.formats.lifted_npz import tracks_from_lifted

    tracks = tracks_from_lifted(poses, "file/clip")
    if not tracks:
        is_file = path.suffix == ".npz"
        found = "holds no person" if is_file else "shows nobody who was found; is a person in view?"
        raise ConfigError(f"{path} {found}")
    return tracks


def _fused(tracks: "Sequence[Track]", path: Path) -> "PoseSequence | None":
    """Return all that a recording holds of a capture volume, if the tracks are of one only."""
    from langpose_rt.formats.recording import Recording
    from langpose_rt.recording.fused_poses import fused_from_recording

    streams = {track.stream for track in tracks}
    return fused_from_recording(Recording(path), streams.pop()) if len(streams) == 1 else None


def _with_gravity(tracks: "list[Track]", arguments: argparse.Namespace) -> "list[Track]":
    """Return the tracks with the gravity that --gravity, --camera-pitch-deg and --up give them."""
    from langpose_rt.geometry.level_axes import gravity_from_options, gravity_of_up

    camera = gravity_from_options(arguments.gravity, arguments.camera_pitch_deg)
    world = None if arguments.up is None else gravity_of_up(arguments.up)
    given = {"camera": camera, "world": world}
    return [
        replace(track, gravity=given[track.frame], level_src="given")
        if given[track.frame]
        else track
        for track in tracks
    ]


def _tell_axes(sources: set[tuple[str, str]]) -> None:
    """Say on standard error where level axes are an estimate or a guess.

    Args:
        sources: frame and level_src of what was written.
    """
    for (frame, source), note in _NOTES.items():
        if (frame, source) in sources:
            print(f"note: {note}", file=sys.stderr)


def _chosen(tracks: "list[Track]", arguments: argparse.Namespace) -> "list[Track]":
    """Return the tracks the flags choose.

    Raises:
        ConfigError: If they choose none; the message lists the available ones.
    """
    stream, person = arguments.stream, arguments.person
    chosen = [
        track
        for track in tracks
        if stream in (None, track.stream) and person in (None, str(track.person), track.name)
    ]
    if not chosen:
        asked = (("person", person), ("stream", stream))
        wanted = " of ".join(f"{what} {w}" for what, w in asked if w is not None)
        raise ConfigError(f"{arguments.file} has no {wanted}; it has {_listed(tracks)}")
    return chosen


def _listed(tracks: "Sequence[Track]") -> str:
    """List the available streams and people, a few of each."""
    people: dict[str, list[str]] = {}
    for track in tracks:
        people.setdefault(track.stream, []).append(_called(track))
    return "; ".join(
        f"{stream} with {_some(numbers)}" for stream, numbers in list(people.items())[:_SHOWN]
    ) + ("; ..." if len(people) > _SHOWN else "")


def _some(people: "Sequence[str]") -> str:
    return ", ".join(people[:_SHOWN]) + (", ..." if len(people) > _SHOWN else "")


def _called(track: "Track") -> str:
    return track.name or str(track.person)


def _one_file_each(
    tracks: "Sequence[Track]", arguments: argparse.Namespace, ending: str, origin_ns: int
) -> list[Written]:
    from langpose_rt.formats.track import motion_from_track

    if len(tracks) > 1 and not arguments.all:
        raise ConfigError(
            f"a {ending} file holds one person; choose with --stream and --person, or take --all: "
            f"{_listed(tracks)}"
        )
    long_enough = [track for track in tracks if len(track.t_ns) > 1] or tracks
    names = _names_of(long_enough, arguments.out) if arguments.all else [arguments.out]
    written = []
    for out, track in zip(names, long_enough, strict=True):
        motion = motion_from_track(
            track,
            arguments.rate,
            origin_ns=origin_ns,
            from_origin=ending != ".trc",
        )
        if ending == ".trc":
            from langpose_rt.formats.trc import motion_to_trc as write
        elif ending == ".c3d":
            from langpose_rt.formats.c3d import motion_to_c3d as write
        else:
            from langpose_rt.formats.bvh import motion_to_bvh as write
        write(out, motion)
        written.append(Written(str(out), 1, len(motion.joints), motion.rate_hz))
    return written


def _one_file(tracks: "Sequence[Track]", out: Path, ending: str, origin_ns: int) -> Written:
    if ending == ".csv":
        from langpose_rt.formats.pose_csv import tracks_to_csv

        tracks_to_csv(out, tracks, origin_ns=origin_ns)
        return Written(str(out), len(tracks), sum(len(track.t_ns) for track in tracks))
    from langpose_rt.formats.lifted_npz import lifted_from_tracks, lifted_to_npz

    if len({(track.stream, track.frame) for track in tracks}) > 1:
        raise ConfigError(f"an npz holds one stream; choose with --stream: {_listed(tracks)}")
    lifted = lifted_from_tracks(tracks)
    lifted_to_npz(out, lifted)
    return Written(str(out), len(tracks), len(lifted.t_ns))


def _poses_file(poses: "PoseSequence", tracks: "Sequence[Track]", out: Path) -> Written:
    """Write all that the file holds of the chosen people."""
    from langpose_rt.formats.fused_npz import poses_to_npz
    from langpose_rt.formats.lifted_npz import poses_of_people

    chosen = poses_of_people(poses, {track.person for track in tracks})
    first = tracks[0]
    poses_to_npz(out, replace(chosen, gravity=first.gravity, level_src=first.level_src))
    return Written(str(out), len(tracks), len(chosen.t_ns))


def _names_of(tracks: "Sequence[Track]", out: Path) -> list[Path]:
    """Return an output path for every track; equal names are numbered."""
    names: list[Path] = []
    taken: set[str] = set()
    for track in tracks:
        name = first = _name_of(track, out)
        number = 1
        while name.name.casefold() in taken:  # some file systems do not tell A from a
            number += 1
            name = first.with_name(f"{first.stem}-{number}{first.suffix}")
        taken.add(name.name.casefold())
        names.append(name)
    return names


def _name_of(track: "Track", out: Path) -> Path:
    stream = track.stream.replace("/", "-")
    person = re.sub(r"[^\w.-]+", "_", _called(track))
    return out.with_name(f"{out.stem}-{stream}-{person}{out.suffix}")
