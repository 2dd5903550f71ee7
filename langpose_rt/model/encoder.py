"""The pose encoder: rows of 2D joints in, a motion representation per frame out.

Layers hold one or two streams (spatial then temporal, temporal then spatial) that a learned weight
fuses, as in MotionBERT's DSTformer; with one token a frame the spatial part falls away. The same
weights run over a whole clip (`forward`) and frame by frame against a ring (`step`).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from langpose_rt.config import EXTRA_CHANNELS, NS_PER_S, NUM_JOINTS, ROW_CHANNELS, ModelConfig
from langpose_rt.model.attention import LAYER_NORM_EPS, Mlp, Rotary, SpatialPart, TemporalPart
from langpose_rt.model.bone_features import BONE_CHANNELS, BoneInput
from langpose_rt.model.flip import Mirror
from langpose_rt.window.reference import MASKED
from langpose_rt.window.rotary import rotary_periods_ns


class DualStreamBranch(nn.Module):
    """One order of spatial and temporal attention."""

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
        """All frames at once, [batch, frame, token, width]."""
        x = self._mix_joints(x, first=True)
        return self._mix_joints(self.temporal.over_clip(x, rotary, bias), first=False)

    def step(
        self, x: Tensor, rotary: Rotary, ring: tuple[Tensor, Tensor], bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One new frame, [batch, token, width], and its key and value."""
        x, key, value = self.temporal.step(self._mix_joints(x, first=True), rotary, ring, bias)
        return self._mix_joints(x, first=False), key, value


