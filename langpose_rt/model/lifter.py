"""Lifter: maps the motion representation to a 3D pose and a standard deviation per joint."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from langpose_rt.config import NUM_JOINTS, ModelConfig
from langpose_rt.model.flip import Flip

LAG_CHANNELS = 8
LOG_SIGMA_RANGE = (-6.0, 1.0)
"""Range of log sigma in body units: 2.5 mm to 2.7 m."""


def lag_channels(lag_s: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 8"]:
    """Encode a lag between 0 and about two seconds as smooth channels."""
    scales = 2.0 ** torch.arange(LAG_CHANNELS, device=lag_s.device, dtype=lag_s.dtype) * 0.25
    return torch.tanh(lag_s[..., None] * scales)


class Lifter(nn.Module):
    """Predicts pose and sigma of a target frame that is ``lag_s`` older than the latest frame.

    A causal model lifts any frame in the ring: it reads the representation of the target frame,
    that of the latest frame, and the time between them, so one checkpoint serves every lookahead.
    A bidirectional model has no lag and reads one representation, as MotionBERT does. With flip
    averaging it lifts the frame and its flipped view, and returns the mean.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.causal = config.causal
        self.flip = Flip() if config.mirrored else None
        self.joints_per_token = NUM_JOINTS // config.token_count
        width = config.representation
        if self.causal:
            hidden = 2 * width if config.tokens == "frame" else width
            self.hidden = nn.Sequential(nn.Linear(2 * width + LAG_CHANNELS, hidden), nn.GELU())
            width = hidden
        self.to_pose = nn.Linear(width, 3 * self.joints_per_token)
        self.to_log_sigma = nn.Linear(width, self.joints_per_token)

    def forward(
        self,
        latest: Float[Tensor, "*batch token rep"],
        target: Float[Tensor, "*batch token rep"],
        lag_s: Float[Tensor, "*batch"],
    ) -> tuple[Float[Tensor, "*batch 17 3"], Float[Tensor, "*batch 17"]]:
        """Predict the pose of the target frame, relative to its root joint, and log sigma.

        Args:
            latest: Representation of the latest frame.
            target: Representation of the frame to lift; the latest itself at lag 0.
            lag_s: Time from the target frame to the latest.

        Returns:
            Pose in body units in the axes of the input (person frame, or screen for bidirectional
            models), root at zero; natural logarithm of the joints' standard deviation in the same
            unit.
        """
        if self.flip is None:
            return self.read(self.join(latest, target, lag_s))
        direct, flipped = (
            self.read(self.join(*view, lag_s))
            for view in zip(latest.chunk(2, dim=-1), target.chunk(2, dim=-1), strict=True)
        )
        pose = (direct[0] + self.flip.joints(flipped[0])) / 2
        return pose, (direct[1] + self.flip.scalars(flipped[1])) / 2

    def join(
        self, latest: Tensor, target: Tensor, lag_s: Tensor
    ) -> Float[Tensor, "*batch token c"]:
        """Return the hidden channels of one view of the target frame; arguments as of `forward`."""
        if not self.causal:
            return target
        lag = lag_channels(lag_s)[..., None, :].expand(*target.shape[:-1], -1)
        hidden: Tensor = self.hidden(torch.cat((latest, target, lag), dim=-1))
        return hidden

    def read(
        self, hidden: Float[Tensor, "*batch token c"]
    ) -> tuple[Float[Tensor, "*batch 17 3"], Float[Tensor, "*batch 17"]]:
        """Return pose and log sigma of one view, as `forward` does, from what `join` returns."""
        pose = self.to_pose(hidden).unflatten(-1, (self.joints_per_token, 3)).flatten(-3, -2)
        log_sigma = self.to_log_sigma(hidden).flatten(-2).clamp(*LOG_SIGMA_RANGE)
        root = torch.full_like(log_sigma[..., :1], LOG_SIGMA_RANGE[0])  # at zero by definition
        return pose - pose[..., :1, :], torch.cat((root, log_sigma[..., 1:]), dim=-1)
