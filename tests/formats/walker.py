"""A synthetic person who moves every joint, and tracks of them."""

import numpy as np

from langpose_rt.formats.track import Motion, Track, motion_from_track
from langpose_rt.geometry.skeleton import JOINTS, PARENTS
from tests.fakes import POSE

MS = 1_000_000


def swinging(frames: int, seed: int = 0) -> np.ndarray:
    """Poses [frame, 17, 3] in camera axes, standing 4 m away: bones of POSE, directions swaying."""
    rng = np.random.default_rng(seed)
    phase, speed = rng.uniform(0, 2 * np.pi, (17, 3)), rng.uniform(0.5, 2.0, (17, 3))
    sway = 0.5 * np.sin(speed * np.linspace(0, 6, frames)[:, None, None] + phase)
    joints = np.zeros((frames, 17, 3))
    joints[:, 0] = (0.3, 0.1, 4.0)
    for joint in range(1, 17):
        bone = POSE[joint] - POSE[PARENTS[joint]]
        length = np.linalg.norm(bone)
        turned = bone / length + sway[:, joint]
        turned *= length / np.linalg.norm(turned, axis=-1, keepdims=True)
        joints[:, joint] = joints[:, PARENTS[joint]] + turned
    return joints


def track_of(joints: np.ndarray, t_ns: np.ndarray | None = None, frame: str = "camera") -> Track:
    """A track at 50 Hz unless times are given."""
    times = 1_000 * MS + 20 * MS * np.arange(len(joints)) if t_ns is None else t_ns
    sigma = np.full(joints.shape[:2], 0.02)
    return Track(
        stream="rig0/cam0", person=3, t_ns=times, joints=joints, sigma_m=sigma, frame=frame
    )


def motion_of(joints: np.ndarray, missing: slice = slice(0, 0)) -> Motion:
    """A motion at 50 Hz with frames missing."""
    motion = motion_from_track(track_of(joints), origin_ns=1_000 * MS)
    motion.joints[missing] = np.nan
    motion.sigma_m[missing] = np.nan
    return motion


def joint(name: str) -> int:
    """Number of a joint."""
    return JOINTS.index(name)
