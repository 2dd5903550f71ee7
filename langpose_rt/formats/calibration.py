"""Reader for TOML calibration files (Pose2Sim, caliscope, anipose, FreeMoCap).

One table per camera, at the top level (`[cam_01]`) or under `[cameras]` (caliscope's own file):

    name           optional; else the table's name
    size           width, height, pixels
    matrix         3 x 3 camera matrix
    distortions    OpenCV's order
    rotation       optional; world to camera, as a Rodrigues vector or 3 x 3
    translation    optional; x_camera = R x_world + t, metres; millimetres are converted
    fisheye        optional; true is refused

`offset_ms_NAME` in the table `[metadata]` is what that camera's clock shows too much.
Tables that describe no camera (`[metadata]`, `[stereo_0_1]`) are skipped. A camera that cannot be
used is left out and reported; the others are kept. Without rotation and translation a camera has
intrinsics only. The camera model is in `geometry/camera.py`.
"""

import codecs
import logging
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from langpose_rt.errors import ConfigError
from langpose_rt.formats.bounded_file import MAX_FRAME_BYTES, read_bounded
from langpose_rt.formats.plausibility.cameras import FARTHEST_M, lens_finding
from langpose_rt.geometry.camera import Camera, Intrinsics
from langpose_rt.geometry.level_axes import UP_AXES

if sys.version_info >= (3, 11):
    import tomllib
else:  # tomllib is tomli under its older name
    import tomli as tomllib

Report = Callable[[str], None]

log = logging.getLogger(__name__)

CAMERA_KEYS = {"matrix", "distortions"}
UP = UP_AXES
"""Directions the up axis of the world may have."""

OFFSET_KEY = "offset_ms_"
"""Keys of `[metadata]`, before a camera's name: what its clock shows too much, milliseconds."""

_MM_PER_M = 1000.0
_NEAREST_MM = 10.0
_UPRIGHT = 0.6
_NO_NUMBERS = frozenset({"", "null", "none", "nan"})
_NOT_FISHEYE = (False, 0, "false", "0", "")
_NAME = re.compile(r"(?:[A-Za-z0-9_.-]{1,64}/)?[A-Za-z0-9_.-]{1,64}", re.ASCII)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+", re.ASCII)


def cameras_from_toml(
    path: str | Path, up: str | None = None, *, report: Report | None = None
) -> dict[str, Camera]:
    """Return every camera of a calibration file, by name.

    Args:
        path: The file.
        up: Up axis of the world, a key of UP. None takes z if the mean up direction of the cameras
            is within 53 degrees of it, else unknown: a file whose world is its first camera gives
            intrinsics and no gravity.
        report: Receives one sentence for everything that is left out, converted or unknown; by
            default they are logged as warnings.

    Raises:
        ConfigError: If the file is damaged, two cameras have the same name, or none can be used.
    """
    path = Path(path)
    report = report or log.warning
    if up is not None and up not in UP:
        raise ConfigError(f"up is {up!r}; expected one of {', '.join(UP)}")
    cameras: dict[str, Camera] = {}
    unusable: list[str] = []
    for key, table in _camera_tables(path).items():
        notes: list[str] = []
        try:
            camera = _camera_from_table(key, table, notes)
        except ConfigError as error:
            unusable.append(f"{path}: [{key}]: {error}")
            continue
        for note in notes:
            report(f"{path}: [{key}]: {note}")
        if camera.name in cameras:
            raise ConfigError(f'{path}: two cameras are named "{camera.name}"; rename one')
        cameras[camera.name] = camera
    if not cameras and unusable:
        raise ConfigError(unusable[0])
    if not cameras:
        raise ConfigError(f"{path} has no camera; expected tables such as [cam_01] with a matrix")
    for sentence in unusable:
        report(f"{sentence}; the other cameras are used")
    return _with_gravity(path, _in_metres(path, cameras, report), up, report)


