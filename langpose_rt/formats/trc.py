"""Writer for TRC marker files (OpenSim, Mokka).

    axes    OpenSim's: y up, level where gravity is known, else as a level camera would be; a person
            facing the camera faces +x, with +z to their right
    origin  the camera, or the world's for poses in world axes
    units   mm, in the header
    missing empty cells
    rate    fixed; the time column counts from the beginning of the recording

Markers are the 17 joint centres by their Human3.6M names.

Source: "Marker (.trc) Files", OpenSim documentation.
"""

from pathlib import Path

import numpy as np

from langpose_rt.errors import ConfigError
from langpose_rt.formats.track import Motion, in_axes
from langpose_rt.geometry.skeleton import JOINTS

Y_UP_FROM_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""x stays forward, z becomes y, and z points to the right."""

_MM = 1000.0
_HEADINGS = (
    "DataRate CameraRate NumFrames NumMarkers Units OrigDataRate OrigDataStartFrame OrigNumFrames"
).split()


def motion_to_trc(path: Path, motion: Motion) -> None:
    """Write the motion of one person.

    Raises:
        ConfigError: If the file cannot be written.
    """
    joints_mm = in_axes(motion, Y_UP_FROM_Z_UP).joints * _MM
    frames, rate = len(joints_mm), f"{motion.rate_hz:.9g}"
    rows = [
        f"PathFileType\t4\t(X/Y/Z)\t{path.name}",
        "\t".join(_HEADINGS),
        f"{rate}\t{rate}\t{frames}\t{len(JOINTS)}\tmm\t{rate}\t1\t{frames}",
        "Frame#\tTime\t" + "\t\t\t".join(JOINTS) + "\t\t",
        "\t\t" + "\t".join(f"{axis}{n}" for n in range(1, len(JOINTS) + 1) for axis in "XYZ"),
        "",
    ]
    for frame, flat in enumerate(joints_mm.reshape(frames, -1).tolist()):
        cells = ("" if value != value else f"{value:.3f}" for value in flat)  # noqa: PLR0124 - NaN
        time_s = motion.first_s + frame / motion.rate_hz
        rows.append(f"{frame + 1}\t{time_s:.6f}\t" + "\t".join(cells))
    text_to_file(path, "\n".join(rows) + "\n")


def text_to_file(path: Path, text: str) -> None:
    """Write a text file; an existing file is replaced atomically.

    Raises:
        ConfigError: If the file cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
