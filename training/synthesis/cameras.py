"""Random static cameras: position, orientation, intrinsics and projection.

Computes poses in camera axes, pixels and gravity for a batch of clips. detector_noise.py simulates
the detector.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

Rng = np.random.Generator

IMAGE_SIZES_PX = (
    (1920, 1080),
    (1280, 720),
    (640, 480),
    (1000, 1000),
    (1088, 1920),
    (720, 1280),
    (1440, 1080),
)
"""Image sizes: width and height, portrait and landscape."""

NEAREST_M = 0.4
"""Least depth of a joint; the camera moves back if one is closer."""

_LEAST_IN_VIEW = 0.6
_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class CameraConfig:
    """Ranges of the random cameras.

    Args:
        narrowest_deg, widest_deg: Field of view of the long side.
        lowest_m, highest_m: Height above the lowest joint of the clip.
        nearest_m, farthest_m: Horizontal distance from the person; log-uniform.
        roll_deg: Standard deviation of the roll; three times as large for one clip in ten.
        off_centre: Largest distance of the person from the principal point, in half images.
    """

    narrowest_deg: float = 35.0
    widest_deg: float = 100.0
    lowest_m: float = 0.3
    highest_m: float = 3.0
    nearest_m: float = 1.5
    farthest_m: float = 10.0
    roll_deg: float = 4.0
    off_centre: float = 0.7


@dataclass(frozen=True, kw_only=True)
class Shots:
    """Views of the clips by one camera each.

    Attributes:
        joints_camera_m: Joints in camera axes (x right, y down, z forward).
        joints_px: Their exact projection.
        gravity: Unit vector of gravity in camera axes.
        focal_px, centre_px, size_px: Intrinsics, square pixels.
        in_view: True for joints inside the image.
    """

    joints_camera_m: Float32[np.ndarray, "clip frame 17 3"]
    joints_px: Float32[np.ndarray, "clip frame 17 2"]
    gravity: Float32[np.ndarray, "clip 3"]
    focal_px: Float32[np.ndarray, " clip"]
    centre_px: Float32[np.ndarray, "clip 2"]
    size_px: Float32[np.ndarray, "clip 2"]
    in_view: Bool[np.ndarray, "clip frame 17"]


@dataclass
class _Stand:
    """Camera positions and target positions of the person in the image; changed while aiming."""

    azimuth: Float[np.ndarray, " clip"]
    distance_m: Float[np.ndarray, " clip"]
    height_m: Float[np.ndarray, " clip"]
    roll: Float[np.ndarray, " clip"]
    wanted: Float[np.ndarray, "clip 2"]


def shoot(
    rng: Rng, joints_m: Float32[np.ndarray, "clip frame 17 3"], config: CameraConfig
) -> Shots:
    """Draw a camera for every clip and project the joints.

    A camera that sees fewer than 60 % of the joints is aimed again, nearer to the image centre and
    from farther away, at most three times.
    """
    clips = len(joints_m)
    size_px = np.asarray(IMAGE_SIZES_PX, np.float32)[rng.integers(len(IMAGE_SIZES_PX), size=clips)]
    fov = np.radians(rng.uniform(config.narrowest_deg, config.widest_deg, clips))
    focal_px = (size_px.max(1) / 2 / np.tan(fov / 2)).astype(np.float32)
    centre_px = size_px * (0.5 + 0.015 * rng.standard_normal((clips, 2)))
    stand = _draw_stand(rng, size_px, focal_px, config)
    some = np.linspace(0, joints_m.shape[1] - 1, 8).astype(int)
    for _ in range(_TRIES):
        rotation, place_m = _look(joints_m, stand)
        seen_m = to_camera(joints_m[:, some], rotation, place_m)
        inside = _inside(project(seen_m, focal_px, centre_px), size_px)
        bad = inside.mean((1, 2)) < _LEAST_IN_VIEW
        stand.wanted[bad] *= 0.5
        stand.distance_m[bad] *= 1.3
    rotation, place_m = _look(joints_m, stand)
    joints_camera_m = to_camera(joints_m, rotation, place_m)
    back_m = np.maximum(NEAREST_M - joints_camera_m[..., 2].min((1, 2)), 0)
    joints_camera_m[..., 2] += back_m[:, None, None]
    joints_px = project(joints_camera_m, focal_px, centre_px.astype(np.float32))
    return Shots(
        joints_camera_m=joints_camera_m,
        joints_px=joints_px,
        gravity=np.asarray(-rotation[:, :, 2], np.float32),
        focal_px=focal_px,
        centre_px=centre_px.astype(np.float32),
        size_px=size_px,
        in_view=_inside(joints_px, size_px),
    )


def _draw_stand(
    rng: Rng,
    size_px: Float32[np.ndarray, "clip 2"],
    focal_px: Float32[np.ndarray, " clip"],
    config: CameraConfig,
) -> _Stand:
    clips = len(size_px)
    distance_m = np.exp(rng.uniform(np.log(config.nearest_m), np.log(config.farthest_m), clips))
    tallest = rng.uniform(0.8, 1.3, clips)
    distance_m = np.maximum(distance_m, 1.7 * focal_px / (tallest * size_px[:, 1]))
    wide_roll = np.where(rng.random(clips) < 0.1, 3.0, 1.0)
    roll = np.radians(config.roll_deg) * wide_roll * rng.standard_normal(clips)
    half = size_px / 2 / focal_px[:, None]
    return _Stand(
        azimuth=rng.uniform(0, 2 * np.pi, clips),
        distance_m=distance_m,
        height_m=rng.uniform(config.lowest_m, config.highest_m, clips),
        roll=roll,
        wanted=half * rng.uniform(-config.off_centre, config.off_centre, (clips, 2)),
    )


def _look(
    joints_m: Float32[np.ndarray, "clip frame 17 3"], stand: _Stand
) -> tuple[Float[np.ndarray, "clip 3 3"], Float[np.ndarray, "clip 3"]]:
    """Return rotation (world to camera) and position that put the person at its image target."""
    person_m = joints_m[:, :, 0].mean(1)
    floor_m = joints_m[..., 2].min((1, 2))
    ahead = np.stack([np.cos(stand.azimuth), np.sin(stand.azimuth)], -1)
    place_m = np.concatenate(
        [
            person_m[:, :2] - stand.distance_m[:, None] * ahead,
            (floor_m + stand.height_m)[:, None],
        ],
        -1,
    )
    forward = person_m - place_m
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    right = np.cross(forward, np.array([0.0, 0.0, 1.0]))
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    level = np.stack([right, np.cross(forward, right), forward], 1)
    return _swing(stand.wanted) @ _about_axis(stand.roll) @ level, place_m


def _about_axis(angle: Float[np.ndarray, " clip"]) -> Float[np.ndarray, "clip 3 3"]:
    rotation = np.zeros((len(angle), 3, 3))
    rotation[:, 0, 0] = rotation[:, 1, 1] = np.cos(angle)
    rotation[:, 0, 1], rotation[:, 1, 0] = -np.sin(angle), np.sin(angle)
    rotation[:, 2, 2] = 1
    return rotation


def _swing(ray: Float[np.ndarray, "clip 2"]) -> Float[np.ndarray, "clip 3 3"]:
    """Return the shortest rotation from the optical axis to a ray (x/z, y/z).

    Source: Rodrigues' formula for the axis (-y, x, 0).
    """
    x, y = ray.T
    norm = np.sqrt(1 + x * x + y * y)
    x, y, z = x / norm, y / norm, 1 / norm
    rotation = np.empty((len(ray), 3, 3))
    share = 1 / (1 + z)
    rotation[:, 0] = np.stack([1 - x * x * share, -x * y * share, x], -1)
    rotation[:, 1] = np.stack([-x * y * share, 1 - y * y * share, y], -1)
    rotation[:, 2] = np.stack([-x, -y, z], -1)
    return rotation


def to_camera(
    joints_m: Float32[np.ndarray, "clip frame 17 3"],
    rotation: Float[np.ndarray, "clip 3 3"],
    place_m: Float[np.ndarray, "clip 3"],
) -> Float32[np.ndarray, "clip frame 17 3"]:
    """Transform world to camera axes, one camera per clip."""
    shifted = joints_m - place_m.astype(np.float32)[:, None, None]
    flat = shifted.reshape(len(shifted), -1, 3)
    turned = flat @ rotation.astype(np.float32).transpose(0, 2, 1)
    return np.asarray(turned.reshape(shifted.shape))


def project(
    joints_camera_m: Float32[np.ndarray, "clip frame 17 3"],
    focal_px: Float32[np.ndarray, " clip"],
    centre_px: Float[np.ndarray, "clip 2"],
) -> Float32[np.ndarray, "clip frame 17 2"]:
    """Project camera axes to pixels with a pinhole camera without distortion."""
    depth_m = np.maximum(joints_camera_m[..., 2:], 0.05)
    rays = joints_camera_m[..., :2] / depth_m
    rays *= focal_px[:, None, None, None]
    rays += centre_px.astype(np.float32)[:, None, None]
    return np.asarray(rays)


def _inside(
    joints_px: Float32[np.ndarray, "clip frame 17 2"], size_px: Float32[np.ndarray, "clip 2"]
) -> Bool[np.ndarray, "clip frame 17"]:
    return np.asarray(((joints_px >= 0) & (joints_px < size_px[:, None, None])).all(-1))
