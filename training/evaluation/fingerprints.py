"""Fingerprint of drawn clips: the same on every processor, another for every other draw."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.synthesis.batches import Footage

SAME_SUM = 0.01
"""Tolerance of a sum: rounding differs between processors by less than 1e-3 (between AVX2 and
AVX-512 the last bit of some scores differs); another draw of one clip changes it by more than 1."""

_EXACT = ("time_ns", "source")
_ROUNDED = ("rays", "scores", "gravity", "pose_camera_m", "stature_m")
"""Fields of Footage in the fingerprint; screen coordinates follow from the same draws."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """Fingerprint of drawn clips that is comparable between processors.

    Attributes:
        exact: SHA-256 over names, capture times and sources: integers and text.
        sums: Sum of every floating-point field with fixed random signs.
    """

    exact: str
    sums: dict[str, float]


def fingerprint(
    version: str, seed: int, names: Sequence[str], footages: Sequence[Footage]
) -> Fingerprint:
    """Return the fingerprint of clips.

    Args:
        version, seed: Those of the benchmark.
        names: Of the clips.
        footages: Of the same clips, one clip each.
    """
    digest = hashlib.sha256(version.encode())
    for name, footage in zip(names, footages, strict=True):
        digest.update(name.encode())
        for field in _EXACT:
            digest.update(np.ascontiguousarray(getattr(footage, field)).tobytes())
    sums = {}
    for field in _ROUNDED:
        parts = [np.ravel(getattr(footage, field)) for footage in footages]
        values = np.nan_to_num(np.concatenate(parts).astype(np.float64))
        signs = 2 * np.random.default_rng(seed).integers(0, 2, len(values)) - 1
        sums[field] = float((values * signs).sum())
    return Fingerprint(exact=digest.hexdigest(), sums=sums)


def is_same(one: Fingerprint, other: Fingerprint) -> bool:
    """Return True if two fingerprints are equal up to the rounding of processors."""
    return one.exact == other.exact and all(
        abs(one.sums[name] - other.sums[name]) <= SAME_SUM for name in _ROUNDED
    )
