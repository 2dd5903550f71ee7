"""Answers of a checkpoint: at the lookahead that was asked, from the past alone, as when served."""

from pathlib import Path

import numpy as np
import pytest
import torch

from langpose_rt.config import ModelConfig
from langpose_rt.model.langpose import LangPose, seeded
from training.data.mocap import read_mocap
from training.evaluation.benchmark_answers import answers, scores_by_lookahead
from training.evaluation.benchmark_clips import BenchmarkClip, draw_benchmark
from training.evaluation.scores import score_clip
from training.synthesis.batches import anchor_clips

SIZES = {"width": 16, "heads": 2, "depth": 1, "representation": 8, "embedding": 4}
LOOKAHEADS_S = (0.0, 0.05, 0.2)


@pytest.fixture(scope="module")
def clips(mocap_folder: Path) -> list[BenchmarkClip]:
    return draw_benchmark(read_mocap(mocap_folder, "val"))[:2]


@pytest.fixture(scope="module")
def model() -> LangPose:
    return seeded(ModelConfig(**SIZES, window=6), 0).eval()


@pytest.fixture(scope="module")
def offline() -> LangPose:
    config = ModelConfig(**SIZES, window=9, input="screen", tokens="joint", streams=2, causal=False)
    return seeded(config, 0).eval()


def test_without_lookahead_every_frame_is_answered_with_itself(
    model: LangPose, clips: list[BenchmarkClip]
) -> None:
    clip = clips[0]
    (found,) = answers(model, clip, [0.0])
    assert found.frames.tolist() == list(range(clip.footage.time_ns.shape[1]))
    batch = anchor_clips(clip.footage)
    with torch.no_grad():
        pose, _ = model(*(torch.from_numpy(x) for x in (batch.rows, batch.extras, batch.time_ns)))
    expected = pose[0].numpy() @ batch.rotation[0]
    np.testing.assert_allclose(found.pose_camera, expected, atol=1e-5)


@pytest.mark.parametrize("lookahead_s", LOOKAHEADS_S)
def test_a_frame_is_answered_if_a_later_one_is_at_least_the_lookahead_after_it(
    model: LangPose, clips: list[BenchmarkClip], lookahead_s: float
) -> None:
    for clip in clips:
        (found,) = answers(model, clip, [lookahead_s])
        left_s = (clip.footage.time_ns[0, -1] - clip.footage.time_ns[0]) * 1e-9
        assert found.frames.tolist() == np.flatnonzero(left_s >= lookahead_s - 1e-9).tolist()
        assert found.pose_camera.shape == (len(found.frames), 17, 3)


def test_a_lookahead_longer_than_the_clip_answers_for_nothing(
    model: LangPose, clips: list[BenchmarkClip]
) -> None:
    (found,) = answers(model, clips[0], [1e4])
    assert found.frames.size == 0


def test_an_answer_depends_on_no_frame_after_its_lookahead(
    model: LangPose, clips: list[BenchmarkClip]
) -> None:
    from dataclasses import replace

    clip, lookahead_s, frame = clips[0], 0.05, 5
    time_ns = clip.footage.time_ns[0]
    newest = int(np.searchsorted(time_ns, time_ns[frame] + round(lookahead_s * 1e9)))
    scores = clip.footage.scores.copy()
    scores[:, newest + 1 :] = 0
    blind = replace(clip, footage=replace(clip.footage, scores=scores))
    seen, unseen = (answers(model, one, [lookahead_s])[0] for one in (clip, blind))
    np.testing.assert_allclose(
        seen.pose_camera[: frame + 1], unseen.pose_camera[: frame + 1], atol=1e-5
    )


def test_clips_are_encoded_once_and_answered_for_each_lookahead(
    model: LangPose, clips: list[BenchmarkClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    whole = model.encoder.forward

    def counting(*given: torch.Tensor) -> torch.Tensor:
        encoded.append(1)
        return whole(*given)

    monkeypatch.setattr(model.encoder, "forward", counting)
    assert len(answers(model, clips[0], LOOKAHEADS_S)) == len(LOOKAHEADS_S)
    assert len(encoded) == 1


def test_a_bidirectional_model_answers_for_all_frames_whatever_the_lookahead(
    offline: LangPose, clips: list[BenchmarkClip]
) -> None:
    found = answers(offline, clips[0], LOOKAHEADS_S)
    frames = clips[0].footage.time_ns.shape[1]
    for one in found:
        assert one.frames.tolist() == list(range(frames))
        np.testing.assert_array_equal(one.pose_camera, found[0].pose_camera)


def test_scores_are_a_row_of_clips_for_each_lookahead(
    model: LangPose, clips: list[BenchmarkClip]
) -> None:
    scores = scores_by_lookahead(model, clips, LOOKAHEADS_S[:2])
    assert [len(row) for row in scores] == [len(clips)] * 2
    for clip, own in zip(clips, scores[1], strict=True):
        expected = score_clip(clip, answers(model, clip, [LOOKAHEADS_S[1]])[0])
        assert own == pytest.approx(expected, nan_ok=True)
