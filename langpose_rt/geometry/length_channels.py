"""Frame inputs of known bone lengths: how each differs from the reference body's.

Lengths are relative to the person's own stature, because poses are in body units.
"""

import numpy as np
from jaxtyping import Float, Float32, Int32

from langpose_rt.config import EXTRA_CHANNELS, LENGTH_CHANNELS
from langpose_rt.geometry.skeleton import (
    FLIP_INDICES,
    REFERENCE_BONES_M,
    REFERENCE_STATURE_M,
    stature_m,
)

LENGTH_RANGE_M = (0.01, 1.5)
"""Accepted length of a bone."""

_SCALE = 4.0
"""Logarithms of a person's proportions are about 0.1; inputs of a network should be near 1."""

_RANGE = 0.7

_LATERAL_EXTRAS = (0, 3)
"""Frame inputs that change sign in a mirror: azimuth of the person frame, x of gravity."""


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


def extras_with_channels(
    extras: Float32[np.ndarray, "person extra"], channels: int
) -> Float32[np.ndarray, "person channel"]:
    """Return frame inputs with the number of channels that a model has.

    Args:
        extras: Those of the person frame, and maybe those of the bone lengths.
        channels: `ModelConfig.extra_channels` of the model.

    Returns:
        The inputs without bone lengths, or with unknown ones; the same array where it fits.
    """
    missing = channels - extras.shape[1]
    if missing <= 0:
        return extras[:, :channels]
    return np.concatenate([extras, np.zeros((len(extras), missing), np.float32)], 1)


def flipped_extras(
    channels: int,
) -> tuple[Int32[np.ndarray, " channel"], Float32[np.ndarray, " channel"]]:
    """Return the channel that each frame input takes in a mirror, and the sign it takes it with.

    Args:
        channels: `ModelConfig.extra_channels` of a model.
    """
    order, sign = np.arange(channels, dtype=np.int32), np.ones(channels, np.float32)
    sign[list(_LATERAL_EXTRAS)] = -1
    if channels > EXTRA_CHANNELS:
        opposite_bones = FLIP_INDICES[1:] - 1  # bone k ends in joint k + 1
        order[EXTRA_CHANNELS : EXTRA_CHANNELS + len(opposite_bones)] += (
            opposite_bones - np.arange(len(opposite_bones))
        ).astype(np.int32)
    return order, sign
