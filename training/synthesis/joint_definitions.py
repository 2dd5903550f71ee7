"""Random joint definitions: shift joints as keypoint formats place them differently on the body.

Hips, neck, nose and head are derived differently in every format. The offset is fixed to the
body, not to the image, so it is applied in 3D, before projection. The target of the network stays
the joint of the mocap.
"""

import numpy as np
from jaxtyping import Float32

from langpose_rt.config import NUM_JOINTS

Rng = np.random.Generator

HIPS, SPINE, THORAX, NOSE, HEAD, SHOULDERS = (1, 4), 7, 8, 9, 10, (11, 14)

UP_SD = {
    0: 0.010,
    1: 0.012,
    4: 0.012,
    7: 0.012,
    8: 0.014,
    9: 0.014,
    10: 0.020,
    11: 0.008,
    14: 0.008,
}
"""Spread along the trunk, in statures; hips share one draw, and so do shoulders."""

FORWARD_SD = {0: 0.006, 1: 0.008, 4: 0.008, 7: 0.010, 8: 0.012, 9: 0.016, 10: 0.014}
"""Spread towards the front of the body, in statures."""

HIP_WIDTH_SD, SHOULDER_WIDTH_SD = 0.15, 0.08
"""Spread of the distance of hips or shoulders from the middle, as a factor."""


def redefine(
    rng: Rng, joints_m: Float32[np.ndarray, "clip frame 17 3"], share: float
) -> Float32[np.ndarray, "clip frame 17 3"]:
    """Shift joints to random definitions of a detector; return a new array.

    Args:
        rng: Random numbers.
        joints_m: True joints, in any axes.
        share: Share of the clips that get other definitions.

    Source:
        Ours; sizes from the offsets per clip measured on two detectors (docs/model/training.md,
        "Detector noise").
    """
    clips = len(joints_m)
    chosen = (rng.random(clips) < share)[:, None]
    up, forward = _trunk_axes(joints_m)
    moved = joints_m.copy()
    height_m = np.float32(1.7)
    for axis, table in ((up, UP_SD), (forward, FORWARD_SD)):
        draws = np.clip(rng.standard_normal((clips, NUM_JOINTS)), -2.5, 2.5) * chosen
        draws[:, HIPS[1]], draws[:, SHOULDERS[1]] = draws[:, HIPS[0]], draws[:, SHOULDERS[0]]
        for joint, spread in table.items():
            step = (draws[:, joint] * spread).astype(np.float32) * height_m
            moved[:, :, joint] += step[:, None, None] * axis
    for pair, spread in ((HIPS, HIP_WIDTH_SD), (SHOULDERS, SHOULDER_WIDTH_SD)):
        factor = spread * np.clip(rng.standard_normal((clips, 1)), -2.5, 2.5) * chosen
        half = (joints_m[:, :, pair[1]] - joints_m[:, :, pair[0]]) / 2
        widen = factor.astype(np.float32)[..., None] * half
        moved[:, :, pair[0]] -= widen
        moved[:, :, pair[1]] += widen
    return moved


def _trunk_axes(
    joints_m: Float32[np.ndarray, "clip frame 17 3"],
) -> tuple[Float32[np.ndarray, "clip frame 3"], Float32[np.ndarray, "clip frame 3"]]:
    """Return unit vectors along the trunk towards the head, and out of the chest."""
    up = joints_m[:, :, 8] - joints_m[:, :, 0]
    left = joints_m[:, :, 11] - joints_m[:, :, 14]
    forward = np.cross(left, up)
    return _unit(up), _unit(forward)


def _unit(vectors: Float32[np.ndarray, "clip frame 3"]) -> Float32[np.ndarray, "clip frame 3"]:
    norm = np.sqrt(np.einsum("btd,btd->bt", vectors, vectors))[..., None]
    return np.asarray(vectors / np.maximum(norm, 1e-6))
