"""Inputs and outputs of the two networks of an engine: names, types and shapes.

All are float32 except the ring, which is FP16 on the GPU. The names are those of
`langpose_rt.config`.
"""

from dataclasses import dataclass

from langpose_rt.config import (
    ENCODER_INPUTS,
    ENCODER_OUTPUTS,
    LIFTER_INPUTS,
    LIFTER_OUTPUTS,
    NUM_JOINTS,
    ROW_CHANNELS,
    ModelConfig,
)


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
    rows, extras = Tensor((NUM_JOINTS, ROW_CHANNELS)), Tensor((config.extra_channels,))
    inputs = (rows, extras, phases, phases, ring, ring, Tensor((config.window,)))
    feature, embedding = Tensor((config.feature_channels,)), Tensor((config.embedding,))
    outputs = (feature, embedding, newest, newest)
    return (
        dict(zip(ENCODER_INPUTS, inputs, strict=True)),
        dict(zip(ENCODER_OUTPUTS, outputs, strict=True)),
    )


def lifter_io(config: ModelConfig) -> tuple[Tensors, Tensors]:
    """Return inputs and outputs of the lifter."""
    feature = Tensor((config.feature_channels,))
    inputs = (feature, feature, Tensor(()))
    outputs = (Tensor((NUM_JOINTS, 3)), Tensor((NUM_JOINTS,)))
    return (
        dict(zip(LIFTER_INPUTS, inputs, strict=True)),
        dict(zip(LIFTER_OUTPUTS, outputs, strict=True)),
    )
