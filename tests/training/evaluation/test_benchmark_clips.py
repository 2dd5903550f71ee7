"""The benchmark is drawn once: the same clips every time, and a hash that tells."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.geometry.skeleton import bone_lengths
from training.data.mocap import Mocap, MotionClip, read_mocap
from training.evaluation import benchmark_clips
from training.evaluation.benchmark_clips import (
    CONDITIONS,
    LEAST_FRAMES,
    MOST_FRAMES,
    BenchmarkClip,
    benchmark_hash,
    draw_benchmark,
    fingerprint_of,
)
from training.evaluation.fingerprints import is_same


@pytest.fixture(scope="module")
def validation(mocap_folder: Path) -> Mocap:
    return read_mocap(mocap_folder, "val")


@pytest.fixture(scope="module")
def clips(validation: Mocap) -> list[BenchmarkClip]:
    return draw_benchmark(validation)


def test_the_hash_is_stable_and_changes_with_any_bit(
    validation: Mocap, clips: list[BenchmarkClip]
) -> None:
    assert benchmark_hash(clips) == benchmark_hash(draw_benchmark(validation))
    scores = clips[2].footage.scores.copy()
    scores[0, 3, 4] = np.nextafter(scores[0, 3, 4], np.float32(2))
    changed = replace(clips[2], footage=replace(clips[2].footage, scores=scores))
    assert benchmark_hash([*clips[:2], changed, *clips[3:]]) != benchmark_hash(clips)


def test_a_condition_that_changes_shows_in_the_hash(
    validation: Mocap, clips: list[BenchmarkClip]
) -> None:
    noisier = replace(CONDITIONS, noise=replace(CONDITIONS.noise, strongest=2.1))
    assert benchmark_hash(draw_benchmark(validation, noisier)) != benchmark_hash(clips)


def test_another_draw_has_another_fingerprint(
    validation: Mocap, clips: list[BenchmarkClip]
) -> None:
    noisier = replace(CONDITIONS, noise=replace(CONDITIONS.noise, strongest=2.1))
    own = fingerprint_of(clips)
    assert is_same(fingerprint_of(draw_benchmark(validation)), own)
    assert not is_same(fingerprint_of(draw_benchmark(validation, noisier)), own)


def test_every_source_and_action_is_asked(validation: Mocap, clips: list[BenchmarkClip]) -> None:
    asked = {(clip.source, clip.action) for clip in clips}
    assert asked == {(clip.source, clip.action) for clip in validation.clips}
    assert len({clip.name for clip in clips}) == len(clips)


def test_clips_keep_metric_bones_and_fit_their_recording(
    validation: Mocap, clips: list[BenchmarkClip]
) -> None:
    for clip in clips:
        recording = next(own for own in validation.clips if own.name == clip.name)
        frames = clip.footage.time_ns.shape[1]
        assert LEAST_FRAMES <= frames <= MOST_FRAMES
        assert clip.footage.time_ns[0, -1] * 1e-9 <= recording.duration_s + 1e-9
        own = bone_lengths(validation.joints_m[recording.start : recording.start + 1])
        np.testing.assert_allclose(bone_lengths(clip.footage.pose_camera_m[0, :1]), own, atol=3e-3)


def test_a_long_recording_is_asked_more_than_once_and_no_more_than_allowed() -> None:
    still = np.zeros((7200, 17, 3), np.float32)
    still[:] = np.linspace(0, 1.7, 17)[:, None]
    recording = MotionClip(
        name="a",
        source="idle",
        licence="MIT",
        text="a person stands idle",
        action="idle",
        subject="1",
        fps=60.0,
        start=0,
        frames=7200,
    )
    drawn = draw_benchmark(Mocap(joints_m=still, clips=(recording,)))
    assert len(drawn) == int(recording.duration_s / benchmark_clips.APART_S)
