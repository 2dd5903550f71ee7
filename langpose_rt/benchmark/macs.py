"""Multiply-accumulates of the encoder: one step on the ring, and a recomputed window.

Attention products are counted; embeddings, norms and pointwise work are not.
"""

from langpose_rt.config import NUM_JOINTS, ROW_CHANNELS, ModelConfig
from langpose_rt.model.bone_features import BONE_CHANNELS


def step_macs(config: ModelConfig, *, keys: int | None = None) -> int:
    """Return the MACs of one frame.

    Args:
        config: The model.
        keys: Frames that temporal attention sees; None for the whole ring and the frame itself.
    """
    keys = config.window + 1 if keys is None else keys
    d, tokens = config.width, config.token_count
    weights = 4 * d * d + 2 * config.mlp_ratio * d * d
    temporal = tokens * (weights + 2 * keys * d)
    spatial = tokens * (weights + 2 * tokens * d) if config.tokens == "joint" else 0
    fusion = 4 * d * tokens if config.streams == 2 else 0
    layers = config.depth * (config.streams * (temporal + spatial) + fusion)
    one_view = layers + _embedding_macs(config) + tokens * d * config.representation
    return config.sides * one_view


def window_macs(config: ModelConfig, frames: int) -> int:
    """Return the MACs of a window, every frame attending to every frame of the window."""
    return frames * step_macs(config, keys=frames)


def _embedding_macs(config: ModelConfig) -> int:
    d = config.width
    extras = config.extra_channels
    if config.tokens == "frame":
        bones = BONE_CHANNELS if config.bone_input else 0
        return (NUM_JOINTS * ROW_CHANNELS + extras + bones) * d + 2 * d * d
    return NUM_JOINTS * ROW_CHANNELS * d + (extras * d if config.input == "anchored" else 0)
