"""Trunk joints that a keypoint format does not have and that are computed from others.

COCO detectors know no hip centre, neck base and spine: `geometry.skeleton` makes those from hips
and shoulders, so their errors are those of hips and shoulders, and they are missing together. Where
a detector of its own kind would look for a joint is joint_definitions.py's.
"""

import numpy as np
from jaxtyping import Bool, Float32

Rng = np.random.Generator

SHARES = (0.35, 0.5, 0.15)
"""Shares of clips with independent joints, as in COCO, and with a neck. Source: ours."""

_HIP, _SPINE, _THORAX = 0, 7, 8
_HIPS, _SHOULDERS = (1, 4), (11, 14)
_SPINE_SHARE = 0.48

Parts = tuple[tuple[int, tuple[int, ...]], ...]
COCO: Parts = ((_HIP, _HIPS), (_THORAX, _SHOULDERS), (_SPINE, (_HIP, _THORAX)))
WITH_NECK: Parts = ((_HIP, _HIPS), (_SPINE, (_HIP, _THORAX)))
"""Joints that each trunk joint is derived from, in an order of evaluation."""


def draw_kinds(rng: Rng, clips: int, share: float) -> tuple[Bool[np.ndarray, " clip"], ...]:
    """Draw which clips are seen as in COCO, and which as in formats with a neck.

    Args:
        rng: Random numbers.
        clips: How many.
        share: Part of the clips whose format is drawn; the others have all joints of their own.
    """
    drawn = rng.choice(3, clips, p=SHARES)
    chosen = rng.random(clips) < share
    return chosen & (drawn == 1), chosen & (drawn == 2)


def derive(
    joints_px: Float32[np.ndarray, "clip frame 17 2"],
    scores: Float32[np.ndarray, "clip frame 17"],
    kinds: tuple[Bool[np.ndarray, " clip"], ...],
) -> tuple[Float32[np.ndarray, "clip frame 17 2"], Float32[np.ndarray, "clip frame 17"]]:
    """Compute trunk joints from the others, as `skeleton.to_h36m17` does; new arrays.

    Args:
        joints_px: Detected joints.
        scores: 0 marks a missing joint; a joint is missing where a part of it is.
        kinds: As draw_kinds gives them.
    """
    joints_px, scores = joints_px.copy(), scores.copy()
    for chosen, parts in zip(kinds, (COCO, WITH_NECK), strict=True):
        for joint, (one, other) in parts:
            share = np.float32(_SPINE_SHARE if joint == _SPINE else 0.5)
            first, second = joints_px[chosen, :, one], joints_px[chosen, :, other]
            joints_px[chosen, :, joint] = first + share * (second - first)
            scores[chosen, :, joint] = np.minimum(scores[chosen, :, one], scores[chosen, :, other])
    return joints_px, scores
