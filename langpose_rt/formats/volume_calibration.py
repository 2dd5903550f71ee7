"""Calibration of a capture volume: cameras of one space, and the offsets of their clocks.

The cameras of one file are one volume, named after the file. The table `[metadata]` may hold
`offset_ms_NAME` for every camera, as `langpose-rt calibrate --offsets` writes it.
"""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tomllib

from langpose_rt.errors import ConfigError
from langpose_rt.formats.calibration import OFFSET_KEY, Report, cameras_from_toml
from langpose_rt.geometry.camera import Camera

LARGEST_OFFSET_MS = 1000.0
"""Clocks of one volume that differ by more were not measured on the server's clock."""

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+", re.ASCII)


@dataclass(frozen=True, kw_only=True, eq=False)
class VolumeCalibration:
    """Cameras of one capture volume.

    Attributes:
        name: Name of the volume in the topic of its poses.
        cameras: By "rig/camera" or "camera".
        offsets_ns: What the capture time of a camera shows too much, for cameras that have one.
        text: Content of the file.
    """

    name: str
    cameras: dict[str, Camera]
    offsets_ns: dict[str, int] = field(default_factory=dict)
    text: str = ""

    @property
    def offsets_s(self) -> dict[str, float]:
        """Clock offsets in seconds."""
        return {name: offset_ns / 1e9 for name, offset_ns in self.offsets_ns.items()}


def volumes_from_toml(
    paths: Sequence[Path], up: str | None = None, *, report: Report | None = None
) -> list[VolumeCalibration]:
    """Read calibration files, one volume each.

    Args:
        paths: The files.
        up: Up axis of their worlds, as for `cameras_from_toml`.
        report: Receives a sentence for everything left out or converted.

    Raises:
        ConfigError: If a file is damaged, or two files have one name or a camera in common.
    """
    volumes: dict[str, VolumeCalibration] = {}
    for path in paths:
        name = volume_name(path.stem)
        if name in volumes:
            raise ConfigError(f'two files give the volume "{name}"; rename one, such as {path}')
        cameras = cameras_from_toml(path, up, report=report)
        for other in volumes.values():
            if shared := sorted(cameras.keys() & other.cameras.keys()):
                raise ConfigError(
                    f'camera "{shared[0]}" is in the volumes "{other.name}" and "{name}"; name '
                    "cameras as rig/camera where their names are not unique"
                )
        text = path.read_text(encoding="utf-8-sig")
        volumes[name] = VolumeCalibration(
            name=name, cameras=cameras, offsets_ns=_offsets(path, text, cameras), text=text
        )
    return list(volumes.values())


def volume_from_text(
    name: str, text: str, up: str | None = None, *, report: Report | None = None
) -> VolumeCalibration:
    """Read the content of a calibration file.

    Raises:
        ConfigError: If it is damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{volume_name(name)}.toml"
        path.write_text(text, encoding="utf-8")
        try:
            return volumes_from_toml([path], up, report=report)[0]
        except ConfigError as error:
            raise ConfigError(str(error).replace(str(path), path.name)) from None


def cameras_of_volumes(volumes: Sequence[VolumeCalibration]) -> dict[str, Camera]:
    """Return the cameras of all volumes."""
    return {name: camera for volume in volumes for name, camera in volume.cameras.items()}


def volume_name(stem: str) -> str:
    """Convert the name of a file to one that a topic can have."""
    return _NOT_IN_NAMES.sub("_", stem).strip("_")[:64] or "volume"


def _offsets(path: Path, text: str, cameras: dict[str, Camera]) -> dict[str, int]:
    """Return the clock offsets that the table of metadata holds, in ns."""
    metadata = tomllib.loads(text).get("metadata", {})
    found = {}
    for name in cameras if isinstance(metadata, dict) else ():
        value = metadata.get(OFFSET_KEY + name)
        if value is None:
            continue
        try:
            offset_ms = float(value)
        except (TypeError, ValueError):
            offset_ms = float("nan")
        if not abs(offset_ms) <= LARGEST_OFFSET_MS:
            raise ConfigError(
                f"{path}: found {OFFSET_KEY}{name} = {value!r}; expected milliseconds from "
                f"{-LARGEST_OFFSET_MS:g} to {LARGEST_OFFSET_MS:g}"
            )
        found[name] = round(offset_ms * 1e6)
    return found
