"""Time as frame numbers, as published models have it: what `training.ablate` compares ours with."""

from pathlib import Path

from langpose_rt.model.checkpoint import load
from langpose_rt.model.langpose import LangPose

_NUMBERED_NS = 20_000_000


def number_frames(model: LangPose) -> None:
    """Let phases go by frame number at 50 Hz instead of by time, in place.

    So published models have it; for comparisons only. Keys still age in time.
    """
    model.encoder.frame_period_ns = _NUMBERED_NS


def load_as_trained(path: Path) -> LangPose:
    """The model of a checkpoint; by frame number if it was trained so.

    Raises:
        ModelError: As `checkpoint.load`.
    """
    model, card = load(path)
    if card.get("training", {}).get("frame_numbers"):
        number_frames(model)
    return model
