"""Pose encoder: maps 2D joints to a motion representation per frame.

Layers hold one or two branches (spatial then temporal, temporal then spatial) that a learned weight
fuses, as in MotionBERT's DSTformer; with one token a frame there is no spatial part. The same
weights run over a whole clip (`forward`) and frame by frame against a ring (`step`). Here and in
the graphs, *rows* are the joint inputs of a frame (x, y, score) and *extras* its frame inputs.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from langpose_rt.config import NS_PER_S, NUM_JOINTS, ROW_CHANNELS, ModelConfig
from langpose_rt.model.attention import LAYER_NORM_EPS, Mlp, Rotary, SpatialPart, TemporalPart
from langpose_rt.model.bone_features import BONE_CHANNELS, BoneFeatures
from langpose_rt.model.flip import Flip
from langpose_rt.window.reference import MASKED
from langpose_rt.window.rotary import rotary_periods_ns


class DualStreamBranch(nn.Module):
    """Spatial and temporal attention in one of the two orders."""

    def __init__(self, config: ModelConfig, *, spatial_first: bool) -> None:
        super().__init__()
        sizes = (config.width, config.heads, config.width * config.mlp_ratio)
        self.spatial = SpatialPart(*sizes) if config.tokens == "joint" else None
        self.temporal = TemporalPart(*sizes)
        self.spatial_first = spatial_first

    def _mix_joints(self, x: Tensor, *, first: bool) -> Tensor:
        if self.spatial is None or first != self.spatial_first:
            return x
        return Tensor(self.spatial(x))

    def over_clip(self, x: Tensor, rotary: Rotary | None, bias: Tensor | None) -> Tensor:
        """Process a whole clip, [batch, frame, token, width]."""
        x = self._mix_joints(x, first=True)
        return self._mix_joints(self.temporal.over_clip(x, rotary, bias), first=False)

    def step(
        self, x: Tensor, rotary: Rotary, ring: tuple[Tensor, Tensor], bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Process one new frame, [batch, token, width]; also return its key and value."""
        x, key, value = self.temporal.step(self._mix_joints(x, first=True), rotary, ring, bias)
        return self._mix_joints(x, first=False), key, value


class Layer(nn.Module):
    """Encoder layer: one or two branches and, for two, their fusion."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.streams = nn.ModuleList(  # the name of the weights in checkpoints
            DualStreamBranch(config, spatial_first=index == 0) for index in range(config.streams)
        )
        self.fusion = nn.Linear(2 * config.width, 2) if config.streams == 2 else None
        if self.fusion is not None:
            nn.init.zeros_(self.fusion.weight)
            nn.init.constant_(self.fusion.bias, 0.5)

    def over_clip(self, x: Tensor, rotary: Rotary | None, bias: Tensor | None) -> Tensor:
        """Process a whole clip, [batch, frame, token, width]."""
        return self.fuse([branch.over_clip(x, rotary, bias) for branch in _branches(self)])

    def step(
        self, x: Tensor, rotary: Rotary, rings: list[tuple[Tensor, Tensor]], bias: Tensor
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Process one new frame against one ring per branch; also return keys and values."""
        results = [
            branch.step(x, rotary, ring, bias)
            for branch, ring in zip(_branches(self), rings, strict=True)
        ]
        outputs, keys, values = (list(part) for part in zip(*results, strict=True))
        return self.fuse(outputs), keys, values

    def fuse(self, outputs: list[Tensor]) -> Tensor:
        """Sum the branches, weighted by learned weights per token."""
        if self.fusion is None:
            return outputs[0]
        weights: Tensor = self.fusion(torch.cat(outputs, dim=-1)).softmax(dim=-1)
        return outputs[0] * weights[..., :1] + outputs[1] * weights[..., 1:]


