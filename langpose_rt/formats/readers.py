"""Clip reader that chooses the format by the path."""

from pathlib import Path

from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import Clip, ClipOverrides
from langpose_rt.formats.clip_npz import clip_from_npz
from langpose_rt.formats.openpose_json import clip_from_openpose


def read_clip(path: str | Path, overrides: ClipOverrides | None = None) -> Clip:
    """Read a clip from an npz file or from a folder of OpenPose JSON, one file per frame.

    Args:
        path: The file or folder.
        overrides: Values that complete the file; they win over those of the file.

    Raises:
        ConfigError: If it is neither, is damaged, or a value is missing from file and overrides.
    """
    path = Path(path)
    if not path.exists():
        raise ConfigError(
            f"{path} does not exist; expected an npz file or a folder of OpenPose JSON"
        )
    if path.suffix == ".json":
        raise ConfigError(f"{path} is one JSON file; give the folder that has one a frame")
    return (clip_from_openpose if path.is_dir() else clip_from_npz)(
        path, overrides or ClipOverrides()
    )
