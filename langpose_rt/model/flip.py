"""The mirror image of a frame: left and right trade places, x turns around."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from langpose_rt.config import EXTRA_CHANNELS
from langpose_rt.geometry.skeleton import FLIP_INDICES

_SIDEWAYS_EXTRAS = (0, 3)
"""Anchor azimuth, and x of gravity."""


class Mirror(nn.Module):
    """Mirrors what goes into a network, and what comes out of it.

    A network trained on mirrored clips too should answer a mirrored frame with the mirrored pose;
    the mean of both answers is nearer to the truth than either.

    Source: test-time flipping as in VideoPose3D and MotionBERT; frame by frame against one ring
        that holds both sides ours. What it buys and costs: training's README, "why mirrored".
    """

    opposite: Tensor
    joint_sign: Tensor
    extra_sign: Tensor

    def __init__(self) -> None:
        super().__init__()
        extra_sign = torch.ones(EXTRA_CHANNELS)
        extra_sign[list(_SIDEWAYS_EXTRAS)] = -1.0
        for name, table in (
            ("opposite", torch.from_numpy(FLIP_INDICES)),
            ("joint_sign", torch.tensor([-1.0, 1.0, 1.0])),
            ("extra_sign", extra_sign),
        ):
            self.register_buffer(name, table, persistent=False)

    def joints(self, x: Float[Tensor, "*batch 17 3"]) -> Float[Tensor, "*batch 17 3"]:
        """Rows or a pose as the mirror shows them."""
        return x.index_select(-2, self.opposite) * self.joint_sign

    def numbers(self, x: Float[Tensor, "*batch 17"]) -> Float[Tensor, "*batch 17"]:
        """One number a joint, such as sigma."""
        return x.index_select(-1, self.opposite)

    def extras(self, x: Float[Tensor, "*batch 7"]) -> Float[Tensor, "*batch 7"]:
        """Frame channels as the mirror shows them."""
        return x * self.extra_sign
