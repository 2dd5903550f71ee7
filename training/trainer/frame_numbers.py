"""Time as frame numbers, as published models have it: what `training.ablate` compares ours with."""

from pathlib import Path

import torch
from torch import Tensor

from langpose_rt.model.attention import Rotary
from langpose_rt.model.checkpoint import load
from langpose_rt.model.langpose import LangPose

_NUMBERED_NS = 20_000_000


def number_frames(model: LangPose) -> None:
    """Let phases go by frame number at 50 Hz instead of by time, in place.

    So published models have it; for comparisons only. Keys still age in time.
    """
    encoder = model.encoder
    by_time = encoder.rotary

    def by_number(time_ns: Tensor) -> Rotary:
        number = torch.arange(time_ns.shape[-1], device=time_ns.device)
        return by_time((number * _NUMBERED_NS).expand_as(time_ns))

    encoder.rotary = by_number  # type: ignore[method-assign]


def load_as_trained(path: Path) -> LangPose:
    """The model of a checkpoint; by frame number if it was trained so.

    Raises:
        ModelError: As `checkpoint.load`.
    """
    model, card = load(path)
    if card.get("training", {}).get("frame_numbers"):
        number_frames(model)
    return model
