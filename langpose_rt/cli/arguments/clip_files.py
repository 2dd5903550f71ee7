"""Flags of commands that read clips of keypoints, and the clips that they describe."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from langpose_rt.cli.arguments.detection import clip_of_video
from langpose_rt.cli.arguments.options import add_gravity_arguments, add_up_argument
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from langpose_rt.formats.clip import Clip, ClipOverrides
    from langpose_rt.geometry.camera import Camera


def add_clip_arguments(
    parser: argparse.ArgumentParser, *, camera: bool = True, camera_name: bool = True
) -> None:
    """Declare the flags that complete a file of keypoints.

    Args:
        parser: Parser of the command.
        camera: Declare the flags of the camera that recorded it, and of its gravity.
        camera_name: Declare --camera; False for a command that has a --camera of its own.
    """
    group = parser.add_argument_group("what the file may leave out")
    group.add_argument("--format", metavar="NAME", help="keypoint format, such as coco17 or body25")
    group.add_argument("--size", metavar="WxH", help="image size in pixels, such as 1920x1080")
    group.add_argument("--fps", metavar="X", help="frames per second, such as 60 or 30000/1001")
    if not camera:
        parser.set_defaults(cameras=None, camera=None, up=None, gravity=None, camera_pitch_deg=None)
        return
    group.add_argument(
        "--cameras", type=Path, metavar="FILE", help="calibration TOML with the camera of the clip"
    )
    if camera_name:
        group.add_argument(
            "--camera", metavar="NAME", help="name of the camera in --cameras, if it has several"
        )
    add_up_argument(group)
    add_gravity_arguments(group)


def clip_from_arguments(
    arguments: argparse.Namespace, path: Path, camera: "Camera | None" = None
) -> "Clip":
    """Read the clip of a file, or detect that of a video, completed by the flags.

    Args:
        arguments: Parsed flags of `add_clip_arguments`.
        path: The file.
        camera: Camera that recorded it; None for that of --cameras and --camera.

    Raises:
        ConfigError: If a flag is wrong, or the file cannot be read.
    """
    from langpose_rt.capture.video_source import is_video_source
    from langpose_rt.formats.clip_checks import checked_clip
    from langpose_rt.formats.readers import read_clip

    overrides = _overrides(arguments, _camera(arguments) if camera is None else camera)
    if is_video_source(str(path)):
        return checked_clip(clip_of_video(arguments, path, overrides), str(path))
    return checked_clip(read_clip(path, overrides), str(path))


def clips_of_cameras(
    arguments: argparse.Namespace,
    paths: Sequence[Path],
    cameras: "Mapping[str, Camera] | None" = None,
) -> "dict[str, Clip]":
    """Read the clips of several cameras, by camera name.

    A file is a camera of its name, `cam1.npz` or `cam1_json/`; a folder of such folders, and a
    recording, are several.

    Args:
        arguments: Parsed flags of `add_clip_arguments`.
        paths: Files, folders and recordings.
        cameras: Calibration whose names, lenses and gravity the clips get; names may differ in "_"
            and "-". None keeps what the files say.

    Raises:
        ConfigError: If two files are of one camera, a camera is not of the calibration, or a file
            cannot be read.
    """
    clips: dict[str, Clip] = {}

    def add(name: str, read: "Callable[[Camera | None], Clip]", path: Path) -> None:
        camera = None if cameras is None else camera_named(name, cameras)
        name = name if camera is None else camera.name
        if name in clips:
            raise ConfigError(f'{path}: two files are of a camera "{name}"; rename one')
        clips[name] = read(camera)

    for path in _each_camera(paths):
        if path.suffix == ".mcap":
            for name, clip in _clips_of_recording(path).items():
                add(name, partial(_seen_by, clip), path)
        else:
            add(camera_name(path), partial(_read, arguments, path), path)
    return clips


def clips_with_lenses(
    clips: "Mapping[str, Clip]", cameras: "Mapping[str, Camera] | None"
) -> "dict[str, Clip]":
    """Return clips with the names, lenses and gravity of a calibration; None leaves them.

    Raises:
        ConfigError: If a camera is not of the calibration, or its lens cannot be that of the clip.
    """
    if cameras is None:
        return dict(clips)
    found = {name: camera_named(name, cameras) for name in clips}
    return {camera.name: _seen_by(clips[name], camera) for name, camera in found.items()}


def camera_name(path: Path) -> str:
    """Return the camera name of a file: its name without ending, or without _json."""
    return path.stem.removesuffix("_json") or str(path)


def camera_named(name: str, cameras: "Mapping[str, Camera]") -> "Camera":
    """Return the camera of a calibration that a file or stream is of.

    Args:
        name: "camera" or "rig/camera"; may differ in case, separators and leading zeros, and may
            have other words around it.
        cameras: The calibration.

    Raises:
        ConfigError: If there is none, or several.
    """
    from langpose_rt.geometry.camera import name_in, name_within

    own = name.rpartition("/")[2]
    found = name_in(cameras, name) or name_in(cameras, own) or name_within(cameras, own)
    if found is None:
        known = ", ".join(cameras)
        raise ConfigError(f'there is no camera "{name}"; the calibration has {known}')
    return cameras[found]


def _read(arguments: argparse.Namespace, path: Path, camera: "Camera | None") -> "Clip":
    return clip_from_arguments(arguments, path, camera)


def _seen_by(clip: "Clip", camera: "Camera | None") -> "Clip":
    """Return a clip with lens and gravity of the camera that saw it."""
    from langpose_rt.formats.clip_checks import checked_clip

    if camera is not None:
        clip = replace(clip, intrinsics=camera.intrinsics, gravity=camera.gravity)
    return checked_clip(clip, "recording")


def _each_camera(paths: Sequence[Path]) -> list[Path]:
    """Return one path a camera: a folder that holds folders only stands for those."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.iterdir()) if path.is_dir() else []
        several = bool(inside) and all(entry.is_dir() for entry in inside)
        found += inside if several else [path]
    return found


def _clips_of_recording(path: Path) -> "dict[str, Clip]":
    from langpose_rt.formats.recording import Recording
    from langpose_rt.recording.clips import clips_from_recording

    return clips_from_recording(Recording(path))


def _overrides(arguments: argparse.Namespace, camera: "Camera | None") -> "ClipOverrides":
    from langpose_rt.formats.clip import ClipOverrides, size_from_text
    from langpose_rt.geometry.skeleton import skeleton_named

    skeleton = None if arguments.format is None else skeleton_named(arguments.format)
    return ClipOverrides(
        skeleton=skeleton,
        size=None if arguments.size is None else size_from_text(arguments.size),
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
    from langpose_rt.geometry.camera import name_in

    cameras = cameras_from_toml(arguments.cameras, arguments.up)
    name = arguments.camera
    is_stream = hasattr(arguments, "rig")  # of publish, --camera is the name of the stream
    if len(cameras) == 1 and (name is None or is_stream):
        return next(iter(cameras.values()))
    found = None if name is None else name_in(cameras, name)
    if found is None:
        known, wanted = ", ".join(cameras), "" if name is None else f'no camera "{name}"; it has '
        raise ConfigError(f"{arguments.cameras} has {wanted}{known}; say which with --camera NAME")
    return cameras[found]


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
