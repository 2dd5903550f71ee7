"""Read a clip from whatever file or folder it is in."""

from pathlib import Path

from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import Clip, Given
from langpose_rt.formats.clip_npz import clip_from_npz
from langpose_rt.formats.openpose_json import clip_from_openpose


def read_clip(path: str | Path, given: Given | None = None) -> Clip:
    """A clip from an npz file or from a folder of OpenPose JSON, one file a frame.

    Args:
        path: The file or folder.
        given: What the file may leave out; it holds against the file.

    Raises:
        ConfigError: If it is neither, is damaged, or leaves out what nobody gave.
    """
    path = Path(path)
    if not path.exists():
        raise ConfigError(
            f"{path} does not exist; expected an npz file or a folder of OpenPose JSON"
        )
    if path.suffix == ".json":
        raise ConfigError(f"{path} is one JSON file; give the folder that has one a frame")
    return (clip_from_openpose if path.is_dir() else clip_from_npz)(path, given or Given())
