"""Bone features of one frame: extent and foreshortening of every bone in the image.

A bone of known length that appears short points towards the camera or away from it; its relative
depth is a square root, up to the sign. A narrow network is slow to learn that root for twenty pairs
of joints; with the root as an input it only has to learn the sign.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from langpose_rt.geometry.skeleton import INPUT_BONES, INPUT_BONES_M

CHANNELS_PER_PAIR = 4
BONE_CHANNELS = CHANNELS_PER_PAIR * len(INPUT_BONES)
_SMALLEST_SQUARE = 1e-4  # keeps the slope of a root finite


class BoneFeatures(nn.Module):
    """Channels of every pair of joints, from person-centred rows.

    Source: ours, after Taylor (2000): relative depth from foreshortening. Measured gain:
        docs/development/decisions/bone-features.md.
    """

    first: Tensor
    second: Tensor
    length_m: Tensor

    def __init__(self) -> None:
        super().__init__()
        first, second = torch.tensor(INPUT_BONES).T
        for name, table in (
            ("first", first), ("second", second), ("length_m", torch.from_numpy(INPUT_BONES_M))
        ):  # fmt: skip
            self.register_buffer(name, table, persistent=False)

    def forward(self, rows: Float[Tensor, "*batch 17 3"]) -> Float[Tensor, "*batch channel"]:
        """Compute extent x and y, its length, and the depth that completes the bone's length.

        Args:
            rows: x and y in body sizes, and score; 0 marks a missing joint.

        Returns:
            BONE_CHANNELS numbers, in reference lengths of each pair. Where a joint is missing,
            extent and depth are 0 and the length is the smallest possible, 0.01.
        """
        first, second = rows[..., self.first, :], rows[..., self.second, :]
        both = ((first[..., 2] > 0) & (second[..., 2] > 0)).to(rows.dtype)
        extent = (second[..., :2] - first[..., :2]) / self.length_m[:, None] * both[..., None]
        square = extent.square().sum(-1)
        length = torch.sqrt(square + _SMALLEST_SQUARE)
        depth = torch.sqrt((1 - square).clamp(min=0) + _SMALLEST_SQUARE) * both
        return torch.cat((extent.flatten(-2), length, depth), dim=-1)