class Layer(nn.Module):
    """One or two streams and, for two, their fusion."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        streams = [
            DualStreamBranch(config, spatial_first=index == 0) for index in range(config.streams)
        ]
        self.streams = nn.ModuleList(streams)
        self.fusion = nn.Linear(2 * config.width, 2) if config.streams == 2 else None
        if self.fusion is not None:
            nn.init.zeros_(self.fusion.weight)
            nn.init.constant_(self.fusion.bias, 0.5)

    def over_clip(self, x: Tensor, rotary: Rotary | None, bias: Tensor | None) -> Tensor:
        """All frames at once, [batch, frame, token, width]."""
        return self.fuse([stream.over_clip(x, rotary, bias) for stream in _streams(self)])

    def step(
        self, x: Tensor, rotary: Rotary, rings: list[tuple[Tensor, Tensor]], bias: Tensor
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """One new frame against one ring per stream, and a key and a value per stream."""
        answers = [
            stream.step(x, rotary, ring, bias)
            for stream, ring in zip(_streams(self), rings, strict=True)
        ]
        outputs, keys, values = (list(part) for part in zip(*answers, strict=True))
        return self.fuse(outputs), keys, values

    def fuse(self, outputs: list[Tensor]) -> Tensor:
        """Weighted sum of the streams, weights learned per token."""
        if self.fusion is None:
            return outputs[0]
        weights: Tensor = self.fusion(torch.cat(outputs, dim=-1)).softmax(dim=-1)
        return outputs[0] * weights[..., :1] + outputs[1] * weights[..., 1:]


class Encoder(nn.Module):
    """Rows to motion representation, over clips or frame by frame.

    Attributes:
        frame_period_ns: Where it is set, phases in `forward` go by frame number, a frame counting
            as so much time; for comparisons with models that know no time.
    """

    rotary_periods_ns: Tensor
    frame_period_ns: int | None = None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.mirror = Mirror() if config.mirrored else None
        width = config.width
        if config.tokens == "frame":
            self.bones = BoneInput() if config.bone_input else None
            channels = (
                NUM_JOINTS * ROW_CHANNELS + EXTRA_CHANNELS + (BONE_CHANNELS if self.bones else 0)
            )
            self.embed: nn.Module = nn.Linear(channels, width)
            self.embed_mlp = Mlp(width, width)
        else:
            self.embed = nn.Linear(ROW_CHANNELS, width)
            self.joint_position = nn.Parameter(
                nn.init.trunc_normal_(torch.empty(NUM_JOINTS, width), std=0.02)
            )
            if config.input == "anchored":
                self.embed_extras = nn.Linear(EXTRA_CHANNELS, width)
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
        """Tokens of every frame; of a mirrored model [batch * 2, ...], each with its image."""
        if self.mirror is not None:
            rows = _interleaved(rows, self.mirror.joints(rows))
            extras = _interleaved(extras, self.mirror.extras(extras))
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
        if self.mirror is None:
            return features
        return torch.cat(features.unflatten(0, (-1, 2)).unbind(1), dim=-1)

    def _for_all_sides(self, *values: Tensor) -> tuple[Tensor, ...]:
        """What a frame and its image have in common, once for each."""
        if self.mirror is None:
            return values
        return tuple(_interleaved(value, value) for value in values)

    def embedding(self, features: Float[Tensor, "*batch token rep"]) -> Float[Tensor, "*batch emb"]:
        """Projected motion embedding of every frame, not normalised.

        Never of its mirror image: words know left from right.
        """
        return Tensor(self.to_embedding(features[..., : self.config.representation].mean(dim=-2)))

    def rotary(self, time_ns: Int[Tensor, "*batch"]) -> Rotary:
        """Phases of the given times; equal to `langpose_rt.window.rotary.rotary_table`."""
        periods = self.rotary_periods_ns
        phase = (time_ns[..., None] % periods).double() * (2.0 * torch.pi / periods.double())
        return Rotary(phase.cos().float(), phase.sin().float())

    def clip_bias(self, time_ns: Int[Tensor, "batch frame"]) -> Float[Tensor, "batch frame frame"]:
        """Bias [query, key] of causal attention banded by count and by age."""
        age_ns = time_ns[:, :, None] - time_ns[:, None, :]
        index = torch.arange(time_ns.shape[1], device=time_ns.device)
        back = index[:, None] - index
        seen = (back >= 0) & (back <= self.config.window)
        seen = seen & ((age_ns <= self.config.max_age_ns) | (back == 0))
        return torch.where(seen, 0.0, MASKED)

    def forward(
        self,
        rows: Float[Tensor, "batch frame 17 3"],
        extras: Float[Tensor, "batch frame 7"],
        time_ns: Int[Tensor, "batch frame"],
    ) -> Float[Tensor, "batch frame token rep"]:
        """Representation of every frame of a clip.

        Causal models see for each frame itself and up to ``window`` earlier frames no older than
        ``max_age_s``; bidirectional ones see the whole clip, at most ``window`` frames.

        Args:
            rows: Joints as the config's input wants them.
            extras: Frame channels; not read by screen input.
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
        """As `forward`, with phases and bias already made; both None for bidirectional models."""
        x = self._tokens(rows, extras)
        if rotary is not None:
            rotary = Rotary(*self._for_all_sides(*rotary))
        if bias is not None:
            (bias,) = self._for_all_sides(bias)
        if not self.config.causal:
            x = x + self.time_position[: x.shape[1]]
        for layer in _layers(self):
            x = layer.over_clip(x, rotary, bias)
        return self._representation(x)

    def step(
        self,
        rows: Float[Tensor, "batch 17 3"],
        extras: Float[Tensor, "batch 7"],
        rotary: Rotary,
        ring: tuple[Tensor, Tensor],
        bias: Float[Tensor, "batch frame"],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Representation of one new frame of every person, and what the ring must keep of it.

        Args:
            rows: Joints of the new frame.
            extras: Its frame channels.
            rotary: Its phases.
            ring: Keys and values [batch, block, frame, token * width], keys rotated.
            bias: 0 or MASKED per ring cell.

        Returns:
            Representation [batch, token, rep * sides]; keys and values [batch, block, channel].
        """
        x = self._tokens(rows, extras)
        cos, sin, bias = self._for_all_sides(*rotary, bias)
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
        """The cells of one attention, [batch * side, frame, channel]; sides lie side by side."""
        if self.mirror is None:
            return ring[:, block]
        return ring[:, 2 * block : 2 * block + 2].flatten(0, 1)

    def _for_ring(self, newest: list[Tensor]) -> Tensor:
        """New cells of every attention as the ring has them, [batch, block, channel]."""
        if self.mirror is None:
            return torch.stack(newest, dim=1)
        return torch.cat([cell.unflatten(0, (-1, 2)) for cell in newest], dim=1)


def _interleaved(own: Tensor, image: Tensor) -> Tensor:
    """[batch * 2, ...], everything followed by its image."""
    return torch.stack((own, image), dim=1).flatten(0, 1)


def _layers(encoder: Encoder) -> list[Layer]:
    """The layers with their type, which a ModuleList does not keep."""
    return [layer for layer in encoder.layers if isinstance(layer, Layer)]


def _streams(layer: Layer) -> list[DualStreamBranch]:
    return [stream for stream in layer.streams if isinstance(stream, DualStreamBranch)]


def seconds(time_ns: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """Whole nanoseconds as float32 seconds; for differences, not for times of day."""
    return (time_ns.double() / NS_PER_S).float()
