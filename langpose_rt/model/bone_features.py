"""What one frame's bones say of depth: how they lie in the picture and how much they are shortened.

A bone of known length that looks short points towards the camera or away from it, and by how much
is a square root. A narrow network takes long to learn that root for twenty pairs of joints; given
it, what is left to learn is the sign.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from langpose_rt.geometry.skeleton import BONES, REFERENCE_BONES_M

_HIP, _TRUNK, _NECK, _SHOULDER = (float(REFERENCE_BONES_M[bone]) for bone in (0, 6, 7, 10))
_DIAGONAL = ((_HIP + _SHOULDER) ** 2 + (_TRUNK + _NECK) ** 2) ** 0.5

PAIRS = (*BONES, (1, 4), (14, 11), (1, 11), (4, 14))
"""Bones, then hips, shoulders and the two diagonals of the trunk."""

_LENGTHS_M = (*REFERENCE_BONES_M.tolist(), 2 * _HIP, 2 * _SHOULDER, _DIAGONAL, _DIAGONAL)

CHANNELS_PER_PAIR = 4
BONE_CHANNELS = CHANNELS_PER_PAIR * len(PAIRS)
_SMALLEST_SQUARE = 1e-4  # keeps the slope of a root finite


class BoneInput(nn.Module):
    """Channels of every pair of joints, from anchored rows.

    Source: ours, after Taylor (2000): relative depth from foreshortening. What it buys: training's
        README, "why bones".
    """

    first: Tensor
    second: Tensor
    length_m: Tensor

    def __init__(self) -> None:
        super().__init__()
        first, second = torch.tensor(PAIRS).T
        for name, table in (
            ("first", first), ("second", second), ("length_m", torch.tensor(_LENGTHS_M))
        ):  # fmt: skip
            self.register_buffer(name, table, persistent=False)

    def forward(self, rows: Float[Tensor, "*batch 17 3"]) -> Float[Tensor, "*batch channel"]:
        """Extent x, y, its length, and what is missing to the bone's own length.

        Args:
            rows: x and y in body sizes, and score; 0 marks a missing joint.

        Returns:
            In reference lengths of each pair, BONE_CHANNELS numbers. Where a joint is missing,
            extent and depth are 0 and the length is that of no bone, 0.01.
        """
        first, second = rows[..., self.first, :], rows[..., self.second, :]
        both = ((first[..., 2] > 0) & (second[..., 2] > 0)).to(rows.dtype)
        extent = (second[..., :2] - first[..., :2]) / self.length_m[:, None] * both[..., None]
        square = extent.square().sum(-1)
        length = torch.sqrt(square + _SMALLEST_SQUARE)
        depth = torch.sqrt((1 - square).clamp(min=0) + _SMALLEST_SQUARE) * both
        return torch.cat((extent.flatten(-2), length, depth), dim=-1)
