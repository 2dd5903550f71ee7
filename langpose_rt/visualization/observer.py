"""Observer: the virtual camera of a panel, from level axes to pixels.

Level axes: origin at the real camera, x right, y down along gravity, z forward along the floor.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

NEAREST_M = 0.05
"""Points closer to the observer than this, or behind, are not drawn."""


def level_from_camera(
    gravity_camera: Float[np.ndarray, "3"] | None,
) -> Float[np.ndarray, "3 3"]:
    """Return the rotation R with p_level = R p_camera that makes a pitched or rolled camera level.

    Args:
        gravity_camera: Direction of down in camera axes, of any length; None, zero or a number
            that is not finite means the camera is level.
    """
    down = np.zeros(3) if gravity_camera is None else gravity_camera.astype(np.float64)
    length = float(np.linalg.norm(down))
    if not (np.isfinite(length) and length > 1e-6):
        return np.eye(3)
    down = down / length
    vertical = float(np.hypot(down[0], down[1])) < 1e-4
    ahead = np.array([0.0, -np.sign(down[2]), 0.0]) if vertical else np.array([0.0, 0.0, 1.0])
    ahead = ahead - (ahead @ down) * down
    ahead = ahead / np.linalg.norm(ahead)
    return np.stack([np.cross(down, ahead), down, ahead])


@dataclass(frozen=True, kw_only=True)
class Observer:
    """A pinhole camera that views the scene.

    Args:
        rotation: Level axes to the observer's own: right, down, forward.
        eye_level: Position of the observer.
        focal_px: Focal length, in page pixels.
        centre_px: Principal point on the panel.
    """

    rotation: Float[np.ndarray, "3 3"]
    eye_level: Float[np.ndarray, "3"]
    focal_px: float
    centre_px: tuple[float, float]

    def depth_m(self, points_level: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch"]:
        """Return the distance along the optical axis; negative behind the observer."""
        return np.asarray((points_level - self.eye_level) @ self.rotation[2])

    def pixels(self, points_level: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 2"]:
        """Project points to panel pixels; NaN for those nearer than NEAREST_M."""
        seen = (points_level - self.eye_level) @ self.rotation.T
        depth = np.where(seen[..., 2:] >= NEAREST_M * (1 - 1e-9), seen[..., 2:], np.nan)
        return np.asarray(self.focal_px * seen[..., :2] / depth + self.centre_px)

    def size_px(self, size_m: float, depth_m: float) -> float:
        """Return the projected size of an object at a depth."""
        return self.focal_px * size_m / max(depth_m, NEAREST_M)

    def clip(self, ends_level: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2 3"] | None:
        """Clip a segment to the part in front of the observer; None where nothing is."""
        depths = self.depth_m(ends_level)
        if not bool((depths >= NEAREST_M).any()):
            return None
        if bool((depths >= NEAREST_M).all()):
            return ends_level
        near, far = (0, 1) if depths[0] < depths[1] else (1, 0)
        share = (NEAREST_M - depths[near]) / (depths[far] - depths[near])
        clipped = ends_level.astype(np.float64)
        clipped[near] = ends_level[near] + share * (ends_level[far] - ends_level[near])
        return clipped


def rotation_from_angles(azimuth_deg: float, elevation_deg: float) -> Float[np.ndarray, "3 3"]:
    """Return the rotation of an observer at an azimuth (from +z towards +x) and an elevation."""
    turn, drop = np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg)
    right = np.array([np.cos(turn), 0.0, -np.sin(turn)])
    ahead = np.array([np.sin(turn) * np.cos(drop), np.sin(drop), np.cos(turn) * np.cos(drop)])
    return np.stack([right, np.cross(ahead, right), ahead])


def distance_to_fit(
    points_level: Float[np.ndarray, "point 3"],
    target_level: Float[np.ndarray, "3"],
    rotation: Float[np.ndarray, "3 3"],
    half_size_px: tuple[float, float],
    focal_px: float,
) -> float:
    """Return the distance from the target at which all points fit into the panel."""
    seen = (points_level - target_level) @ rotation.T
    needed = focal_px * np.abs(seen[:, :2]) / np.asarray(half_size_px) - seen[:, 2:]
    return float(max(needed.max(initial=1.0), NEAREST_M - float(seen[:, 2].min(initial=0.0))))
