"""Calibration files: the TOML that Pose2Sim, caliscope, anipose and FreeMoCap users have.

One table a camera, at the top level (`[cam_01]`) or under `[cameras]` (caliscope's own file):

    name           optional; else the table's name
    size           width, height, pixels
    matrix         3 x 3 camera matrix
    distortions    OpenCV's order
    rotation       optional; world to camera, as a Rodrigues vector or 3 x 3
    translation    optional; x_camera = R x_world + t, metres
    fisheye        optional; true is refused

Tables that describe no camera (`[metadata]`) are passed over. What a camera is lives in
`camera.py`.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from langpose_rt.errors import ConfigError
from langpose_rt.geometry.camera import Camera, Intrinsics

if sys.version_info >= (3, 11):
    import tomllib
else:  # the same parser under its older name
    import tomli as tomllib

CAMERA_KEYS = {"matrix", "distortions", "rotation", "translation"}
UP = {
    f"{sign}{axis}": np.array([float(f"{sign}1") * (axis == a) for a in "xyz"])
    for sign in ("", "-")
    for axis in "xyz"
}
"""Directions that the world's up may have."""

FARTHEST_M = 100.0
"""A camera farther from the world's origin is taken for one measured in millimetres."""

_UPRIGHT = 0.6


def cameras_from_toml(path: str | Path, up: str | None = None) -> dict[str, Camera]:
    """Every camera of a calibration file, by name.

    Args:
        path: The file.
        up: Which way is up in the world, a key of UP. Nothing said, it is z if the cameras look
            like it (their own up is on average within 53 degrees of z), else unknown: a file whose
            world is its first camera gives intrinsics and no gravity.

    Raises:
        ConfigError: If the file is damaged, a camera is incomplete, two have one name, its lens
        is a
            fisheye, or it stands farther away than FARTHEST_M.
    """
    path = Path(path)
    if up is not None and up not in UP:
        raise ConfigError(f"up is {up!r}; expected one of {', '.join(UP)}")
    cameras: dict[str, Camera] = {}
    for key, table in _camera_tables(path).items():
        try:
            camera = _camera_from_table(key, table)
        except ConfigError as error:
            raise ConfigError(f"{path}: [{key}]: {error}") from None
        if camera.name in cameras:
            raise ConfigError(f'{path}: two cameras are named "{camera.name}"; rename one')
        cameras[camera.name] = camera
    if not cameras:
        raise ConfigError(f"{path} has no camera; expected tables such as [cam_01] with a matrix")
    return _with_gravity(cameras, up)


def _camera_tables(path: Path) -> dict[str, Mapping[str, Any]]:
    try:
        document = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is no TOML file: {error}") from None
    nested = document.pop("cameras", {})
    tables = document | (nested if isinstance(nested, dict) else {})
    return {
        key: table
        for key, table in tables.items()
        if isinstance(table, dict) and CAMERA_KEYS & table.keys()
    }


def _camera_from_table(key: str, table: Mapping[str, Any]) -> Camera:
    if table.get("fisheye", False) is not False:
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
    posed = "rotation" in table and "translation" in table
    return Camera(
        name=str(table.get("name", key)),
        intrinsics=intrinsics,
        T_world_camera=_world_from_table(table) if posed else None,
    )


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
    far_m = float(np.linalg.norm(translation))
    if far_m > FARTHEST_M:
        raise ConfigError(f"found a camera {far_m:.0f} from the origin; expected metres")
    return T_world_camera


def _rotation_from_vector(vector: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Source: Rodrigues' formula, with the sign of cv2.Rodrigues."""
    angle = float(np.linalg.norm(vector))
    x, y, z = vector / angle if angle > 0 else vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def _with_gravity(cameras: dict[str, Camera], up: str | None) -> dict[str, Camera]:
    placed = [c.T_world_camera for c in cameras.values() if c.T_world_camera is not None]
    if not placed:
        return cameras
    cameras_up = np.mean([-T[:3, 1] for T in placed], axis=0)
    if up is None and cameras_up @ UP["z"] < _UPRIGHT:
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
