"""Frame numbers as time, as in published models: a variant of `training.ablate`."""

from pathlib import Path

from langpose_rt.model.checkpoint import load
from langpose_rt.model.langpose import LangPose

_NUMBERED_NS = 20_000_000


def number_frames(model: LangPose) -> None:
    """Compute phases from frame numbers at 50 Hz instead of time, in place.

    As in published models; for comparisons only. The age limit of keys still uses time.
    """
    model.encoder.frame_period_ns = _NUMBERED_NS


def load_as_trained(path: Path) -> LangPose:
    """Load a checkpoint, with frame numbers as time if it was trained that way.

    Raises:
        ModelError: As `checkpoint.load`.
    """
    model, card = load(path)
    if card.get("training", {}).get("frame_numbers"):
        number_frames(model)
    return model
