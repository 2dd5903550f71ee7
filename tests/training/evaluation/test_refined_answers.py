"""Answers of a benchmark are refined as a stream would be."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.config import RayRefinement
from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M
from training.data.mocap import read_mocap
from training.evaluation.benchmark_clips import BenchmarkClip, draw_benchmark
from training.evaluation.refined_answers import refine_answer
from training.evaluation.scores import Answer, score_clip


@pytest.fixture
def clip(mocap_folder: Path) -> BenchmarkClip:
    return draw_benchmark(read_mocap(mocap_folder, "val", sources=["cmu"]))[0]


def blurred(clip: BenchmarkClip, size_m: float) -> Answer:
    """The truth, each joint beside its place by the same amount in every frame."""
    scale = float(clip.footage.stature_m[0]) / REFERENCE_STATURE_M
    truth = clip.footage.pose_camera_m[0] / scale
    shift = np.random.default_rng(0).normal(0, size_m, (17, 3)).astype(np.float32)
    shift[0] = 0
    frames = np.arange(len(truth))
    sigma = np.full(truth.shape[:2], 0.05, np.float32)
    return Answer(pose_camera=(truth + shift).astype(np.float32), frames=frames, sigma=sigma)


def exact(clip: BenchmarkClip) -> BenchmarkClip:
    """The clip as a perfect detector sees it, 4 m away."""
    pose_m = clip.footage.pose_camera_m
    joints_m = pose_m + np.array([0, 0, 4], np.float32)
    footage = replace(
        clip.footage,
        rays=joints_m[..., :2] / joints_m[..., 2:],
        scores=np.ones_like(clip.footage.scores),
    )
    return replace(clip, footage=footage)


def test_what_the_network_blurs_is_put_back(clip: BenchmarkClip) -> None:
    seen = exact(clip)
    answer = blurred(seen, 0.02)
    refined = refine_answer(seen.footage, answer, RayRefinement())
    before, after = score_clip(seen, answer), score_clip(seen, refined)
    assert after["mpjpe_mm"] < 0.85 * before["mpjpe_mm"]
    np.testing.assert_array_equal(refined.frames, answer.frames)


def test_an_answer_without_sigma_stays(clip: BenchmarkClip) -> None:
    answer = replace(blurred(clip, 0.02), sigma=None)
    assert refine_answer(clip.footage, answer, RayRefinement()) is answer
