"""Clips of somebody who walks about in front of a ring of cameras."""

import numpy as np

from langpose_rt.formats.clip import Clip
from langpose_rt.geometry.camera import Camera
from tests.fusion.rigs import H36M, SIZE, body, ring, seen_by

SECONDS = 8.0


def walk(t_s: np.ndarray) -> np.ndarray:
    """Somebody on an eight, turning and swinging the limbs [time, 17, 3]."""
    turn = 2 * np.pi * t_s / SECONDS
    places = np.stack([1.1 * np.sin(turn), 0.8 * np.sin(2 * turn)], -1)
    poses = [body(x, y, turned=a) for (x, y), a in zip(places, turn, strict=True)]
    joints = np.stack(poses)
    swing = 0.15 * np.sin(7 * turn)
    for joint, sign in ((3, 1), (6, -1), (13, 1), (16, -1)):
        joints[:, joint, 0] += sign * swing * np.cos(turn)
        joints[:, joint, 1] += sign * swing * np.sin(turn)
    joints[:, 3, 2] += 0.1 * np.maximum(np.sin(7 * turn), 0)
    joints[:, 6, 2] += 0.1 * np.maximum(-np.sin(7 * turn), 0)
    return joints


def clips_of_walk(
    cameras: dict[str, Camera] | None = None,
    *,
    late_s: dict[str, float] | None = None,
    noise_px: float = 1.0,
    still: bool = False,
) -> dict[str, Clip]:
    """What every camera saw, at 30 Hz; a late camera's clock shows too much."""
    cameras, rng = cameras or ring(4), np.random.default_rng(0)
    clips = {}
    for name, camera in cameras.items():
        t_s = np.arange(0, SECONDS, 1 / 30)
        joints = walk(0 * t_s if still else t_s)
        keypoints = seen_by(camera, joints)
        keypoints[..., :2] += rng.normal(0, noise_px, keypoints[..., :2].shape)
        clips[name] = Clip(
            keypoints=keypoints[:, None].astype(np.float32),
            skeleton=H36M,
            size=SIZE,
            t_ns=np.rint((t_s + (late_s or {}).get(name, 0.0) + 1.0) * 1e9).astype(np.int64),
            ids=np.zeros((len(t_s), 1), np.int64),
            intrinsics=camera.intrinsics,
        )
    return clips
