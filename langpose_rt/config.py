"""Model configuration: sizes, attention and input; checkpoints, manifests and engines carry one."""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

import msgspec

from langpose_rt.errors import ConfigError

NS_PER_S = 1_000_000_000

NUM_JOINTS = 17
"""Joints of a pose, in the Human3.6M order of `geometry.skeleton.JOINTS`."""

ROW_CHANNELS = 3
"""Channels of one joint of one input row: x, y, score."""

EXTRA_CHANNELS = 7
"""Channels a whole frame adds: anchor azimuth and elevation, log body size, gravity xyz and
whether it is known."""

LENGTH_CHANNELS = 17
"""Channels that known bone lengths add to a frame: the length of every bone, and whether they are
known."""


ENCODER_INPUTS = ("rows", "extras", "cos", "sin", "ring_keys", "ring_values", "bias")
"""Inputs of the encoder's step graph, in order; exported files hold these names."""
ENCODER_OUTPUTS = ("feature", "embedding", "key", "value")
WINDOW_INPUTS = ("rows", "extras", "cos", "sin", "bias")
"""Inputs of the encoder over a whole window, which only a benchmark runs."""
LIFTER_INPUTS = ("newest", "answered", "lag_s")
LIFTER_OUTPUTS = ("pose", "sigma")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes and attention of an encoder and its lifter; see the help of each field.

    Raises:
        ConfigError: If the values do not fit together.
    """

    name: str = field(default="live", metadata={"help": "name of the model"})
    input: Literal["anchored", "screen"] = field(
        default="anchored",
        metadata={
            "help": "anchored rays in the person's own frame (ours) or screen coordinates (paper)"
        },
    )
    tokens: Literal["joint", "frame"] = field(
        default="frame",
        metadata={"help": "one token per joint (paper) or one per frame (ours, for small CPUs)"},
    )
    bone_input: bool = field(
        default=False,
        metadata={
            "help": (
                "extent and foreshortening of every bone are input too (needs one token per frame "
                "and anchored input)"
            )
        },
    )
    length_input: bool = field(
        default=False,
        metadata={
            "help": "the person's bone lengths are input too, where known (needs anchored input)"
        },
    )
    mirrored: bool = field(
        default=False,
        metadata={
            "help": (
                "flip averaging: an answer is the mean of a frame's own and its mirror image's; "
                "weights do not depend on it and training never does it; doubles the encoder's "
                "work and the ring"
            )
        },
    )
    streams: int = field(
        default=1,
        metadata={
            "help": (
                "2 for spatial-temporal and temporal-spatial streams with learned fusion, 1 for "
                "the first alone"
            )
        },
    )
    depth: int = field(
        default=4, metadata={"help": "layers; each has one temporal attention per stream"}
    )
    width: int = field(default=256, metadata={"help": "channels of a token"})
    heads: int = field(default=8, metadata={"help": "attention heads; a divisor of the width"})
    mlp_ratio: int = field(default=2, metadata={"help": "hidden channels of an MLP over the width"})
    window: int = field(
        default=32,
        metadata={
            "help": (
                "causal: earlier frames that temporal attention sees, 0 for a single-frame model; "
                "bidirectional: frames of the clip the model sees at once"
            )
        },
    )
    causal: bool = field(default=True, metadata={"help": "a frame sees only itself and its past"})
    max_age_s: float = field(
        default=2.0, metadata={"help": "keys older than this are masked (causal only)"}
    )
    representation: int = field(
        default=256, metadata={"help": "channels of the motion representation the lifter reads"}
    )
    embedding: int = field(
        default=128, metadata={"help": "channels of the projected motion embedding"}
    )

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ConfigError(f"width {self.width} must be an even multiple of heads {self.heads}")
        if self.streams not in (1, 2):
            raise ConfigError(f"streams must be 1 or 2, got {self.streams}")
        if self.tokens == "frame" and self.streams == 2:
            raise ConfigError(
                "two streams need joint tokens; one token a frame has nothing spatial"
            )
        if self.bone_input and (self.tokens, self.input) != ("frame", "anchored"):
            raise ConfigError("bone input needs one token a frame and anchored rows")
        if self.length_input and self.input != "anchored":
            raise ConfigError("length input needs anchored rows")
        if not self.causal and self.window < 1:
            raise ConfigError("a bidirectional model needs a window of at least one frame")

    @property
    def token_count(self) -> int:
        """Tokens of one frame."""
        return NUM_JOINTS if self.tokens == "joint" else 1

    @property
    def extra_channels(self) -> int:
        """Channels of the frame inputs: those of the person frame, and known bone lengths."""
        return EXTRA_CHANNELS + (LENGTH_CHANNELS if self.length_input else 0)

    @property
    def blocks(self) -> int:
        """Temporal attention blocks of the whole encoder, all views; each has keys and values."""
        return self.depth * self.streams * self.sides

    @property
    def sides(self) -> int:
        """Views of a frame: 2 with flip averaging, else 1."""
        return 2 if self.mirrored else 1

    @property
    def channels(self) -> int:
        """Channels of one cell of a key or value ring: all tokens of one frame."""
        return self.token_count * self.width

    @property
    def feature_channels(self) -> int:
        """Channels of one frame's motion representation, all tokens, all views."""
        return self.token_count * self.representation * self.sides

    @property
    def rotary_pairs(self) -> int:
        """Channel pairs of one head, each rotated by its own phase."""
        return self.width // self.heads // 2

    @property
    def max_age_ns(self) -> int:
        """Age beyond which a key is masked, in nanoseconds."""
        return round(self.max_age_s * NS_PER_S)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for a manifest or a checkpoint header."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class RayRefinement:
    """Parameters of the refinement of a pose towards its 2D input, at the predicted depth.

    Args:
        strength: Share of the way to its ray that a joint goes where all else speaks for it.
        jitter_m: Running jitter of a person's 2D, at the person, at which half of it is left.
        sigma_m: Standard deviation of a joint at which half of it is left: what the model is sure
            of stays where it is.
        cutoff_hz: Low pass of the move without jitter.

    Raises:
        ConfigError: If a number is out of range.
    """

    strength: float = 0.9
    jitter_m: float = 0.006
    sigma_m: float = 0.01
    cutoff_hz: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ConfigError(f"strength is {self.strength:g}; expected 0 to 1")
        for name in ("jitter_m", "sigma_m", "cutoff_hz"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} is {getattr(self, name):g}; expected more than 0")