def _camera_tables(path: Path) -> dict[str, Mapping[str, Any]]:
    try:
        raw = read_bounded(path, MAX_FRAME_BYTES)
        document = tomllib.loads(raw.removeprefix(codecs.BOM_UTF8).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is no TOML file: {error}") from None
    nested = document.pop("cameras", {})
    tables = document | (nested if isinstance(nested, dict) else {})
    return {
        key: table
        for key, table in tables.items()
        if isinstance(table, dict) and CAMERA_KEYS & table.keys()
    }


def _camera_from_table(key: str, table: Mapping[str, Any], notes: list[str]) -> Camera:
    fisheye = table.get("fisheye", False)
    if (fisheye.lower() if isinstance(fisheye, str) else fisheye) not in _NOT_FISHEYE:
        raise ConfigError(
            "found a fisheye lens; expected OpenCV's pinhole model, calibrate with it"
        )
    if "matrix" not in table:
        raise ConfigError('found no "matrix"; expected the 3 x 3 camera matrix')
    width_px, height_px = _numbers(table, "size", (2,))
    dist = _numbers(table, "distortions", None).ravel() if "distortions" in table else np.zeros(0)
    intrinsics = Intrinsics.from_matrix(
        _numbers(table, "matrix", (3, 3)), width_px, height_px, dist.tolist()
    )
    found = lens_finding(intrinsics)
    if found is not None and found.impossible:
        raise ConfigError(found.detail)
    if found is not None:
        notes.append(found.detail)
    placed = {"rotation", "translation"} & table.keys()
    posed = all(_holds_numbers(table.get(name)) for name in ("rotation", "translation"))
    if placed and not posed:
        notes.append('found no numbers in "rotation" or "translation"; only the lens is used')
    return Camera(
        name=_topic_name(str(table.get("name", key)), notes),
        intrinsics=intrinsics,
        T_world_camera=_world_from_table(table) if posed else None,
    )


def _holds_numbers(value: Any) -> bool:
    """Return True if a rotation or translation is given: not absent, empty, null or NaN."""
    if isinstance(value, str):
        return value.strip().lower() not in _NO_NUMBERS
    if value is None or value == []:
        return False
    try:
        return not np.isnan(np.array(value, np.float64)).all()
    except (TypeError, ValueError, OverflowError):
        return True  # rejected, with a sentence, by _numbers


def _topic_name(name: str, notes: list[str]) -> str:
    """Convert a name to one that a stream can have: letters, digits and any of `_.-`.

    Raises:
        ConfigError: If no such character is left.
    """
    if _NAME.fullmatch(name):
        return name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    usable = _NOT_IN_NAMES.sub("_", plain).strip("_")[:64]
    if not usable:
        raise ConfigError(f'found the name "{name}"; expected letters, digits or any of _.-')
    notes.append(f'no stream can be named "{name}"; it is matched with the camera name "{usable}"')
    return usable


def _world_from_table(table: Mapping[str, Any]) -> Float[np.ndarray, "4 4"]:
    rotation = _numbers(table, "rotation", None)
    if rotation.size == 3:
        R = _rotation_from_vector(rotation.ravel())
    elif rotation.shape == (3, 3) and np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3):
        R = rotation
    else:
        raise ConfigError('found a "rotation" that is none; expected 3 numbers or a 3 x 3 rotation')
    translation = _numbers(table, "translation", None).ravel()
    if translation.shape != (3,):
        raise ConfigError(f'found {translation.size} numbers in "translation"; expected 3')
    T_world_camera = np.eye(4)
    T_world_camera[:3, :3], T_world_camera[:3, 3] = R.T, -R.T @ translation
    return T_world_camera


def _in_metres(path: Path, cameras: dict[str, Camera], report: Report) -> dict[str, Camera]:
    """Convert positions in millimetres to metres, and remove positions that are in neither."""
    placed = {name: c.T_world_camera for name, c in cameras.items() if c.T_world_camera is not None}
    far = {name: float(np.linalg.norm(T[:3, 3])) for name, T in placed.items()}
    farthest = max(far.values(), default=0.0)
    if farthest <= FARTHEST_M:
        return cameras
    moved = [distance for distance in far.values() if distance > 0]
    millimetres = _MM_PER_M < farthest <= FARTHEST_M * _MM_PER_M and min(moved) >= _NEAREST_MM
    if millimetres:
        report(f"{path}: found cameras {farthest:.0f} from the origin; taken for millimetres")
        scaled = {name: T.copy() for name, T in placed.items()}
        for T in scaled.values():
            T[:3, 3] /= _MM_PER_M
        return cameras | {
            name: replace(cameras[name], T_world_camera=T) for name, T in scaled.items()
        }
    lost = [name for name, distance in far.items() if distance > FARTHEST_M]
    report(
        f"{path}: found {', '.join(lost)} as far as {farthest:.0f} from the origin; "
        "expected metres; only the lens is used"
    )
    return cameras | {name: replace(cameras[name], T_world_camera=None) for name in lost}


