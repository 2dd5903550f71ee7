"""Time as frame numbers, as published models have it: what `training.ablate` compares ours with."""

import torch
from torch import Tensor

from langpose_rt.model.blocks import Rotary
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
