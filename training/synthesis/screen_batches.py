"""Training batches from published data sets: their own 2D, random windows, random flips.

A batch depends on (seed, number) alone, as in batches.py. No noise and no masks are added, because
the data are detections.
"""

from collections.abc import Sequence

import numpy as np

from langpose_rt.config import EXTRA_CHANNELS, LENGTH_CHANNELS, NS_PER_S, NUM_JOINTS
from langpose_rt.geometry.skeleton import FLIP_INDICES, REFERENCE_STATURE_M
from training.data.screen_videos import ScreenVideo
from training.synthesis.batches import Batch

FLIPPED_SHARE = 0.5
"""Share of flipped clips. Source: MotionBERT."""

_SIGN = np.array([-1, 1, 1], np.float32)


def batch_from_videos(
    videos: Sequence[ScreenVideo], clips: int, frames: int, seed: int, number: int
) -> Batch:
    """Make the batch with a number; the same numbers give the same arrays.

    Args:
        videos: Videos, drawn in proportion to their length.
        clips, frames: Size of the batch; a shorter video is stretched.
        seed, number: Seed and number that determine the batch.
    """
    rng = np.random.default_rng([seed, number])
    lengths = np.array([len(video.rows) for video in videos])
    chosen = rng.choice(len(videos), clips, p=lengths / lengths.sum())
    rows = np.empty((clips, frames, NUM_JOINTS, 3), np.float32)
    pose, time_ns = np.empty_like(rows), np.empty((clips, frames), np.int64)
    for clip, index in enumerate(chosen):
        video, length = videos[index], int(lengths[index])
        if length >= frames:
            places = rng.integers(0, length - frames + 1) + np.arange(frames)
        else:
            places = np.linspace(0, length - 1, frames).round().astype(np.int64)
        rows[clip], pose[clip] = video.rows[places], video.target[places]
        time_ns[clip] = np.round(np.arange(frames) * NS_PER_S / video.fps)
    turned = rng.random(clips) < FLIPPED_SHARE
    rows[turned] = rows[turned][:, :, FLIP_INDICES] * _SIGN
    pose[turned] = pose[turned][:, :, FLIP_INDICES] * _SIGN
    return Batch(
        rows=rows,
        extras=np.zeros((clips, frames, EXTRA_CHANNELS + LENGTH_CHANNELS), np.float32),
        time_ns=time_ns,
        pose=pose,
        rotation=np.tile(np.eye(3, dtype=np.float32), (clips, frames, 1, 1)),
        seen=rows[..., 2] > 0,
        stature_m=np.full(clips, REFERENCE_STATURE_M, np.float32),
        source=np.zeros(clips, np.int64),
        text=np.full(clips, -1, np.int64),
    )
