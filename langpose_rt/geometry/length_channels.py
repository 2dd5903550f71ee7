"""Frame inputs of known bone lengths: how each differs from the reference body's.

Lengths are relative to the person's own stature, because poses are in body units.
"""

import numpy as np
from jaxtyping import Float, Float32

from langpose_rt.config import LENGTH_CHANNELS
from langpose_rt.geometry.skeleton import REFERENCE_BONES_M, REFERENCE_STATURE_M, stature_m

_SCALE = 4.0
"""Logarithms of a person's proportions are about 0.1; inputs of a network should be near 1."""

_RANGE = 0.7


def length_channels(
    bones_m: Float[np.ndarray, "person 16"],
) -> Float32[np.ndarray, "person 17"]:
    """Return the frame inputs of bone lengths.

    Args:
        bones_m: Length of every bone of `skeleton.BONES`, metres; NaN where unknown.

    Returns:
        Scaled logarithms of length over reference length, both relative to stature, and 1; all zero
        for a person with an unknown length.

    Source:
        Ours. Measured gain: docs/benchmarks/ablations.md.
    """
    known = (np.isfinite(bones_m) & (bones_m > 0)).all(-1)
    lengths_m = np.where(known[..., None], bones_m, REFERENCE_BONES_M)
    proportions = lengths_m / (stature_m(lengths_m) / REFERENCE_STATURE_M)[..., None]
    channels = np.zeros((*known.shape, LENGTH_CHANNELS), np.float32)
    logarithms = np.log(proportions / REFERENCE_BONES_M)
    channels[..., :-1] = _SCALE * np.clip(logarithms, -_RANGE, _RANGE) * known[..., None]
    channels[..., -1] = known
    return channels
