"""Level axes: from the axes of a pose to axes whose z points up.

Frames:
    camera: x right, y down, z forward.
    world: those of a calibration, metres.
    level: z up. From camera axes x points level from the scene to the camera, so that a person who
        faces the camera faces x, and y to the camera's right. From world axes the shortest of the
        usual turns, so that a world with z up stays as it is.
"""

import math

import numpy as np
from jaxtyping import Float

from langpose_rt.errors import ConfigError

Vector = tuple[float, float, float]
"""A direction in camera or world axes."""

CAMERA_DOWN: Vector = (0.0, 1.0, 0.0)
"""Gravity in the axes of a level camera."""

UP_AXES = {
    f"{sign}{axis}": np.array([float(f"{sign}1") * (axis == a) for a in "xyz"])
    for sign in ("", "-")
    for axis in "xyz"
}
"""Directions the up axis of a world may have."""

CAMERA_PITCH_HELP = "degrees by which a camera without roll looks down; negative looks up"
GRAVITY_HELP = (
    "the way down in camera axes, x right, y down, z forward (default: that of file, rig or "
    "calibration)"
)

_STEEP = 0.996
"""Cosine of 5 degrees: an optical axis nearer the vertical has no level direction of its own."""


def level_from_camera(gravity: Vector | None) -> Float[np.ndarray, "3 3"]:
    """Return the rotation from camera axes to level ones.

    Args:
        gravity: Unit vector that points down, in camera axes; None takes the camera for level.
    """
    up = -np.asarray(CAMERA_DOWN if gravity is None else gravity, np.float64)
    backward = np.array([0.0, 0.0, -1.0])
    if abs(up[2]) > _STEEP:  # looks straight down or up: what is above in the image is forward
        backward = np.array([0.0, -math.copysign(1.0, up[2]), 0.0])
    level = backward - (backward @ up) * up
    x = level / np.linalg.norm(level)
    return np.stack([x, np.cross(up, x), up])


def level_from_world(gravity: Vector | None) -> Float[np.ndarray, "3 3"]:
    """Return the rotation from a world's axes to level ones.

    Args:
        gravity: Unit vector that points down, in the world's axes; None takes z for up.
    """
    if gravity is None:
        return np.eye(3)
    up = -np.asarray(gravity, np.float64)
    x = np.roll(np.eye(3)[int(np.abs(up).argmax())], 1)
    x = x - (x @ up) * up
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(up, x), up])


def level_from_pose(frame: str, gravity: Vector | None) -> Float[np.ndarray, "3 3"]:
    """Return the rotation from the axes of a pose, "camera" or "world", to level ones."""
    return level_from_world(gravity) if frame == "world" else level_from_camera(gravity)


def gravity_of_up(up: str) -> Vector:
    """Return the gravity of a world whose up axis is this one.

    Raises:
        ConfigError: If up is not a key of UP_AXES.
    """
    if up not in UP_AXES:
        raise ConfigError(f"up is {up!r}; expected one of {', '.join(UP_AXES)}")
    x, y, z = (-UP_AXES[up]).tolist()
    return x, y, z


def gravity_of_pitch(pitch_deg: float) -> Vector:
    """Return the gravity of a camera without roll that looks down by this angle (-90 to 90).

    Raises:
        ConfigError: If the angle is out of range.
    """
    if not -90.0 <= pitch_deg <= 90.0:
        raise ConfigError(
            f"camera-pitch-deg is {pitch_deg:g}; expected -90 (looks up) to 90 (looks down)"
        )
    pitch = math.radians(pitch_deg)
    return 0.0, math.cos(pitch), math.sin(pitch)


def gravity_from_text(text: str) -> Vector:
    """Parse a gravity such as "0,0.94,0.34", in camera axes, to unit length.

    Raises:
        ConfigError: If it is not three numbers of a length of 0.1 to 100.
    """
    try:
        x, y, z = map(float, text.split(","))
    except ValueError:
        x = y = z = math.nan
    length = math.hypot(x, y, z)
    if not 0.1 <= length <= 100.0:
        raise ConfigError(
            f"gravity is {text!r}; expected X,Y,Z of the way down in camera axes "
            "(x right, y down, z forward), such as 0,0.94,0.34"
        )
    return x / length, y / length, z / length


def gravity_from_options(gravity: str | None, pitch_deg: float | None) -> Vector | None:
    """Return the gravity that the options --gravity or --camera-pitch-deg describe, if any.

    Raises:
        ConfigError: If both are given, or one is wrong.
    """
    if gravity is not None and pitch_deg is not None:
        raise ConfigError("got both --gravity and --camera-pitch-deg; expected one of them")
    if pitch_deg is not None:
        return gravity_of_pitch(pitch_deg)
    return None if gravity is None else gravity_from_text(gravity)
