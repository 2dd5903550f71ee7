"""Convert a float32 ONNX graph to FP16 with explicit types and casts.

TensorRT 11 computes in the types of the graph; no builder flag selects FP16. Every value is FP16
except on the *islands*, the float32 regions where FP16 would lose accuracy or overflow:

- rows and extras (joint and frame inputs) up to and including the product that embeds them,
- values that depend on time or the mask up to the next product: rotary, softmax, lag,
- temporal attention from the product of query, key and value to the weighted sum: logits may
  exceed the FP16 range, and on real keypoints FP16 queries cost 2 mm,
- LayerNorm, softmax and means,
- the head: the last product before every output of the network, and everything after it.

Inputs and outputs stay float32, except the ring: it is FP16 on the GPU, and converting it would
copy it once more each step.
"""

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from langpose_rt.errors import ModelError

FP16_INPUTS = frozenset({"ring_keys", "ring_values"})

_EMBEDDED = frozenset({"rows", "extras"})
_TIMED = frozenset({"cos", "sin", "bias", "lag_s"})
_HEADS = frozenset({"pose", "sigma", "feature", "embedding"})
_PRODUCTS = frozenset({"MatMul", "Gemm"})
_ALWAYS_FP32 = frozenset({"LayerNormalization", "Softmax", "ReduceMean"})
_FP16_MAX = float(np.finfo(np.float16).max)


def onnx_to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convert a network to FP16 outside its islands.

    Args:
        model: Encoder or lifter from `langpose_rt.engine.onnx_export`; not changed.

    Returns:
        A new model that passed the ONNX checker.

    Raises:
        ModelError: If a weight exceeds the FP16 range.
    """
    return _Conversion(model).model()


class _Conversion:
    """State of one conversion: type of every value and the nodes written so far."""

    def __init__(self, source: onnx.ModelProto) -> None:
        self._source = source
        self._weights, self._nodes = _weights_and_nodes(source.graph)
        self._floats = _float_values(source)
        self._islands = _islands(self._nodes, {value.name for value in source.graph.output})
        self._types = {v.name: _input_type(v.name) for v in source.graph.input}
        self._initializers: dict[str, TensorProto] = {}
        self._written: list[onnx.NodeProto] = []

    def model(self) -> onnx.ModelProto:
        """Return the converted model."""
        outputs = {value.name for value in self._source.graph.output}
        for index, node in enumerate(self._nodes):
            self._write(node, _FP32 if index in self._islands else _FP16, outputs)
        source = self._source.graph
        inputs = [_retyped_input(value) for value in source.input]
        graph = helper.make_graph(
            self._written, source.name, inputs, source.output, list(self._initializers.values())
        )
        model = helper.make_model(
            graph, opset_imports=self._source.opset_import, ir_version=self._source.ir_version
        )
        onnx.checker.check_model(model, full_check=True)
        return model

    def _write(self, node: onnx.NodeProto, wanted: int, outputs: set[str]) -> None:
        new = onnx.NodeProto()
        new.CopyFrom(node)
        new.input[:] = [self._as(name, wanted) for name in node.input]
        self._written.append(new)
        for position, name in enumerate(node.output):
            if name not in self._floats:
                continue
            self._types[name] = wanted
            if name in outputs and wanted == _FP16:
                new.output[position] = f"{name}.half"
                self._types |= {name: _FP32, f"{name}.half": _FP16}
                self._written.append(_cast(f"{name}.half", name, _FP32))

    def _as(self, name: str, wanted: int) -> str:
        """Return the name under which a value has the wanted type, adding a cast if needed."""
        if name in self._weights:
            return self._weight(name, wanted)
        if name not in self._floats or self._types[name] == wanted:
            return name
        other = f"{name}.{'half' if wanted == _FP16 else 'float'}"
        if other not in self._types:
            self._types[other] = wanted
            self._written.append(_cast(name, other, wanted))
        return other

    def _weight(self, name: str, wanted: int) -> str:
        values = self._weights[name]
        if values.dtype != np.float32:
            self._initializers[name] = numpy_helper.from_array(values, name)
            return name
        typed = f"{name}.{'half' if wanted == _FP16 else 'float'}"
        if wanted == _FP16:
            largest = float(np.abs(values).max(initial=0))
            if not largest <= _FP16_MAX:
                raise ModelError(
                    f"weight {name!r} holds {largest:.4g}, half ends at {_FP16_MAX:.0f}; "
                    "train or export the model again"
                )
            values = values.astype(np.float16)
        self._initializers[typed] = numpy_helper.from_array(values, typed)
        return typed


_FP16, _FP32 = int(TensorProto.FLOAT16), int(TensorProto.FLOAT)


def _input_type(name: str) -> int:
    return _FP16 if name in FP16_INPUTS else _FP32


def _retyped_input(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    new = onnx.ValueInfoProto()
    new.CopyFrom(value)
    new.type.tensor_type.elem_type = _input_type(value.name)
    return new


def _cast(name: str, to: str, wanted: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [name], [to], name=f"cast_{to}", to=wanted)


def _weights_and_nodes(
    graph: onnx.GraphProto,
) -> tuple[dict[str, np.ndarray], list[onnx.NodeProto]]:
    """Return weights by name as float32, and the nodes without the casts of stored FP16 weights."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in stored:
            stored[node.output[0]] = stored.pop(node.input[0]).astype(np.float32)
        else:
            nodes.append(node)
    return stored, nodes


def _float_values(model: onnx.ModelProto) -> set[str]:
    """Return the names of the values that are float32 in the source."""
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    return {v.name for v in values if v.type.tensor_type.elem_type == _FP32}


def _islands(nodes: list[onnx.NodeProto], outputs: set[str]) -> set[int]:
    """Return the indices of the nodes that compute in float32; nodes are in topological order."""
    found = {index for index, node in enumerate(nodes) if node.op_type in _ALWAYS_FP32}
    embedded, timed = set(_EMBEDDED), set(_TIMED)
    for index, node in enumerate(nodes):
        product = node.op_type in _PRODUCTS
        if embedded & set(node.input):
            found.add(index)
            if not product:
                embedded |= set(node.output)
        if timed & set(node.input) and not product:
            found.add(index)
            timed |= set(node.output)
    logits = {node.input[0] for node in nodes if node.op_type == "Softmax"}
    return found | set(_back_to_product(nodes, logits | (_HEADS & outputs)))


def _back_to_product(nodes: list[onnx.NodeProto], values: Iterable[str]) -> Iterable[int]:
    """Yield the nodes from some values back to the first product on every path, inclusive."""
    wanted = set(values)
    for index in range(len(nodes) - 1, -1, -1):
        if wanted & set(nodes[index].output):
            yield index
            if nodes[index].op_type not in _PRODUCTS:
                wanted |= set(nodes[index].input)
