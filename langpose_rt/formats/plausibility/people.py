"""Plausibility checks of what is said of people: scores, bone lengths and 3D ground truth."""

import math

import numpy as np
from jaxtyping import Float

from langpose_rt.formats.plausibility.finding import Finding
from langpose_rt.geometry.skeleton import (
    BONES,
    JOINTS,
    REFERENCE_BONES_M,
    REFERENCE_STATURE_M,
    bone_lengths,
    stature_m,
)

_LARGEST_SCORE, _PERCENT = 2.0, 30.0
"""Peaks of heat maps are a little above 1; scores that exceed the second are percentages."""

_STATURE_M = (0.3, 3.0)
_BONE_PROPORTIONS = (0.35, 2.0)
"""Length of a bone over the usual one; 0.41 to 1.62 in motion capture, whose rigs differ widely."""

_TRUNK_M = (0.2, 1.2)
_TRUNK = [place for place, (_, end) in enumerate(BONES) if end in (7, 8)]
"""Indices of the bones Hip to Spine and Spine to Thorax."""

_TRUTH_UNITS = {"millimetres": 1000.0, "centimetres": 100.0, "inches": 39.37}


def scores_finding(largest: float) -> Finding | None:
    """Detect scores of another scale: those above 1 become 1, so that no joint is doubtful.

    Args:
        largest: Largest score as it came.
    """
    if not _LARGEST_SCORE < largest < math.inf:
        return None
    scale = "; if they are percentages, divide by 100" if largest > _PERCENT else ""
    detail = (
        f"scores reach {largest:g}, expected 0 to 1: every joint above 1 is fully trusted{scale}"
    )
    return Finding("large_scores", detail, impossible=False)


def bones_finding(bones_m: Float[np.ndarray, "person 16"]) -> Finding | None:
    """Detect bone lengths in another unit or order, by the bodies they make.

    Args:
        bones_m: Length of every bone of `skeleton.BONES`, metres; a row with a NaN is unknown.
    """
    known_m = bones_m[np.isfinite(bones_m).all(-1)].astype(np.float64)
    heights_m = stature_m(known_m)
    low, high = _STATURE_M
    wrong_m = heights_m[(heights_m < low) | (heights_m > high)]
    if len(wrong_m):
        detail = (
            f"bone lengths make a person {wrong_m[0]:.1f} m tall, expected {low} to {high} m; if "
            "they are not metres, convert them"
        )
        return Finding("odd_bones", detail, impossible=False)
    usual_m = REFERENCE_BONES_M * heights_m[:, None] / REFERENCE_STATURE_M
    ratio = known_m / usual_m
    low, high = _BONE_PROPORTIONS
    odd = (ratio < low) | (ratio > high)
    if not odd.any():
        return None
    person, bone = np.argwhere(odd)[0]
    names = " ".join(JOINTS[joint] for _, joint in BONES)
    detail = (
        f"the bone that ends in {JOINTS[BONES[bone][1]]} is {ratio[person, bone]:.1f} times as "
        f"long as is usual for this stature; the order of bones_m is {names}"
    )
    return Finding("odd_bones", detail, impossible=False)


def truth_finding(pose3d: Float[np.ndarray, "frame 17 3"], counted: np.ndarray) -> Finding | None:
    """Check the trunk length of 3D ground truth against that of a person in metres.

    Args:
        pose3d: Joints, nominally in metres.
        counted: True for the joints that are evaluated.
    """
    known = np.isfinite(pose3d).all(-1) & counted
    if counted.any() and not known.any():
        return Finding("no_truth", '"pose3d" holds no number; expected metres', impossible=True)
    whole = (
        pose3d[known.all(-1)] if known.all(-1).any() else pose3d[np.isfinite(pose3d).all((1, 2))]
    )
    if not len(whole):
        return None
    trunk = float(np.median(bone_lengths(whole)[:, _TRUNK].sum(-1)))
    if trunk == 0:
        detail = 'all joints of "pose3d" are in one place; expected metres'
        return Finding("no_truth", detail, impossible=True)
    if _TRUNK_M[0] <= trunk <= _TRUNK_M[1]:
        return None
    detail = f'the trunk of "pose3d" is {trunk:.3g} long{_truth_unit(trunk)}; expected metres'
    return Finding("truth_unit", detail, impossible=True)


def _truth_unit(trunk: float) -> str:
    for unit, per_metre in _TRUTH_UNITS.items():
        if _TRUNK_M[0] <= trunk / per_metre <= _TRUNK_M[1]:
            return f"; it looks like {unit}"
    return ""
