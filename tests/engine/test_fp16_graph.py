"""The FP16 graph: half outside its islands, float32 on them, and finite on legal extremes."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from langpose_rt.config import ENCODER_INPUTS, ENCODER_OUTPUTS, PRESETS, ModelConfig
from langpose_rt.engine import fp16_graph as module
from langpose_rt.engine.fp16_graph import FP16_INPUTS, onnx_to_fp16
from langpose_rt.engine.fp16_reference import fp16_backend
from langpose_rt.engine.onnx_export import onnx_from_module
from langpose_rt.errors import BackendError, ModelError
from langpose_rt.manifest import read_manifest
from langpose_rt.model.langpose import seeded
from langpose_rt.model.step_graphs import EncoderStep, example_inputs
from langpose_rt.runtime.backend import DEFAULT_MODEL
from langpose_rt.runtime.parity import ParityClip, lift_clip

HALF, FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT
JOINTS = ModelConfig(
    name="joints", tokens="joint", streams=2, width=16, heads=2, depth=1, window=4,
    representation=16, embedding=8,
)  # fmt: skip


def source(name: str) -> onnx.ModelProto:
    return onnx.load(DEFAULT_MODEL / f"{name}.onnx")


@pytest.fixture(scope="module")
def joints() -> onnx.ModelProto:
    """An encoder of two streams and joint tokens, as the exporter writes it."""
    model = seeded(JOINTS, 0)
    inputs, _ = example_inputs(model, batch=2)
    return onnx_from_module(EncoderStep(model), inputs, ENCODER_INPUTS, ENCODER_OUTPUTS)


def types_of(model: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, check_type=True).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    known = {value.name: value.type.tensor_type.elem_type for value in values}
    return known | {tensor.name: tensor.data_type for tensor in graph.initializer}


@pytest.mark.parametrize("name", ["encoder", "lifter"])
def test_inputs_and_outputs_stay_float32_except_the_ring(name: str) -> None:
    graph = onnx_to_fp16(source(name)).graph
    for value in (*graph.input, *graph.output):
        expected = HALF if value.name in FP16_INPUTS else FLOAT
        assert value.type.tensor_type.elem_type == expected, value.name


def test_no_node_mixes_half_and_float32(joints: onnx.ModelProto) -> None:
    for model in (source("encoder"), source("lifter"), joints):
        converted = onnx_to_fp16(model)
        types = types_of(converted)
        for node in converted.graph.node:
            kinds = {types[name] for name in node.input if types[name] in (HALF, FLOAT)}
            assert len(kinds) <= 1, node


def test_islands_are_float32_and_the_rest_is_half(joints: onnx.ModelProto) -> None:
    for model in (source("encoder"), joints):
        converted = onnx_to_fp16(model)
        types = types_of(converted)
        kinds: dict[str, set[int]] = {}
        for node in converted.graph.node:
            kinds.setdefault(node.op_type, set()).add(types[node.output[0]])
        for island in ("LayerNormalization", "Softmax", "Tanh", "ReduceMean", "ReduceSum", "Sub"):
            assert kinds[island] == {FLOAT}, island
        assert kinds["Gelu"] == {HALF}
        assert HALF in kinds["MatMul"]


def test_weights_of_half_products_are_stored_half_and_fit() -> None:
    graph = onnx_to_fp16(source("encoder")).graph
    half = [t for t in graph.initializer if t.data_type == HALF]
    assert sum(len(t.raw_data) for t in half) // 2 > 1_400_000
    for tensor in half:
        assert np.isfinite(numpy_helper.to_array(tensor)).all()


def test_a_weight_beyond_half_is_named() -> None:
    weight = numpy_helper.from_array(np.full((4, 4), 7e4, np.float32), "heavy")
    shape = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "heavy"], ["y"])], "g",
        [shape("x", FLOAT, [1, 4])], [shape("y", FLOAT, [1, 4])], [weight],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    with pytest.raises(ModelError, match="weight 'heavy' holds 7e\\+04, half ends at 65504"):
        onnx_to_fp16(model)


def extreme_clip(frames: int = 24) -> ParityClip:
    """Rows and extras at the ends of what the anchor lets through, jumping from end to end."""
    random = np.random.default_rng(0)
    rows = 4.0 * random.choice([-1.0, 1.0], (frames, 17, 3))
    rows[..., 2] = random.choice([0.0, 1.0], (frames, 17))
    extras = 3.0 * random.choice([-1.0, 1.0], (frames, 24))
    time_ns = np.arange(frames, dtype=np.int64) * 8_333_333
    return ParityClip("extreme", rows.astype(np.float32), extras.astype(np.float32), time_ns)


def test_legal_extremes_stay_finite_in_half() -> None:
    backend = fp16_backend(
        onnx_to_fp16(source("encoder")),
        onnx_to_fp16(source("lifter")),
        read_manifest(DEFAULT_MODEL),
    )
    pose, sigma = lift_clip(backend, extreme_clip())
    assert np.isfinite(pose).all()
    assert np.isfinite(sigma).all()


def with_louder_logits(model: onnx.ModelProto, factor: float) -> onnx.ModelProto:
    """The encoder with queries and keys so many times as large, values too."""
    louder = onnx.ModelProto()
    louder.CopyFrom(model)
    width = PRESETS["live"].width
    for tensor in louder.graph.initializer:
        if list(tensor.dims) == [width, 3 * width]:
            values = numpy_helper.to_array(tensor)
            loud = (factor * values.astype(np.float32)).astype(values.dtype)
            tensor.CopyFrom(numpy_helper.from_array(loud, tensor.name))
    return louder


def test_logits_in_half_would_overflow_and_the_evaluator_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder, lifter = with_louder_logits(source("encoder"), 8.0), onnx_to_fp16(source("lifter"))
    manifest = read_manifest(DEFAULT_MODEL)
    pose, _ = lift_clip(fp16_backend(onnx_to_fp16(encoder), lifter, manifest), extreme_clip())
    assert np.isfinite(pose).all()
    monkeypatch.setattr(module, "_back_to_product", lambda _nodes, _values: [])
    monkeypatch.setattr(module, "_TIMED", frozenset())
    backend = fp16_backend(onnx_to_fp16(encoder), lifter, manifest)
    with pytest.raises(BackendError, match="is not finite; half overflows"):
        lift_clip(backend, extreme_clip())
