"""Other bodies for the same motion: bone lengths, mirror image, and mixed halves.

World frame as in the mocap: z up, metres. No cameras here.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32

from langpose_rt.geometry.skeleton import BONES, FLIP_INDICES, REFERENCE_BONES_M, bone_lengths

Rng = np.random.Generator

UPPER = (7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
"""Joints that another clip may lend: everything above the hips."""

_BONE_GROUPS = ((0, 3), (1, 4), (2, 5), (6,), (7,), (8,), (9,), (10, 13), (11, 14), (12, 15))
"""Bones that share one factor: both sides of a body are alike."""

_BONE_SD = (0.0, 0.08, 0.08, 0.06, 0.06, 0.10, 0.10, 0.0, 0.08, 0.08)

_FLAT_RANGE = {(0, 3): (0.6, 1.1), (10, 13): (0.95, 1.5)}
"""Factors that are drawn evenly: hips and shoulders."""


def draw_bones_m(rng: Rng, clips: int, size_sd: float = 0.07) -> Float32[np.ndarray, "clip 16"]:
    """Bone lengths around the reference: one size, one factor per pair of bones.

    Hips are drawn evenly between 60 and 110 % of the reference: mocap rigs and detectors put them
    much closer together than Human3.6M does. Shoulders of people of usual size are 0.27 to 0.42 m
    apart, which is what rigs and detectors put them at.

    Source: ours; spread wider than people, because rigs and joint definitions differ too.
    """
    factor = np.ones((clips, len(BONES)), np.float32)
    for bones, spread in zip(_BONE_GROUPS, _BONE_SD, strict=True):
        if bones in _FLAT_RANGE:
            factor[:, bones] = rng.uniform(*_FLAT_RANGE[bones], (clips, 1))
        else:
            drawn = spread * np.clip(rng.standard_normal((clips, 1)), -2.5, 2.5)
            factor[:, bones] = 1 + drawn
    size = 1 + size_sd * np.clip(rng.standard_normal((clips, 1)), -3, 2.5)
    return np.asarray(REFERENCE_BONES_M * factor * size, np.float32)


def rebone(
    joints_m: Float32[np.ndarray, "clip frame 17 3"], bones_m: Float32[np.ndarray, "clip 16"]
) -> Float32[np.ndarray, "clip frame 17 3"]:
    """Return the same bone directions with other lengths; the hip's path grows with the legs."""
    old_m = bone_lengths(joints_m[:, 0])
    legs = [1, 2, 4, 5]
    stride = bones_m[:, legs].sum(-1) / np.maximum(old_m[:, legs].sum(-1), 1e-3)
    result = np.empty_like(joints_m)
    result[:, :, 0] = joints_m[:, :, 0] * stride[:, None, None]
    for bone, (parent, joint) in enumerate(BONES):
        direction = joints_m[:, :, joint] - joints_m[:, :, parent]
        norm = np.sqrt(np.einsum("btd,btd->bt", direction, direction))
        scale = bones_m[:, bone, None] / np.maximum(norm, 1e-6)
        result[:, :, joint] = result[:, :, parent] + direction * scale[..., None]
    return result


def mirror(
    joints_m: Float32[np.ndarray, "clip frame 17 3"],
) -> Float32[np.ndarray, "clip frame 17 3"]:
    """Return the mirror image: x negated, left and right exchanged."""
    return np.asarray(joints_m[:, :, FLIP_INDICES] * np.array([-1, 1, 1], np.float32))


def mix(
    lower_m: Float32[np.ndarray, "clip frame 17 3"],
    upper_m: Float32[np.ndarray, "clip frame 17 3"],
) -> tuple[Float32[np.ndarray, "clip frame 17 3"], Bool[np.ndarray, " clip"]]:
    """Legs and path of one clip under the upper body of another, turned to the same heading.

    Returns:
        The mixed motion, and which clips could be mixed: where a hip line points up or down there
        is no heading, and the lower clip stays as it was.
    """
    line_lower = lower_m[:, :, 4, :2] - lower_m[:, :, 1, :2]
    line_upper = upper_m[:, :, 4, :2] - upper_m[:, :, 1, :2]
    flat = np.minimum(
        np.linalg.norm(line_lower, axis=-1).min(1), np.linalg.norm(line_upper, axis=-1).min(1)
    )
    heading = np.arctan2(line_lower[..., 1], line_lower[..., 0])
    heading -= np.arctan2(line_upper[..., 1], line_upper[..., 0])
    cos, sin = np.cos(heading)[..., None], np.sin(heading)[..., None]
    upper = upper_m[:, :, UPPER] - upper_m[:, :, :1]
    mixed = lower_m.copy()
    x, y = upper[..., 0], upper[..., 1]
    turned = np.stack([cos * x - sin * y, sin * x + cos * y, upper[..., 2]], -1)
    mixed[:, :, UPPER] = turned + lower_m[:, :, :1]
    possible = flat > 0.05
    mixed[~possible] = lower_m[~possible]
    return mixed, np.asarray(possible)


def mean_bones_m(
    joints_m: Float[np.ndarray, "clip frame 17 3"],
) -> Float32[np.ndarray, "clip 16"]:
    """Bone lengths of every clip, averaged over a few of its frames."""
    frames = np.linspace(0, joints_m.shape[1] - 1, 4).astype(int)
    return np.asarray(bone_lengths(joints_m[:, frames]).mean(1), np.float32)
