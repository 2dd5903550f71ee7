"""Plausibility check of a keypoint format: others with as many joints, and their bones."""

import numpy as np
from jaxtyping import Float

from langpose_rt.formats.plausibility.finding import Finding
from langpose_rt.geometry.skeleton import BONES, SKELETONS, Skeleton, to_h36m17

FORMAT_FRAMES = 30
"""Frames that a format is checked over."""

_FORMAT_MARGIN = 1.25
_FEW_FRAMES = 5
_FORMAT_MARGIN_OF_FEW = 1.4
_BONE_STARTS, _BONE_ENDS = np.array(BONES).T
_FEWEST_BONES = 10
_SAME_SIZE = {17: ("coco17", "h36m17"), 25: ("body25", "body25b")}


def format_finding(
    people: Float[np.ndarray, "person joint 3"],
    skeleton: Skeleton,
    joints: Float[np.ndarray, "person 17 3"],
    fewest: int = FORMAT_FRAMES,
) -> Finding | None:
    """Check a keypoint format against others with the same number of joints by bone length.

    Args:
        people: x, y in pixels and score of all frames; a missing joint is all 0.
        skeleton: The assumed format. The right format has the shortest bones.
        joints: The 17 joints of the people by that format.
        fewest: Fewest people for a finding.
    """
    others = [name for name in _SAME_SIZE.get(len(skeleton.joints), ()) if name != skeleton.name]
    if not others:
        return None
    own = _mean_bone(joints)
    for name in others:
        other = _mean_bone(to_h36m17(people, SKELETONS[name]))
        both = np.isfinite(own) & np.isfinite(other)
        if both.sum() < fewest:
            continue
        longer = float(np.median(own[both] / other[both]))
        if longer > (_FORMAT_MARGIN_OF_FEW if both.sum() < _FEW_FRAMES else _FORMAT_MARGIN):
            detail = (
                f"{len(skeleton.joints)} keypoints taken for {skeleton.name} make bones "
                f"{longer:.1f} times as long as those of {name}; name the format, {name} if it is"
            )
            return Finding("other_format", detail, impossible=True)
    return None


def guess_finding(skeleton: Skeleton, option: str) -> Finding:
    """Return the finding that a format was guessed from the number of keypoints.

    Args:
        skeleton: The guessed format.
        option: Instruction that selects another format, such as "say --format".
    """
    count = len(skeleton.joints)
    others = [name for name in _SAME_SIZE.get(count, ()) if name != skeleton.name]
    perhaps = "".join(f"; if they are {name}, {option} {name}" for name in others)
    detail = f"{count} keypoints are taken for {skeleton.name}{perhaps}"
    return Finding("format_guessed", detail, impossible=False)


def _mean_bone(joints: Float[np.ndarray, "person 17 3"]) -> Float[np.ndarray, " person"]:
    """Return the mean bone length of every person in pixels; NaN if most bones are not seen."""
    starts, ends = _BONE_STARTS, _BONE_ENDS
    bones = joints[:, starts, :2] - joints[:, ends, :2]
    lengths = np.hypot(bones[..., 0], bones[..., 1])
    seen = (joints[:, starts, 2] > 0) & (joints[:, ends, 2] > 0)
    mean = np.where(seen, lengths, 0).sum(-1) / np.maximum(seen.sum(-1), 1)
    return np.where((seen.sum(-1) >= _FEWEST_BONES) & (mean > 0), mean, np.nan)
