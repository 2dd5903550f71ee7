"""Error metrics of 3D poses, in millimetres.

Every function takes the two clips as [frame, joint, 3] metres and compares them with their roots
aligned (joint 0, Hip), so that absolute and root-relative poses may be mixed. `valid` (frames, or
joints of frames) and `joints` (indices) select what counts. A result is a mean over all joints of
all frames that count; NaN where none does.

"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

Poses = Float[np.ndarray, "frame joint 3"]
Valid = Bool[np.ndarray, " frame"] | Bool[np.ndarray, "frame joint"] | None

MM = 1000.0
PCK_MM = 150.0
AUC_MM = np.arange(0.0, 151.0, 5.0)
"""Thresholds of the area under the curve. Source: Mehta et al. 2017, MPI-INF-3DHP."""

_CONSTANT_STEPS = 40
_NEAREST_M = 1e-4


class Similarity(NamedTuple):
    """Similarity transform of every frame: scale * pose @ rotation.T + shift."""

    scale: Float[np.ndarray, " frame"]
    rotation: Float[np.ndarray, "frame 3 3"]
    shift: Float[np.ndarray, "frame 3"]

    def apply(self, pose: Poses) -> Poses:
        """Return the transformed pose."""
        turned = pose @ self.rotation.swapaxes(-1, -2)
        return np.asarray(self.scale[:, None, None] * turned + self.shift[:, None])


def mpjpe_mm(
    predicted: Poses, target: Poses, *, valid: Valid = None, joints: Sequence[int] | None = None
) -> float:
    """Return the mean per-joint position error with aligned roots (protocol 1)."""
    predicted, target, counts = _compared(predicted, target, valid, joints)
    return _mean(_distance_mm(predicted, target), counts)


def n_mpjpe_mm(
    predicted: Poses, target: Poses, *, valid: Valid = None, joints: Sequence[int] | None = None
) -> float:
    """Return the mean per-joint position error after the best scale for every predicted pose.

    Source: Rhodin et al. 2018, "Unsupervised geometry-aware representation", section 5.
    """
    predicted, target, counts = _compared(predicted, target, valid, joints)
    w = counts[..., None]
    size = (w * predicted**2).sum((1, 2))
    scale = (w * predicted * target).sum((1, 2)) / np.where(size > 0, size, 1.0)
    return _mean(_distance_mm(scale[:, None, None] * predicted, target), counts)


def p_mpjpe_mm(
    predicted: Poses, target: Poses, *, valid: Valid = None, joints: Sequence[int] | None = None
) -> float:
    """Return the mean per-joint position error after the best similarity for every predicted pose.

    Frames with fewer than three joints that count are left out: a similarity fits them exactly.

    """
    predicted, target, counts = _compared(predicted, target, valid, joints)
    counts = counts & (counts.sum(-1, keepdims=True) >= 3)
    aligned = similarity_between(predicted, target, counts.astype(np.float64)).apply(predicted)
    return _mean(_distance_mm(aligned, target), counts)


def velocity_error_mm_s(
    predicted: Poses,
    target: Poses,
    t_ns: Int[np.ndarray, " frame"],
    *,
    valid: Valid = None,
    joints: Sequence[int] | None = None,
) -> float:
    """Return the mean error of joint velocities relative to the root, between successive frames.

    Divide by the frame rate for the mm per frame of the literature (MPJVE).

    Source: Pavllo et al. 2019, "3D human pose estimation in video with temporal convolutions".
    """
    predicted, target, counts = _compared(predicted, target, valid, joints)
    seconds = np.diff(t_ns).astype(np.float64) * 1e-9
    both = counts[1:] & counts[:-1] & (seconds > 0)[:, None]
    per_s = 1.0 / np.where(seconds > 0, seconds, 1.0)[:, None, None]
    velocity = np.diff(predicted, axis=0) * per_s
    return _mean(_distance_mm(velocity, np.diff(target, axis=0) * per_s), both)


def jitter_mm(poses: Poses, *, valid: Valid = None, joints: Sequence[int] | None = None) -> float:
    """Return the mean distance of a joint from the midpoint of its previous and next position.

    It contains the curvature of the real motion and depends on the frame rate: compare it only with
    that of the ground truth, or of another method, on the same clip.

    Source: ours; half the norm of the second difference.
    """
    poses, _, counts = _compared(poses, poses, valid, joints)
    middle = 0.5 * (poses[2:] + poses[:-2])
    return _mean(_distance_mm(poses[1:-1], middle), counts[2:] & counts[1:-1] & counts[:-2])


def pck(
    predicted: Poses,
    target: Poses,
    *,
    threshold_mm: float | int = PCK_MM,
    valid: Valid = None,
    joints: Sequence[int] | None = None,
) -> float:
    """Return the share of joints, 0 to 1, with an error below the threshold, roots aligned."""
    predicted, target, counts = _compared(predicted, target, valid, joints)
    return _mean((_distance_mm(predicted, target) < threshold_mm).astype(np.float64), counts)


def auc(
    predicted: Poses, target: Poses, *, valid: Valid = None, joints: Sequence[int] | None = None
) -> float:
    """Return the mean of `pck`, 0 to 1, over the 31 thresholds from 0 to 150 mm."""
    predicted, target, counts = _compared(predicted, target, valid, joints)
    within = _distance_mm(predicted, target)[..., None] < AUC_MM
    return _mean(within.mean(-1), counts)


def similarity_between(
    source: Poses, target: Poses, weights: Float[np.ndarray, "frame joint"]
) -> Similarity:
    """Return the similarity of every frame that brings source closest to target.

    Least squares over the joints, weighted; never a reflection.

    Source: Umeyama 1991, eq. 40 to 43.
    """
    total = weights.sum(-1)
    w = (weights / np.where(total > 0, total, 1.0)[:, None])[..., None]
    source_mean, target_mean = (w * source).sum(1), (w * target).sum(1)
    a, b = source - source_mean[:, None], target - target_mean[:, None]
    U, stretch, Vt = np.linalg.svd((w * b).swapaxes(-1, -2) @ a)
    mirror = np.ones_like(stretch)
    mirror[:, 2] = np.where(np.linalg.det(U @ Vt) < 0, -1.0, 1.0)
    rotation = (U * mirror[:, None]) @ Vt
    size = (w * a**2).sum((1, 2))
    scale = (stretch * mirror).sum(-1) / np.where(size > 0, size, 1.0)
    shift = target_mean - scale[:, None] * np.einsum("fab,fb->fa", rotation, source_mean)
    return Similarity(scale, rotation, shift)


def best_constant_pose(
    target: Poses,
    *,
    aligned: bool,
    valid: Valid = None,
    joints: Sequence[int] | None = None,
) -> Float[np.ndarray, "joint 3"]:
    """Return the root-relative pose closest to a whole clip: the baseline of a constant prediction.

    Args:
        target: The clip.
        aligned: Minimise `p_mpjpe_mm` rather than `mpjpe_mm`.

    Returns:
        The best pose found, in metres, root at 0; joints that never count are 0.

    Source:
        Ours: generalised Procrustes mean (Gower 1975), reweighted for distances (Weiszfeld 1937).
    """
    _, target, counts = _compared(target, target, valid, joints)
    if aligned:
        counts = counts & (counts.sum(-1, keepdims=True) >= 3)
    frames = counts.any(-1)
    target, counts = target[frames], counts[frames]
    seen = counts.sum(0)[:, None]
    mean = pose = (counts[..., None] * target).sum(0) / np.maximum(seen, 1)
    turn = _still(len(target))
    for _ in range(_CONSTANT_STEPS if len(target) else 0):
        clip = np.broadcast_to(pose, target.shape)
        if aligned:
            turn = similarity_between(clip, target, counts.astype(np.float64))
        pose = _reweighted_mean(clip, target, counts, turn)
    if aligned:  # size and rotation are arbitrary: take those of the clip
        weights = (seen.T > 0).astype(np.float64)
        pose = similarity_between(pose[None], mean[None], weights).apply(pose[None])[0]
    return np.where(seen > 0, pose - pose[:1], 0.0)


def _reweighted_mean(
    clip: Poses, target: Poses, counts: Bool[np.ndarray, "frame joint"], turn: Similarity
) -> Float[np.ndarray, "joint 3"]:
    """Return the pose whose transformed copies minimise the reweighted sum of squares."""
    distance = np.linalg.norm(turn.apply(clip) - target, axis=-1)
    scale = turn.scale[:, None]
    w = (counts / np.maximum(distance, _NEAREST_M))[..., None]
    unrotated = (target - turn.shift[:, None]) @ turn.rotation
    total = (w * scale[..., None] ** 2).sum(0)
    mean = (w * scale[..., None] * unrotated).sum(0) / np.where(total > 0, total, 1.0)
    return np.asarray(mean - mean[:1])


def _still(frames: int) -> Similarity:
    turn = np.broadcast_to(np.eye(3), (frames, 3, 3))
    return Similarity(np.ones(frames), turn, np.zeros((frames, 3)))


def _compared(
    predicted: Poses, target: Poses, valid: Valid, joints: Sequence[int] | None
) -> tuple[Poses, Poses, Bool[np.ndarray, "frame joint"]]:
    """Return both clips in float64 with the root at 0, and a mask of the joints that count."""
    counts = np.zeros(target.shape[:2], bool)
    counts[:, slice(None) if joints is None else list(joints)] = True
    if valid is not None:
        counts &= valid if valid.ndim == 2 else valid[:, None]
    clips = []
    for clip in (predicted, target):
        relative = clip.astype(np.float64) - clip[:, :1]
        counts &= np.isfinite(relative).all(-1)
        clips.append(relative)
    masked = [np.where(counts[..., None], clip, 0.0) for clip in clips]
    return masked[0], masked[1], counts


def _distance_mm(a: Poses, b: Poses) -> Float[np.ndarray, "frame joint"]:
    return np.asarray(np.linalg.norm(a - b, axis=-1) * MM)


def _mean(
    values: Float[np.ndarray, "frame joint"], counts: Bool[np.ndarray, "frame joint"]
) -> float:
    return float(values[counts].mean()) if counts.any() else float("nan")
