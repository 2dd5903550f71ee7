"""Whole files, read only if they are files and of a size that fits into memory."""

import stat
from pathlib import Path

from langpose_rt.errors import ConfigError

MAX_FRAME_BYTES = 16 << 20
"""JSON of one frame is smaller: 64 people of 136 keypoints take 0.5 MB."""

MAX_CLIP_BYTES = 512 << 20
"""JSON of a whole clip: about half an hour of three people at 60 Hz."""


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Return the bytes of a regular file.

    Raises:
        ConfigError: If it is a pipe or a device, is larger than that, or cannot be read.
    """
    try:
        check_regular(path)
        found = path.stat().st_size
        if found > max_bytes:
            raise ConfigError(
                f"{path}: found {found >> 20} MB; expected at most {max_bytes >> 20} MB"
            )
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None


def check_regular(path: Path) -> None:
    """Refuse a pipe, a socket or a device: reading it may never end.

    Raises:
        ConfigError: If it is none of file, folder or missing.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # whoever opens it says why it cannot be
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ConfigError(f"{path} is no regular file; expected one on disk, copy it there first")
