"""Horizontal flip of joints and frame inputs: swap left and right, negate x."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from langpose_rt.config import EXTRA_CHANNELS
from langpose_rt.geometry.length_channels import flipped_extras
from langpose_rt.geometry.skeleton import FLIP_INDICES


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
        extra_order, extra_sign = flipped_extras(extra_channels)
        for name, table in (
            ("opposite", torch.from_numpy(FLIP_INDICES)),
            ("joint_sign", torch.tensor([-1.0, 1.0, 1.0])),
            ("extra_order", torch.from_numpy(extra_order).long()),
            ("extra_sign", torch.from_numpy(extra_sign)),
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