def config_from_dict(values: dict[str, Any]) -> ModelConfig:
    """Build the model configuration of a manifest or checkpoint header.

    Raises:
        ConfigError: If a value is unknown to this version, or invalid.
    """
    unknown = set(values) - {field.name for field in fields(ModelConfig)}
    if unknown:
        raise ConfigError(
            f"model config has unknown values {sorted(unknown)}; it is from a newer langpose-rt"
        )
    try:
        return msgspec.convert(values, ModelConfig)
    except (msgspec.ValidationError, ZeroDivisionError) as error:
        raise ConfigError(f"model config is damaged: {error}") from error


def _paper(name: str, width: int, mlp_ratio: int) -> ModelConfig:
    return ModelConfig(
        name=name, input="screen", tokens="joint", streams=2, depth=5, width=width, heads=8,
        mlp_ratio=mlp_ratio, window=243, causal=False, representation=512, embedding=256,
    )  # fmt: skip


PRESETS = {
    "live": ModelConfig(width=384, heads=12, bone_input=True, length_input=True, mirrored=True),
    "live-l": ModelConfig(
        name="live-l", tokens="joint", streams=2, depth=5, width=128, heads=4, window=27
    ),
    "paper": _paper("paper", 512, 2),
    "lite": _paper("lite", 256, 4),
}
"""``live`` is the served default, ``live-l`` needs a GPU, ``paper`` and ``lite`` are the published
setting.

Source: five dual-stream layers and T = 243 second-hand from the paper; widths from MotionBERT (its
full and Lite sizes); ``live`` ours, chosen by what a CPU trains and serves.
"""


def check_range(name: str, value: float, least: float, most: float) -> None:
    """Check that an option lies within its range.

    Raises:
        ConfigError: If it does not, or is not finite.
    """
    if not (math.isfinite(value) and least <= value <= most):
        raise ConfigError(f"{name} is {value:g}; expected {least:g} to {most:g}")