def _rotation_from_vector(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Convert a rotation vector to a matrix.

    Source: Rodrigues' formula, with the sign of cv2.Rodrigues.
    """
    angle = float(np.linalg.norm(vector))
    x, y, z = vector / angle if angle > 0 else vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def _with_gravity(
    path: Path, cameras: dict[str, Camera], up: str | None, report: Report
) -> dict[str, Camera]:
    placed = [c.T_world_camera for c in cameras.values() if c.T_world_camera is not None]
    if not placed:
        return cameras
    cameras_up = np.mean([-T[:3, 1] for T in placed], axis=0)
    if up is None and cameras_up @ UP["z"] < _UPRIGHT:
        report(
            f"{path}: which way is up in its world is not known; say it with --up, such as --up z"
        )
        return cameras
    down = -UP[up or "z"]
    return {
        name: Camera(
            name=name,
            intrinsics=camera.intrinsics,
            T_world_camera=camera.T_world_camera,
            gravity=None
            if camera.T_world_camera is None
            else camera.T_world_camera[:3, :3].T @ down,
        )
        for name, camera in cameras.items()
    }


def _numbers(
    table: Mapping[str, Any], key: str, shape: tuple[int, ...] | None
) -> Float[np.ndarray, "..."]:
    if key not in table:
        raise ConfigError(f'found no "{key}"; expected numbers')
    try:
        array = np.array(table[key], np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f'found a "{key}" that is not numbers; expected numbers') from None
    if not np.isfinite(array).all():
        raise ConfigError(f'found a "{key}" that is not finite; expected numbers')
    if shape is not None and array.shape != shape:
        raise ConfigError(f'found a "{key}" of shape {array.shape}; expected {shape}')
    return array


def cameras_to_toml(
    path: str | Path, cameras: Mapping[str, Camera], remarks: Mapping[str, str] | None = None
) -> None:
    """Write a calibration file that `cameras_from_toml`, Pose2Sim, caliscope and anipose read.

    Args:
        path: The file; one of that name is replaced whole or not at all.
        cameras: Placed cameras, z up, metres.
        remarks: Lines of the table `[metadata]`, as name and text.

    Raises:
        ConfigError: If a camera has no place, or the file cannot be written.
    """
    path = Path(path)
    tables = [_table_of_camera(key, camera) for key, camera in cameras.items()]
    lines = ["[metadata]", "adjusted = true", "error = 0.0"]
    lines += [f"{name} = {_quoted(text)}" for name, text in (remarks or {}).items()]
    part = path.with_name(path.name + ".part")
    try:
        part.write_text("\n".join([*tables, *lines]) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None


def _table_of_camera(key: str, camera: Camera) -> str:
    T, lens = camera.T_world_camera, camera.intrinsics
    if T is None:
        raise ConfigError(f'camera "{camera.name}" has no place; expected one to write it')
    R = T[:3, :3].T
    dist = [float(value) for value in lens.dist] or [0.0] * 4
    rows = {
        "name": _quoted(camera.name),
        "size": [float(lens.width_px), float(lens.height_px)],
        "matrix": lens.matrix.tolist(),
        "distortions": dist,
        "rotation": _vector_from_rotation(R).tolist(),
        "translation": (-R @ T[:3, 3]).tolist(),
        "fisheye": "false",
    }
    return "\n".join([f"[{_quoted(key)}]", *(f"{name} = {row}" for name, row in rows.items()), ""])


def _vector_from_rotation(R: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3"]:
    """Invert `_rotation_from_vector`."""
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_matrix(R).as_rotvec())


def _quoted(text: str) -> str:
    """Return a TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else " " for c in escaped) + '"'
