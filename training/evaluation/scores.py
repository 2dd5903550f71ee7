"""Scores of predicted poses on benchmark clips, and their averages.

Scores are means over the joints and frames of a clip, then over the clips of a source, then over
sources, so that long sources have no larger weight. Metrics: `langpose_rt.evaluation.metrics`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.config import NUM_JOINTS
from langpose_rt.evaluation.metrics import (
    best_constant_pose,
    jitter_mm,
    mpjpe_mm,
    p_mpjpe_mm,
    velocity_error_mm_s,
)
from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M
from training.evaluation.benchmark_clips import BenchmarkClip
from training.synthesis.batches import anchor_clips

FIRST_S = 0.5
"""Length of the beginning of a clip, in which there is little history."""

Scores = dict[str, float]
Point = tuple[str, Scores]
"""Condition of a curve and its scores."""

CURVES = {
    "lookahead": "lookahead ms",
    "hidden": "hidden",
    "rate": "frame rate Hz",
    "noise": "strongest noise",
    "field": "field of view deg",
    "gravity": "gravity known",
    "lengths": "bone lengths known",
}
"""Names of the curves on the command line, and titles of their tables."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Predicted poses for frames of a clip.

    Attributes:
        pose_camera: Body units, camera axes.
        frames: Indices of these frames, rising.
        sigma: Standard deviation of every joint, body units; None where it was not computed.
    """

    pose_camera: Float[np.ndarray, "answered 17 3"]
    frames: Int[np.ndarray, " answered"]
    sigma: Float[np.ndarray, "answered 17"] | None = None


def score_clip(clip: BenchmarkClip, answer: Answer) -> Scores:
    """Compute all scores of a clip in mm and mm/s, in camera axes."""
    footage, frames = clip.footage, answer.frames
    truth = footage.pose_camera_m[0, frames]
    unsized = answer.pose_camera
    found = unsized * (float(footage.stature_m[0]) / REFERENCE_STATURE_M)
    seen = footage.scores[0, frames] > 0
    time_ns = footage.time_ns[0, frames]
    first = time_ns < FIRST_S * 1e9
    limbs = range(1, NUM_JOINTS)
    return {
        "mpjpe_mm": mpjpe_mm(found, truth),
        "p_mpjpe_mm": p_mpjpe_mm(found, truth),
        "mpjpe_reference_stature_mm": mpjpe_mm(unsized, truth),
        "mpjpe_visible_mm": mpjpe_mm(found, truth, valid=seen, joints=limbs),
        "mpjpe_missing_mm": mpjpe_mm(found, truth, valid=~seen, joints=limbs),
        "mpjpe_first_mm": mpjpe_mm(found, truth, valid=first),
        "p_mpjpe_first_mm": p_mpjpe_mm(found, truth, valid=first),
        "velocity_error_mm_s": velocity_error_mm_s(found, truth, time_ns),
        "jitter_mm": jitter_mm(found),
        "jitter_truth_mm": jitter_mm(truth),
    }


def macro_average(clips: list[BenchmarkClip], scores: list[Scores]) -> dict[str, Scores]:
    """Average scores per source, and "macro": their mean over the sources.

    A clip for which a score is undefined, such as one without a missing joint, is left out of it.
    """
    by_source: dict[str, list[Scores]] = {}
    for clip, score in zip(clips, scores, strict=True):
        by_source.setdefault(clip.source, []).append(score)
    result = {source: _mean(rows) for source, rows in sorted(by_source.items())}
    result["macro"] = _mean(list(result.values()))
    return result


def constant_pose_scores(clips: list[BenchmarkClip]) -> dict[str, Scores]:
    """Score the best constant pose of every source, fitted to the ground truth of that source.

    This baseline knows the body but not the input; fitting it to the test data favours it.
    MPJPE and P-MPJPE each use their own best pose, in the person frame.
    """
    result: dict[str, Scores] = {}
    for source in sorted({clip.source for clip in clips}):
        own = [anchor_clips(clip.footage) for clip in clips if clip.source == source]
        truth = np.concatenate([b.pose[0] * (b.stature_m[0] / REFERENCE_STATURE_M) for b in own])
        thinned = truth[:: max(len(truth) // 2000, 1)]
        row = {}
        for name, measure in (("mpjpe_mm", mpjpe_mm), ("p_mpjpe_mm", p_mpjpe_mm)):
            pose = best_constant_pose(thinned, aligned=measure is p_mpjpe_mm)
            row[name] = measure(np.broadcast_to(pose, thinned.shape), thinned)
        result[source] = row
    result["macro"] = _mean(list(result.values()))
    return result


def _mean(rows: list[Scores]) -> Scores:
    result = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        known = values[np.isfinite(values)]
        result[name] = float(known.mean()) if len(known) else float("nan")
    return result
