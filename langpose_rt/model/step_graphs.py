"""Modules for export: one encoder step and one lifter call, with named inputs and outputs.

The names are stored in exported files: ``rows`` are the joint inputs of a frame, ``extras`` its
frame inputs, ``feature`` its motion representation, ``newest`` the representation of the latest
frame and ``answered`` that of the target frame. The ring is an input and never an output: the
encoder returns only the newest key and value, and the owner of the ring writes them into it.
"""

import torch
from torch import Tensor, nn

from langpose_rt.config import NUM_JOINTS
from langpose_rt.model.attention import Rotary
from langpose_rt.model.langpose import LangPose


class EncoderStep(nn.Module):
    """Encode one frame of every person: ENCODER_INPUTS to ENCODER_OUTPUTS."""

    def __init__(self, model: LangPose) -> None:
        super().__init__()
        self.encoder = model.encoder

    def forward(  # noqa: PLR0917 - a graph has its inputs in order
        self, rows: Tensor, extras: Tensor, cos: Tensor, sin: Tensor,
        ring_keys: Tensor, ring_values: Tensor, bias: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        """Return representation [batch, token * rep], embedding, key and value per block."""
        feature, key, value = self.encoder.step(
            rows, extras, Rotary(cos, sin), (ring_keys, ring_values), bias
        )
        return feature.flatten(1), self.encoder.embedding(feature), key, value


class EncoderWindow(nn.Module):
    """Encode a whole window with the same weights: WINDOW_INPUTS to the newest feature.

    For comparison: a lifter without a ring does this work for every new frame.
    """

    def __init__(self, model: LangPose) -> None:
        super().__init__()
        self.encoder = model.encoder

    def forward(
        self, rows: Tensor, extras: Tensor, cos: Tensor, sin: Tensor, bias: Tensor
    ) -> Tensor:
        """Return the representation [batch, token * rep] of the last frame of each window."""
        return self.encoder.over_clip(rows, extras, Rotary(cos, sin), bias)[:, -1].flatten(1)


class LifterStep(nn.Module):
    """Lift cached representations: LIFTER_INPUTS to LIFTER_OUTPUTS."""

    def __init__(self, model: LangPose) -> None:
        super().__init__()
        self.lifter = model.lifter
        self.tokens = model.config.token_count

    def forward(self, newest: Tensor, answered: Tensor, lag_s: Tensor) -> tuple[Tensor, Tensor]:
        """Return pose [batch, 17, 3] and sigma [batch, 17], in body units."""
        shape = (self.tokens, -1)
        pose, log_sigma = self.lifter(
            newest.unflatten(1, shape), answered.unflatten(1, shape), lag_s
        )
        return pose, torch.exp(log_sigma)


def example_inputs(model: LangPose, batch: int) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return zero inputs of the two graphs, in order, for tracing."""
    config = model.config
    ring = torch.zeros(batch, config.blocks, config.window, config.channels)
    encoder = (
        torch.zeros(batch, NUM_JOINTS, 3), torch.zeros(batch, config.extra_channels),
        torch.ones(batch, config.rotary_pairs), torch.zeros(batch, config.rotary_pairs),
        ring, ring.clone(), torch.zeros(batch, config.window),
    )  # fmt: skip
    feature = torch.zeros(batch, config.feature_channels)
    return encoder, (feature, feature.clone(), torch.zeros(batch))
