"""Writer for C3D files (Mokka, Vicon, Visual3D, OpenSim), through ezc3d.

axes      z up (POINT:X_SCREEN +X, POINT:Y_SCREEN +Z), level where gravity is known, else as a level
          camera would be; a person facing the camera faces +x
origin    the camera, or the world's for poses in world axes
units     mm, in POINT:UNITS
points    the 17 joint centres by their Human3.6M names
residual  -1 where the person is missing, else 0; readers disagree on where other values are stored
"""

from pathlib import Path

import numpy as np

from langpose_rt.errors import ConfigError
from langpose_rt.formats.track import Motion
from langpose_rt.geometry.skeleton import JOINTS

MAX_FRAMES = 65_535
"""The header of a C3D file counts frames with 16 bits."""

_MM = 1000.0
_POINT_BYTES = 16


def motion_to_c3d(path: Path, motion: Motion) -> None:
    """Write the motion of one person; an existing file is replaced atomically.

    Raises:
        ConfigError: If ezc3d is not installed, there are more frames than the format holds, or the
            file cannot be written.
    """
    try:
        import ezc3d
    except ModuleNotFoundError:
        raise ConfigError(
            "C3D needs ezc3d, which is not installed; install with 'pip install \".[files]\"'"
        ) from None
    frames = len(motion.joints)
    if frames > MAX_FRAMES:
        raise ConfigError(
            f"{path} would have {frames} frames; a C3D file holds {MAX_FRAMES}: "
            "choose a lower --rate, or write .trc or .csv"
        )
    file = ezc3d.c3d()
    points = np.ones((4, len(JOINTS), len(motion.joints)))
    points[:3] = _MM * motion.joints.transpose(2, 1, 0)
    residuals = np.broadcast_to(np.where(motion.present, 0.0, -1.0), (1, *points.shape[1:]))
    parameters, data = file["parameters"], file["data"]
    parameters["POINT"]["RATE"]["value"] = [motion.rate_hz]
    parameters["POINT"]["LABELS"]["value"] = tuple(JOINTS)
    parameters["POINT"]["UNITS"]["value"] = ["mm"]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Z"])
    data["points"] = points
    data["meta_points"]["residuals"] = residuals
    part = path.with_name(path.stem + ".part.c3d")  # ezc3d requires the suffix
    try:
        file.write(str(part))
        if part.stat().st_size < frames * len(JOINTS) * _POINT_BYTES:  # ezc3d reports no full disk
            raise OSError("the disk is full")
        part.replace(path)
    except (OSError, RuntimeError) as error:
        part.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {error}") from None
