"""Acceptance checks of a built engine: share of FP16, inputs and outputs, and parity in mm.

TensorRT can silently build a float32 engine although FP16 was requested, so no setting is trusted:
types are counted, tensors are compared, and the distance of the poses is measured.
"""

import json
from typing import Any

from langpose_rt.errors import BuildError
from langpose_rt.manifest import EngineParity
from langpose_rt.runtime.parity import MAX_MEAN_MM, MAX_WORST_MM, within_limits
from langpose_rt.runtime.tensors import Tensors

MIN_FP16_SHARE = 0.2
"""Least share of FP16 among the floating-point layer outputs. The float32 islands of the graph
leave 0.25 to 0.4; an engine that is float32 throughout has 0."""


def fp16_share_of_network(trt: Any, network: Any) -> float:
    """Return the share of FP16 among the floating-point layer outputs of a network.

    Constants are not counted.
    """
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
    """Return the share of FP16 in a built engine, from its inspector.

    Args:
        information: JSON of the engine inspector; the engine was built with detailed verbosity.
        tensors: Inputs and outputs of the network, which are not counted.

    Returns:
        The share, or None if the inspector reports no inner tensor.
    """
    fp16 = fp32 = 0
    for layer in json.loads(information).get("Layers", []):
        outputs = layer.get("Outputs", []) if isinstance(layer, dict) else []
        for output in outputs:
            kind = output.get("Format/Datatype", "")
            inner = output.get("Name") not in tensors
            fp16 += inner and ("FP16" in kind or "Half" in kind)
            fp32 += inner and ("FP32" in kind or "Float" in kind)
    return fp16 / (fp16 + fp32) if fp16 + fp32 else None


def io_of_network(trt: Any, network: Any) -> tuple[dict[str, str], dict[str, str]]:
    """Return inputs and outputs of a parsed network, as type and shape by name."""
    inputs = (network.get_input(index) for index in range(network.num_inputs))
    outputs = (network.get_output(index) for index in range(network.num_outputs))
    return (
        {tensor.name: _text(trt, tensor) for tensor in inputs},
        {tensor.name: _text(trt, tensor) for tensor in outputs},
    )


def check_fp16_share(name: str, share: float | None, where: str) -> None:
    """Reject a network or engine that computes in float32.

    Raises:
        BuildError: If the share is too small; None (unknown) passes.
    """
    if share is not None and share < MIN_FP16_SHARE:
        raise BuildError(
            f"the {name} is not half: {share:.0%} of the outputs in its {where} are, "
            f"expected at least {MIN_FP16_SHARE:.0%}; nothing was written"
        )


def check_io(name: str, found: dict[str, str], expected: Tensors) -> None:
    """Reject inputs or outputs that differ from those a backend binds.

    Raises:
        BuildError: With the first difference.
    """
    required = {tensor: str(shape) for tensor, shape in expected.items()}
    for tensor in (*required, *found):
        if found.get(tensor) != required.get(tensor):
            raise BuildError(
                f"the {name} has {tensor!r} as {found.get(tensor, 'nothing')}, "
                f"expected {required.get(tensor, 'nothing')}; nothing was written"
            )


def check_parity(parity: EngineParity) -> None:
    """Reject an engine whose parity is beyond the limits.

    Raises:
        BuildError: With the measured parity and the limits.
    """
    if not within_limits(parity):
        raise BuildError(
            f"the engine is {parity.mean_mm:.3f} mm off on the mean and {parity.worst_mm:.3f} mm "
            f"at the worst joint ({parity.evaluator}), expected at most {MAX_MEAN_MM} and "
            f"{MAX_WORST_MM:.0f} mm; nothing was written"
        )


def _text(trt: Any, tensor: Any) -> str:
    names = {trt.DataType.FLOAT: "float32", trt.DataType.HALF: "float16"}
    shape = ("batch" if size < 0 else str(size) for size in tensor.shape)
    return f"{names.get(tensor.dtype, str(tensor.dtype))}[{','.join(shape)}]"
