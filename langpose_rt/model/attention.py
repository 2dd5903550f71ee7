"""Attention blocks of the pose encoder: joint attention, temporal attention and their MLPs.

A temporal attention has two forms that must agree: `over_clip` for a whole clip under a mask, and
`step` for one new frame against a ring of cached keys and values that stays outside the graph. The
step joins logits instead of concatenating the ring, so nothing of the ring is ever copied to append
to it.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

LAYER_NORM_EPS = 1e-6


class Rotary(NamedTuple):
    """Cosine and sine of every channel pair's phase, one row per frame."""

    cos: Tensor
    sin: Tensor


def rotate(x: Float[Tensor, "*batch width"], rotary: Rotary) -> Float[Tensor, "*batch width"]:
    """Rotate channel pairs (first half, second half) by the phase of their frame."""
    first, second = x.chunk(2, dim=-1)
    cos, sin = rotary
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)


class _Projections(nn.Module):
    """Projections of multi-head self-attention: query, key and value in one, and the output."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def split(self, x: Float[Tensor, "*batch width"]) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values as [*batch, head, channel]."""
        q, k, v = self.qkv(x).unflatten(-1, (3 * self.heads, -1)).chunk(3, dim=-2)
        return q, k, v


class JointAttention(_Projections):
    """Attention of every token to all tokens of its frame."""

    def forward(self, x: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch token width"]:
        """Attend within every batch row."""
        q, k, v = (part.transpose(1, 2) for part in self.split(x))
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return Tensor(self.out(mixed.transpose(1, 2).flatten(2)))


class TemporalAttention(_Projections):
    """Attention of every token to the same token in other frames: `over_clip` or `step`."""

    def over_clip(
        self,
        x: Float[Tensor, "batch frame token width"],
        rotary: Rotary | None,
        bias: Float[Tensor, "#batch frame frame"] | None,
    ) -> Float[Tensor, "batch frame token width"]:
        """Attend over all frames of a clip at once.

        Args:
            x: Tokens of a clip.
            rotary: Phases [batch, frame, half]; None without rotary embedding.
            bias: Added to the logits [query, key]; None attends everywhere.
        """
        batch, _, tokens, _ = x.shape
        q, k, v = self.split(x)
        if rotary is not None:
            wide = Rotary(*(part[:, :, None, None] for part in rotary))
            q, k = rotate(q, wide), rotate(k, wide)
        q, k, v = (part.permute(0, 2, 3, 1, 4).flatten(0, 1) for part in (q, k, v))
        if bias is not None:
            bias = bias[:, None].expand(batch, tokens, -1, -1).flatten(0, 1)[:, None].to(q.dtype)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        mixed = mixed.transpose(1, 2).flatten(2).unflatten(0, (batch, tokens))
        return Tensor(self.out(mixed.transpose(1, 2)))

    def step(
        self,
        x: Float[Tensor, "batch token width"],
        rotary: Rotary,
        ring: tuple[Tensor, Tensor],
        bias: Float[Tensor, "batch frame"],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Attend from one new frame to the ring.

        Args:
            x: Tokens of the new frame.
            rotary: Phases of the new frame [batch, half].
            ring: Rotated keys, and values, [batch, frame, token * width].
            bias: 0 for a visible key, a large negative number for a masked one.

        Returns:
            The attended tokens, and the new rotated key and value to be written into the ring.
        """
        qk, v = (
            self.qkv(x)
            .unflatten(-1, (3 * self.heads, -1))
            .split((2 * self.heads, self.heads), dim=-2)
        )
        q, k = rotate(qk, Rotary(*(part[:, None, None] for part in rotary))).chunk(2, dim=-2)
        q = q * q.shape[-1] ** -0.5
        # With one query, sums over [batch, frame, token, head, channel] in memory order cost less
        # than transposing the ring for a matrix product.
        keys, values = (part.unflatten(-1, k.shape[1:]) for part in ring)
        ring_logits = (keys * q[:, None]).sum(-1) + bias[:, :, None, None]
        own_logit = (k * q).sum(-1)[:, None]
        weights = torch.cat((ring_logits, own_logit), dim=1).softmax(dim=1)[..., None]
        mixed = (weights[:, :-1] * values).sum(1) + weights[:, -1] * v
        return self.out(mixed.flatten(-2)), k.flatten(1), v.flatten(1)


class Mlp(nn.Sequential):
    """Two linear layers around a GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class SpatialPart(nn.Module):
    """Attention over the joints of one frame and an MLP, both residual."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.attention = JointAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(width, hidden)

    def forward(
        self, x: Float[Tensor, "*batch token width"]
    ) -> Float[Tensor, "*batch token width"]:
        """Attend over the joints of every frame."""
        flat = x.flatten(0, -3)
        flat = flat + self.attention(self.norm(flat))
        mixed: Tensor = flat + self.mlp(self.mlp_norm(flat))
        return mixed.view(x.shape)


class TemporalPart(nn.Module):
    """Attention over time and an MLP, both residual; as a clip and as one step."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.attention = TemporalAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(width, hidden)

    def over_clip(self, x: Tensor, rotary: Rotary | None, bias: Tensor | None) -> Tensor:
        """Process a whole clip; arguments as in `TemporalAttention.over_clip`."""
        x = x + self.attention.over_clip(self.norm(x), rotary, bias)
        return Tensor(x + self.mlp(self.mlp_norm(x)))

    def step(
        self, x: Tensor, rotary: Rotary, ring: tuple[Tensor, Tensor], bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Process one new frame; arguments and results as in `TemporalAttention.step`."""
        mixed, key, value = self.attention.step(self.norm(x), rotary, ring, bias)
        x = x + mixed
        return x + self.mlp(self.mlp_norm(x)), key, value
