"""LangPose model: pose encoder and lifter in one module."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from langpose_rt.config import ModelConfig
from langpose_rt.model.encoder import Encoder, seconds
from langpose_rt.model.lifter import Lifter


class LangPose(nn.Module):
    """Encoder and lifter with one config.

    Source:
        Liao and Zheng, arXiv 2409.00449; five dual-stream layers and T = 243 second-hand. The
        causal family, person-centred input, sigma and lag are ours.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.lifter = Lifter(config)

    def forward(
        self,
        rows: Float[Tensor, "batch frame 17 3"],
        extras: Float[Tensor, "batch frame extra"],
        time_ns: Int[Tensor, "batch frame"],
        frames_back: int = 0,
    ) -> tuple[Float[Tensor, "batch target 17 3"], Float[Tensor, "batch target 17"]]:
        """Lift a whole clip at a fixed number of frames of lookahead.

        Args:
            rows: Joint inputs of every frame.
            extras: Frame inputs.
            time_ns: Capture times, rising.
            frames_back: Lookahead in frames; the last ``frames_back`` frames get no pose.

        Returns:
            Pose and log sigma of frames ``0 .. frame - frames_back - 1``.
        """
        features = self.encoder(rows, extras, time_ns)
        count = features.shape[1] - frames_back
        lag_s = seconds(time_ns[:, frames_back:] - time_ns[:, :count])
        pose, log_sigma = self.lifter(features[:, frames_back:], features[:, :count], lag_s)
        return pose, log_sigma


def with_flip_averaging(model: LangPose, *, mirrored: bool) -> LangPose:
    """Return the same weights in evaluation mode, with flip averaging or without."""
    new = LangPose(replace(model.config, mirrored=mirrored))
    new.load_state_dict(model.state_dict())
    return new.eval()


def seeded(config: ModelConfig, seed: int) -> LangPose:
    """Return a model whose random weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LangPose(config)
