"""Inputs and outputs of the two networks of an engine: names, types and shapes.

All are float32 except the ring, which is FP16 on the GPU. The names are those of
`langpose_rt.model.step_graphs`.
"""

from dataclasses import dataclass

from langpose_rt.config import EXTRA_CHANNELS, NUM_JOINTS, ROW_CHANNELS, ModelConfig


@dataclass(frozen=True)
class Tensor:
    """Type and shape of an input or output.

    Attributes:
        shape: Shape for one person, without the batch dimension.
        dtype: NumPy name of the type.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"

    def __str__(self) -> str:
        return f"{self.dtype}[{','.join(('batch', *map(str, self.shape)))}]"


Tensors = dict[str, Tensor]
"""Tensors by name, in the order of the graph."""


def encoder_io(config: ModelConfig) -> tuple[Tensors, Tensors]:
    """Return inputs and outputs of the encoder."""
    phases = Tensor((config.rotary_pairs,))
    ring = Tensor((config.blocks, config.window, config.channels), "float16")
    newest = Tensor((config.blocks, config.channels))
    inputs = {
        "rows": Tensor((NUM_JOINTS, ROW_CHANNELS)), "extras": Tensor((EXTRA_CHANNELS,)),
        "cos": phases, "sin": phases, "ring_keys": ring, "ring_values": ring,
        "bias": Tensor((config.window,)),
    }  # fmt: skip
    outputs = {
        "feature": Tensor((config.feature_channels,)), "embedding": Tensor((config.embedding,)),
        "key": newest, "value": newest,
    }  # fmt: skip
    return inputs, outputs


def lifter_io(config: ModelConfig) -> tuple[Tensors, Tensors]:
    """Return inputs and outputs of the lifter."""
    feature = Tensor((config.feature_channels,))
    inputs = {"newest": feature, "answered": feature, "lag_s": Tensor(())}
    return inputs, {"pose": Tensor((NUM_JOINTS, 3)), "sigma": Tensor((NUM_JOINTS,))}
