"""Horizontal flip of joints and frame inputs: swap left and right, negate x."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from langpose_rt.config import EXTRA_CHANNELS
from langpose_rt.geometry.skeleton import FLIP_INDICES

_LATERAL_EXTRAS = (0, 3)
"""Indices of the frame inputs that change sign: azimuth of the person frame, x of gravity."""


class Flip(nn.Module):
    """Flips inputs and outputs of a network for flip averaging.

    A network that is also trained on flipped clips should predict the flipped pose for a flipped
    frame; the mean of both predictions is more accurate than either.

    Source: flip testing as in VideoPose3D and MotionBERT; frame by frame against one ring that
        holds both views: ours. Gain and cost: docs/development/decisions/flip-averaging.md.
    """

    opposite: Tensor
    joint_sign: Tensor
    extra_order: Tensor
    extra_sign: Tensor

    def __init__(self, extra_channels: int = EXTRA_CHANNELS) -> None:
        super().__init__()
        extra_sign = torch.ones(extra_channels)
        extra_sign[list(_LATERAL_EXTRAS)] = -1.0
        extra_order = torch.arange(extra_channels)
        if extra_channels > EXTRA_CHANNELS:
            bones = torch.from_numpy(FLIP_INDICES[1:] - 1)  # bone k ends in joint k + 1
            extra_order[EXTRA_CHANNELS : EXTRA_CHANNELS + len(bones)] = EXTRA_CHANNELS + bones
        for name, table in (
            ("opposite", torch.from_numpy(FLIP_INDICES)),
            ("joint_sign", torch.tensor([-1.0, 1.0, 1.0])),
            ("extra_order", extra_order),
            ("extra_sign", extra_sign),
        ):
            self.register_buffer(name, table, persistent=False)

    def joints(self, x: Float[Tensor, "*batch 17 3"]) -> Float[Tensor, "*batch 17 3"]:
        """Flip joint inputs or a pose."""
        return x.index_select(-2, self.opposite) * self.joint_sign

    def scalars(self, x: Float[Tensor, "*batch 17"]) -> Float[Tensor, "*batch 17"]:
        """Flip one scalar per joint, such as sigma."""
        return x.index_select(-1, self.opposite)

    def extras(self, x: Float[Tensor, "*batch extra"]) -> Float[Tensor, "*batch extra"]:
        """Flip frame inputs."""
        return x.index_select(-1, self.extra_order) * self.extra_sign
