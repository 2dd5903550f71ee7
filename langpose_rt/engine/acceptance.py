"""What an engine must prove before it is written: its types, its tensors, and its poses.

TensorRT has built float32 engines where half was asked for and said nothing. So nothing here trusts
a setting: types are counted, tensors are compared, and poses are measured in mm.
"""

import json
from typing import Any

import numpy as np

from langpose_rt.errors import BuildError
from langpose_rt.manifest import EngineParity
from langpose_rt.runtime.tensors import Tensors

MIN_FP16_SHARE = 0.2
"""Share of half among the outputs of layers that compute in floating point. The graph's islands
leave 0.25 to 0.4; an engine that is float32 throughout has none."""

MAX_MEAN_MM = 0.5
MAX_WORST_MM = 3.0


def fp16_share_of_network(trt: Any, network: Any) -> float:
    """Share of half among the floating-point layer outputs of a network; constants do not count."""
    counted = {trt.DataType.HALF: 0, trt.DataType.FLOAT: 0}
    for layer in (network.get_layer(index) for index in range(network.num_layers)):
        if layer.type == trt.LayerType.CONSTANT:
            continue
        for index in range(layer.num_outputs):
            dtype = layer.get_output(index).dtype
            if dtype in counted:
                counted[dtype] += 1
    return counted[trt.DataType.HALF] / max(1, sum(counted.values()))


def fp16_share_of_engine(information: str, tensors: set[str]) -> float | None:
    """The same of a built engine, from its inspector.

    Args:
        information: Of the engine inspector, as JSON, of an engine built with detailed verbosity.
        tensors: Inputs and outputs of the network, whose types are given and prove nothing.

    Returns:
        The share, or None if the inspector names no tensor within.
    """
    half = full = 0
    for layer in json.loads(information).get("Layers", []):
        outputs = layer.get("Outputs", []) if isinstance(layer, dict) else []
        for output in outputs:
            kind = output.get("Format/Datatype", "")
            inner = output.get("Name") not in tensors
            half += inner and ("FP16" in kind or "Half" in kind)
            full += inner and ("FP32" in kind or "Float" in kind)
    return half / (half + full) if half + full else None


def io_of_network(trt: Any, network: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Inputs and outputs of a parsed network, as type and shape by name."""
    inputs = (network.get_input(index) for index in range(network.num_inputs))
    outputs = (network.get_output(index) for index in range(network.num_outputs))
    return (
        {tensor.name: _text(trt, tensor) for tensor in inputs},
        {tensor.name: _text(trt, tensor) for tensor in outputs},
    )


def check_fp16_share(name: str, share: float | None, where: str) -> None:
    """Refuse what computes in float32.

    Raises:
        BuildError: If the share is too small; None is no answer and is let pass.
    """
    if share is not None and share < MIN_FP16_SHARE:
        raise BuildError(
            f"the {name} is not half: {share:.0%} of the outputs in its {where} are, "
            f"expected at least {MIN_FP16_SHARE:.0%}; nothing was written"
        )


def check_io(name: str, found: dict[str, str], expected: Tensors) -> None:
    """Refuse tensors that a backend would not find, in order.

    Raises:
        BuildError: With the first one that differs.
    """
    wanted = {tensor: str(shape) for tensor, shape in expected.items()}
    for tensor in (*wanted, *found):
        if found.get(tensor) != wanted.get(tensor):
            raise BuildError(
                f"the {name} has {tensor!r} as {found.get(tensor, 'nothing')}, "
                f"expected {wanted.get(tensor, 'nothing')}; nothing was written"
            )


def check_parity(parity: EngineParity) -> None:
    """Refuse an engine whose poses are too far from float32.

    Raises:
        BuildError: With what was measured and what is allowed.
    """
    measured = np.array((parity.mean_mm, parity.worst_mm))
    if not (measured <= (MAX_MEAN_MM, MAX_WORST_MM)).all():  # NaN is no distance
        raise BuildError(
            f"the engine is {parity.mean_mm:.3f} mm off on the mean and {parity.worst_mm:.3f} mm "
            f"at the worst joint ({parity.evaluator}), expected at most {MAX_MEAN_MM} and "
            f"{MAX_WORST_MM:.0f} mm; nothing was written"
        )


def _text(trt: Any, tensor: Any) -> str:
    names = {trt.DataType.FLOAT: "float32", trt.DataType.HALF: "float16"}
    shape = ("batch" if size < 0 else str(size) for size in tensor.shape)
    return f"{names.get(tensor.dtype, str(tensor.dtype))}[{','.join(shape)}]"
