"""A person and scenes for the tests of pictures."""

from typing import Any

import numpy as np

from langpose_rt.geometry.skeleton import BONES, REFERENCE_BONES_M
from langpose_rt.visualization.scene import Person, Scene

SIZE_PX = (640, 480)

# Unit direction of every bone of somebody who faces the camera, arms half down; left is at +x.
_DIRECTIONS = (
    *[(-1, 0, 0), (0, 1, 0), (0, 1, 0.1), (1, 0, 0), (0, 1, 0), (0, 1, 0.1), (0, -1, 0)],
    *[(0, -1, 0), (0, -1, -0.4), (0, -1, 0.3), (1, 0, 0), (1, 1, 0), (1, 1, -0.3)],
    *[(-1, 0, 0), (-1, 1, 0), (-1, 1, -0.3)],
)


def standing() -> np.ndarray:
    """A standing body in camera axes, from its hip, in metres."""
    pose = np.zeros((17, 3))
    for (parent, joint), length, direction in zip(
        BONES, REFERENCE_BONES_M, _DIRECTIONS, strict=True
    ):
        pose[joint] = pose[parent] + length * np.array(direction) / np.linalg.norm(direction)
    return pose.astype(np.float32)


def seen(pose: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Keypoints of that body in an image of SIZE_PX, all certain."""
    joints = pose + root
    xy = 500.0 * joints[:, :2] / joints[:, 2:] + np.array(SIZE_PX) / 2
    return np.concatenate([xy, np.ones((17, 1))], -1).astype(np.float32)


def person(**changes: Any) -> Person:
    """Somebody four metres away."""
    root = np.array([0.0, 0.0, 4.0], np.float32)
    fields: dict[str, Any] = {
        "pose_camera": standing(),
        "root_camera": root,
        "keypoints_px": seen(standing(), root),
    }
    return Person(**(fields | changes))


def scene(*people: Person, **changes: Any) -> Scene:
    """A scene with those people, or one who stands."""
    fields: dict[str, Any] = {"people": people or (person(),), "size_px": SIZE_PX}
    return Scene(**(fields | changes))
