"""The lifter: from the motion representation to a 3D pose and how sure it is of every joint."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from langpose_rt.config import NUM_JOINTS, ModelConfig
from langpose_rt.model.flip import Mirror

LAG_CHANNELS = 8
LOG_SIGMA_RANGE = (-6.0, 1.0)
"""Of body units: 2.5 mm to 2.7 m."""


def lag_channels(lag_s: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 8"]:
    """Smooth channels of a lag between 0 and about two seconds."""
    scales = 2.0 ** torch.arange(LAG_CHANNELS, device=lag_s.device, dtype=lag_s.dtype) * 0.25
    return torch.tanh(lag_s[..., None] * scales)


class Lifter(nn.Module):
    """Pose and sigma of a frame that is ``lag_s`` older than the newest one.

    A causal model answers for any frame it still remembers: it reads the representation of that
    frame, that of the newest, and the time between them, so one checkpoint serves every lookahead.
    A bidirectional model has no lag and reads one representation, as MotionBERT does. A mirrored
    model answers for the frame and for its image, and takes the mean.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.causal = config.causal
        self.mirror = Mirror() if config.mirrored else None
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
        newest: Float[Tensor, "*batch token rep"],
        answered: Float[Tensor, "*batch token rep"],
        lag_s: Float[Tensor, "*batch"],
    ) -> tuple[Float[Tensor, "*batch 17 3"], Float[Tensor, "*batch 17"]]:
        """Pose of the answered frame, relative to its root joint, and log sigma.

        Args:
            newest: Representation of the newest frame.
            answered: Representation of the frame that is answered for; the newest itself at lag 0.
            lag_s: Time from the answered frame to the newest.

        Returns:
            Pose in body units in the axes of the input (anchored, or screen for bidirectional
            models), root at zero; natural logarithm of the joints' standard deviation in the same
            unit.
        """
        if self.mirror is None:
            return self._one_side(newest, answered, lag_s)
        own, image = (
            self._one_side(*side, lag_s)
            for side in zip(newest.chunk(2, dim=-1), answered.chunk(2, dim=-1), strict=True)
        )
        pose = (own[0] + self.mirror.joints(image[0])) / 2
        return pose, (own[1] + self.mirror.numbers(image[1])) / 2

    def _one_side(self, newest: Tensor, answered: Tensor, lag_s: Tensor) -> tuple[Tensor, Tensor]:
        hidden = answered
        if self.causal:
            lag = lag_channels(lag_s)[..., None, :].expand(*answered.shape[:-1], -1)
            hidden = self.hidden(torch.cat((newest, answered, lag), dim=-1))
        pose = self.to_pose(hidden).unflatten(-1, (self.joints_per_token, 3)).flatten(-3, -2)
        log_sigma = self.to_log_sigma(hidden).flatten(-2).clamp(*LOG_SIGMA_RANGE)
        root = torch.full_like(log_sigma[..., :1], LOG_SIGMA_RANGE[0])  # at zero by definition
        return pose - pose[..., :1, :], torch.cat((root, log_sigma[..., 1:]), dim=-1)
