"""Scores of known answers, and averages that no source dominates."""

from pathlib import Path

import numpy as np
import pytest

from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M
from training.data.mocap import read_mocap
from training.evaluation.benchmark_clips import BenchmarkClip, draw_benchmark
from training.evaluation.scores import Answer, constant_pose_scores, macro_average, score_clip


@pytest.fixture(scope="module")
def clips(mocap_folder: Path) -> list[BenchmarkClip]:
    return draw_benchmark(read_mocap(mocap_folder, "val"))


def truth(clip: BenchmarkClip) -> Answer:
    scale = REFERENCE_STATURE_M / float(clip.footage.stature_m[0])
    frames = np.arange(clip.footage.time_ns.shape[1])
    return Answer(pose_camera=clip.footage.pose_camera_m[0] * scale, frames=frames)


def test_the_truth_scores_zero_and_trembles_like_itself(clips: list[BenchmarkClip]) -> None:
    score = score_clip(clips[0], truth(clips[0]))
    for name in ("mpjpe_mm", "p_mpjpe_mm", "velocity_error_mm_s", "mpjpe_first_mm"):
        assert score[name] == pytest.approx(0, abs=0.01)
    assert score["jitter_mm"] == pytest.approx(score["jitter_truth_mm"], rel=1e-3)


def test_visible_missing_and_first_frames_are_told_apart(clips: list[BenchmarkClip]) -> None:
    clip = next(c for c in clips if 0.02 < (c.footage.scores[:, :, 1:] == 0).mean() < 0.9)
    answer = truth(clip)
    pose = answer.pose_camera.copy()
    missing = clip.footage.scores[0] == 0
    missing[:, 0] = False
    pose[missing] += [0.0, 0.0, 0.1]
    late = clip.footage.time_ns[0] >= 0.5e9
    score = score_clip(clip, Answer(pose_camera=pose, frames=answer.frames))
    metres = float(clip.footage.stature_m[0]) / REFERENCE_STATURE_M
    assert score["mpjpe_visible_mm"] == pytest.approx(0, abs=0.01)
    assert score["mpjpe_missing_mm"] == pytest.approx(100 * metres, rel=1e-3)
    pose = answer.pose_camera.copy()
    pose[late, 1:] += 0.3
    score = score_clip(clip, Answer(pose_camera=pose, frames=answer.frames))
    assert score["mpjpe_first_mm"] == pytest.approx(0, abs=0.01)
    assert score["mpjpe_mm"] > 1


def test_a_wrong_height_costs_only_the_score_without_height(clips: list[BenchmarkClip]) -> None:
    score = score_clip(clips[0], truth(clips[0]))
    stature = float(clips[0].footage.stature_m[0])
    length_mm = 1000 * np.linalg.norm(clips[0].footage.pose_camera_m[0], axis=-1).mean()
    expected = length_mm * abs(1 - REFERENCE_STATURE_M / stature)
    assert score["mpjpe_reference_stature_mm"] == pytest.approx(expected, rel=0.01, abs=0.01)


def test_every_source_counts_alike_and_unknown_scores_do_not(clips: list[BenchmarkClip]) -> None:
    scores = [{"x": 10.0 if clip.source == "cmu" else 40.0} for clip in clips]
    unknown = next(i for i, clip in enumerate(clips) if clip.source == "cmu")
    scores[unknown]["x"] = float("nan")
    rows = macro_average(clips, scores)
    others = len(rows) - 2
    assert rows["macro"]["x"] == pytest.approx((10 + 40 * others) / (1 + others))


def test_the_best_constant_pose_is_worse_than_the_truth_and_aligned_better_than_not(
    clips: list[BenchmarkClip],
) -> None:
    rows = constant_pose_scores(clips)
    assert set(rows) == {"cmu", "deepmimic", "bandai1", "macro"}
    for row in rows.values():
        assert 0 < row["p_mpjpe_mm"] < row["mpjpe_mm"]
