"""Parts of an error: by pose group, by joint, in depth or in the picture, turned or misshapen."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from langpose_rt.evaluation.metrics import Poses, mpjpe_mm, p_mpjpe_mm, similarity_between
from langpose_rt.geometry.skeleton import JOINTS

JOINT_GROUPS = {
    "trunk": (7, 8),
    "head": (9, 10),
    "shoulders": (11, 14),
    "elbows": (12, 15),
    "wrists": (13, 16),
    "knees": (2, 5),
    "ankles": (3, 6),
}
UPPER_ARMS = ((11, 12), (14, 15))

QUANTILES = {50: 1.538, 80: 2.154, 95: 2.795}
"""Lengths of a three-dimensional normal vector that hold these per cent, in sigmas of an axis."""

Parts = dict[str, float]


def error_parts(
    found_m: Poses, truth_m: Poses, sigma_m: Float[np.ndarray, "frame joint"] | None
) -> Parts:
    """Take errors of a clip apart.

    Args:
        found_m: Root-relative poses in camera axes.
        truth_m: As they should be.
        sigma_m: Standard deviation of every joint along an axis; None leaves it out.

    Returns:
        Errors in mm after Procrustes by joint group, and in depth and in the picture; angles in
        degrees by which whole bodies are turned, and their size in per cent; how much of the true
        depth of upper arms is found; and shares of errors within the quantiles sigma promises.
    """
    aligned, turn, scale = _aligned(found_m, truth_m)
    error_mm = 1000 * (aligned - truth_m)
    parts = {
        name: float(np.linalg.norm(error_mm[:, list(joints)], axis=-1).mean())
        for name, joints in JOINT_GROUPS.items()
    }
    parts["depth"] = float(np.abs(error_mm[..., 2]).mean())
    parts["picture"] = float(np.linalg.norm(error_mm[..., :2], axis=-1).mean())
    pitch, yaw, roll = np.degrees(np.abs(turn)).mean(0)
    parts |= {"pitch deg": float(pitch), "yaw deg": float(yaw), "roll deg": float(roll)}
    parts["scale %"] = float(100 * np.abs(scale - 1).mean())
    parts["arm depth slope"] = _arm_depth_slope(found_m, truth_m)
    if sigma_m is not None:
        distance = np.linalg.norm(found_m - truth_m, axis=-1)[:, 1:] / sigma_m[:, 1:]
        for percent, length in QUANTILES.items():
            parts[f"within {percent} %"] = float(100 * (distance < length).mean())
    return parts


def group_errors(
    found_m: Poses, truth_m: Poses, members: dict[str, Bool[np.ndarray, " frame"]]
) -> dict[str, tuple[float, float]]:
    """Return MPJPE and P-MPJPE in mm of the frames of every pose group that occurs."""
    return {
        group: (
            mpjpe_mm(found_m[inside], truth_m[inside]),
            p_mpjpe_mm(found_m[inside], truth_m[inside]),
        )
        for group, inside in members.items()
        if inside.any()
    }


def mean_parts(rows: Sequence[Parts]) -> Parts:
    """Average every part over the clips that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {
        name: float(np.nanmean([row.get(name, np.nan) for row in rows]))
        for name in names
        if any(np.isfinite(row.get(name, np.nan)) for row in rows)
    }


def _aligned(
    found_m: Poses, truth_m: Poses
) -> tuple[
    Float[np.ndarray, "frame joint 3"],
    Float[np.ndarray, "frame 3"],
    Float[np.ndarray, " frame"],
]:
    """Align frame by frame; the rotation vectors and scales that took."""
    weights = np.ones((len(found_m), len(JOINTS)))
    best = similarity_between(found_m, truth_m, weights)
    turn = Rotation.from_matrix(best.rotation).as_rotvec()
    return best.apply(found_m), turn, best.scale


def _arm_depth_slope(found_m: Poses, truth_m: Poses) -> float:
    """Slope of the found on the true depth of upper arms, through zero; 1 is right."""
    found, true = (
        np.stack([pose[:, elbow, 2] - pose[:, shoulder, 2] for shoulder, elbow in UPPER_ARMS])
        for pose in (found_m, truth_m)
    )
    size = float((true**2).sum())
    return float((found * true).sum() / size) if size > 0 else float("nan")
