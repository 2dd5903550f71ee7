"""Clip reader that chooses the format by the path."""

from pathlib import Path

from langpose_rt.errors import ConfigError
from langpose_rt.formats.bounded_file import check_regular
from langpose_rt.formats.clip import Clip, ClipOverrides
from langpose_rt.formats.clip_npz import clip_from_npz
from langpose_rt.formats.detections.detector_json import clip_from_detector_json
from langpose_rt.formats.detections.openpose_json import clip_from_openpose


def read_clip(path: str | Path, overrides: ClipOverrides | None = None) -> Clip:
    """Read a clip from an npz file, a folder of OpenPose JSON, or JSON of AlphaPose or MMPose.

    Args:
        path: The file or folder.
        overrides: Values that complete the file; they win over those of the file.

    Raises:
        ConfigError: If it is neither, is damaged, or a value is missing from file and overrides.
    """
    path = Path(path)
    if not path.exists():
        raise ConfigError(
            f"{path} does not exist; expected an npz file, a folder of OpenPose JSON, JSON of a "
            "detector, or a video such as walk.mp4"
        )
    check_regular(path)
    if path.is_dir():
        return clip_from_openpose(path, overrides or ClipOverrides())
    if path.suffix.lower() == ".json":
        return clip_from_detector_json(path, overrides or ClipOverrides())
    return clip_from_npz(path, overrides or ClipOverrides())