class Encoder(nn.Module):
    """Encodes 2D joints as a motion representation, over clips or frame by frame.

    Attributes:
        frame_period_ns: If set, phases in `forward` follow the frame number times this period
            instead of the capture time; for comparison with models that do not use time.
    """

    rotary_periods_ns: Tensor
    frame_period_ns: int | None = None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.flip = Flip(config.extra_channels) if config.mirrored else None
        width = config.width
        if config.tokens == "frame":
            self.bones = BoneFeatures() if config.bone_input else None
            channels = (
                NUM_JOINTS * ROW_CHANNELS
                + config.extra_channels
                + (BONE_CHANNELS if self.bones else 0)
            )
            self.embed: nn.Module = nn.Linear(channels, width)
            self.embed_mlp = Mlp(width, width)
        else:
            self.embed = nn.Linear(ROW_CHANNELS, width)
            self.joint_position = nn.Parameter(
                nn.init.trunc_normal_(torch.empty(NUM_JOINTS, width), std=0.02)
            )
            if config.input == "anchored":
                self.embed_extras = nn.Linear(config.extra_channels, width)
        if not config.causal:
            time_position = nn.init.trunc_normal_(torch.empty(config.window, 1, width), std=0.02)
            self.time_position = nn.Parameter(time_position)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.to_representation = nn.Linear(width, config.representation)
        self.to_embedding = nn.Linear(config.representation, config.embedding)
        periods = torch.from_numpy(rotary_periods_ns(config.rotary_pairs))
        self.register_buffer("rotary_periods_ns", periods, persistent=False)

    def _tokens(self, rows: Tensor, extras: Tensor) -> Tensor:
        """Embed every frame; with flip averaging [batch * 2, ...], each with its flipped view."""
        if self.flip is not None:
            rows = _interleave(rows, self.flip.joints(rows))
            extras = _interleave(extras, self.flip.extras(extras))
        if self.config.tokens == "frame":
            parts = [rows.flatten(-2), extras]
            if self.bones is not None:
                parts.append(self.bones(rows))
            x = nn.functional.gelu(self.embed(torch.cat(parts, dim=-1)))
            return Tensor((x + self.embed_mlp(x))[..., None, :])
        x = self.embed(rows) + self.joint_position
        if self.config.input == "anchored":
            x = x + self.embed_extras(extras)[..., None, :]
        return Tensor(x)

    def _representation(self, x: Tensor) -> Tensor:
        features = torch.tanh(self.to_representation(self.norm(x)))
        if self.flip is None:
            return features
        return torch.cat(features.unflatten(0, (-1, 2)).unbind(1), dim=-1)

    def _for_all_views(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Repeat what a frame and its flipped view share, once for each view."""
        if self.flip is None:
            return values
        return tuple(_interleave(value, value) for value in values)

    def embedding(self, features: Float[Tensor, "*batch token rep"]) -> Float[Tensor, "*batch emb"]:
        """Project every frame to its motion embedding, not normalised.

        The flipped view is left out, because sentences distinguish left from right.
        """
        return Tensor(self.to_embedding(features[..., : self.config.representation].mean(dim=-2)))

    def rotary(self, time_ns: Int[Tensor, "*batch"]) -> Rotary:
        """Compute the phases of times; equal to `langpose_rt.window.rotary.rotary_table`."""
        periods = self.rotary_periods_ns
        phase = (time_ns[..., None] % periods).double() * (2.0 * torch.pi / periods.double())
        return Rotary(phase.cos().float(), phase.sin().float())

    def clip_bias(self, time_ns: Int[Tensor, "batch frame"]) -> Float[Tensor, "batch frame frame"]:
        """Return the bias [query, key] of causal attention, limited by frame count and by age."""
        age_ns = time_ns[:, :, None] - time_ns[:, None, :]
        index = torch.arange(time_ns.shape[1], device=time_ns.device)
        back = index[:, None] - index
        seen = (back >= 0) & (back <= self.config.window)
        seen = seen & ((age_ns <= self.config.max_age_ns) | (back == 0))
        return torch.where(seen, 0.0, MASKED)

    def forward(
        self,
        rows: Float[Tensor, "batch frame 17 3"],
        extras: Float[Tensor, "batch frame extra"],
        time_ns: Int[Tensor, "batch frame"],
    ) -> Float[Tensor, "batch frame token rep"]:
        """Encode every frame of a clip.

        A causal model attends from each frame to itself and up to ``window`` earlier frames no
        older than ``max_age_s``; a bidirectional one to the whole clip, at most ``window`` frames.

        Args:
            rows: Joint inputs in the form of the config's ``input``.
            extras: Frame inputs, at least as many as the config's ``extra_channels``; not used with
                screen input.
            time_ns: Capture times, rising.
        """
        if self.config.causal:
            phase_ns = time_ns
            if self.frame_period_ns is not None:
                numbers = torch.arange(time_ns.shape[-1], device=time_ns.device)
                phase_ns = (numbers * self.frame_period_ns).expand_as(time_ns)
            return self.over_clip(rows, extras, self.rotary(phase_ns), self.clip_bias(time_ns))
        return self.over_clip(rows, extras, None, None)

    def over_clip(
        self, rows: Tensor, extras: Tensor, rotary: Rotary | None, bias: Tensor | None
    ) -> Float[Tensor, "batch frame token rep"]:
        """Encode a clip with given phases and bias; both None for bidirectional models."""
        x = self._tokens(rows, extras[..., : self.config.extra_channels])
        if rotary is not None:
            rotary = Rotary(*self._for_all_views(*rotary))
        if bias is not None:
            (bias,) = self._for_all_views(bias)
        if not self.config.causal:
            x = x + self.time_position[: x.shape[1]]
        for layer in _layers(self):
            x = layer.over_clip(x, rotary, bias)
        return self._representation(x)

    def step(
        self,
        rows: Float[Tensor, "batch 17 3"],
        extras: Float[Tensor, "batch extra"],
        rotary: Rotary,
        ring: tuple[Tensor, Tensor],
        bias: Float[Tensor, "batch frame"],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Encode one new frame of every person; also return its keys and values for the ring.

        Args:
            rows: Joint inputs of the new frame.
            extras: Its frame inputs.
            rotary: Its phases.
            ring: Keys and values [batch, block, frame, token * width], keys rotated.
            bias: 0 or MASKED per ring cell.

        Returns:
            Representation [batch, token, rep * views]; keys and values [batch, block, channel].
        """
        x = self._tokens(rows, extras)
        cos, sin, bias = self._for_all_views(*rotary, bias)
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for layer in _layers(self):
            blocks = range(len(keys), len(keys) + self.config.streams)
            rings = [(self._cells(ring[0], block), self._cells(ring[1], block)) for block in blocks]
            x, own_keys, own_values = layer.step(x, Rotary(cos, sin), rings, bias)
            keys += own_keys
            values += own_values
        return self._representation(x), self._for_ring(keys), self._for_ring(values)

    def _cells(self, ring: Tensor, block: int) -> Tensor:
        """Return the cells of one attention, [batch * view, frame, channel], views interleaved."""
        if self.flip is None:
            return ring[:, block]
        return ring[:, 2 * block : 2 * block + 2].flatten(0, 1)

    def _for_ring(self, newest: list[Tensor]) -> Tensor:
        """Arrange the new cells of every attention as in the ring, [batch, block, channel]."""
        if self.flip is None:
            return torch.stack(newest, dim=1)
        return torch.cat([cell.unflatten(0, (-1, 2)) for cell in newest], dim=1)


def _interleave(direct: Tensor, flipped: Tensor) -> Tensor:
    """Return [batch * 2, ...]: every row followed by its flipped view."""
    return torch.stack((direct, flipped), dim=1).flatten(0, 1)


def _layers(encoder: Encoder) -> list[Layer]:
    """Return the layers with their type, which a ModuleList does not keep."""
    return [layer for layer in encoder.layers if isinstance(layer, Layer)]


def _branches(layer: Layer) -> list[DualStreamBranch]:
    return [branch for branch in layer.streams if isinstance(branch, DualStreamBranch)]


def seconds(time_ns: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Convert whole nanoseconds to float32 seconds; for differences, not for times of day."""
    return (time_ns.double() / NS_PER_S).float()
