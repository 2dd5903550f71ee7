"""Lift benchmark clips with a model at any lookahead, and score the poses."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from langpose_rt.config import RayRefinement

if TYPE_CHECKING:
    import torch

    from langpose_rt.model.langpose import LangPose

from training.evaluation.benchmark_clips import (
    BenchmarkClip,
)
from training.evaluation.refined_answers import refine_answer
from training.evaluation.scores import (
    Answer,
    Scores,
    score_clip,
)
from training.synthesis.batches import Batch, anchor_clips, screen_clips


def scores_by_lookahead(
    model: "LangPose",
    clips: list[BenchmarkClip],
    lookaheads_s: Sequence[float],
    *,
    refinement: RayRefinement | None = None,
) -> list[list[Scores]]:
    """Score every clip for each lookahead; the clips are encoded once.

    Args:
        model: Answers.
        clips: Of the benchmark.
        lookaheads_s: Each gives a list of scores.
        refinement: How answers are moved towards their 2D; after the others come as many lists with
            it, None gives none.
    """
    found = []
    for clip in clips:
        plain = answers(model, clip, lookaheads_s)
        kept = (
            []
            if refinement is None
            else [refine_answer(clip.footage, one, refinement) for one in plain]
        )
        found.append([score_clip(clip, one) for one in (*plain, *kept)])
    return [list(rows) for rows in zip(*found, strict=True)]


def answers(model: "LangPose", clip: BenchmarkClip, lookaheads_s: Sequence[float]) -> list[Answer]:
    """Lift all frames that have a later frame at least the lookahead after them, per lookahead.

    A frame is lifted with the first such later frame, as in the live stream. A bidirectional model
    lifts every frame of the clip in pieces of its window, independent of the lookahead.
    """
    import torch

    on_screen = model.config.input == "screen"
    batch = screen_clips(clip.footage) if on_screen else anchor_clips(clip.footage)
    if not model.config.causal:
        return [_offline(model, batch)] * len(lookaheads_s)
    with torch.no_grad():
        inputs = (torch.from_numpy(x) for x in (batch.rows, batch.extras, batch.time_ns))
        features = model.encoder(*inputs)[0]
        return [_answer(model, batch, features, lookahead_s) for lookahead_s in lookaheads_s]


def _answer(
    model: "LangPose", batch: Batch, features: "torch.Tensor", lookahead_s: float
) -> Answer:
    import torch

    time_ns = batch.time_ns[0]
    newest = np.searchsorted(time_ns, time_ns + round(lookahead_s * 1e9))
    frames = np.nonzero(newest < len(time_ns))[0]
    newest = newest[frames]
    lag_s = ((time_ns[newest] - time_ns[frames]) * 1e-9).astype(np.float32)
    pose, log_sigma = model.lifter(features[newest], features[frames], torch.from_numpy(lag_s))
    return Answer(
        pose_camera=pose.numpy() @ batch.rotation[0, frames],
        frames=frames,
        sigma=log_sigma.exp().numpy(),
    )


def _offline(model: "LangPose", batch: Batch) -> Answer:
    import torch

    frames, window = batch.rows.shape[1], model.config.window
    arrays = (batch.rows, batch.extras, batch.time_ns)
    with torch.no_grad():
        poses = [
            model(*(torch.from_numpy(x[:, start : start + window]) for x in arrays))[0][0].numpy()
            for start in range(0, frames, window)
        ]
    in_camera = np.concatenate(poses) @ batch.rotation[0]
    return Answer(pose_camera=in_camera, frames=np.arange(frames))
