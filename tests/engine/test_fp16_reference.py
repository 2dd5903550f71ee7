"""The evaluator computes in half, and its poses on the real clip are those of float32 in mm."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from langpose_rt.engine.acceptance import MAX_MEAN_MM, MAX_WORST_MM
from langpose_rt.engine.demo import demo_parity_clip
from langpose_rt.engine.fp16_graph import onnx_to_fp16
from langpose_rt.engine.fp16_reference import Fp16Network, fp16_backend
from langpose_rt.engine.parity import parity
from langpose_rt.manifest import read_manifest
from langpose_rt.runtime.backend import DEFAULT_MODEL
from langpose_rt.runtime.registry import open_backend


def adding_one() -> onnx.ModelProto:
    """2048 + 1 is 2048 in half, and 2049 wherever somebody computes in float32."""
    half, shape = TensorProto.FLOAT16, [1]
    one = numpy_helper.from_array(np.ones(1, np.float16), "one")
    nodes = [
        helper.make_node("Add", ["x", "one"], ["more"]),
        helper.make_node("Sub", ["more", "x"], ["y"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [value("x", half, shape)], [value("y", half, shape)], [one]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def test_it_rounds_to_half_within_the_graph() -> None:
    network = Fp16Network(adding_one(), adding_one())
    assert network.encode({"x": np.full(1, 2048, np.float16)})[0] == 0
    assert network.lift({"x": np.full(1, 1024, np.float16)})[0] == 1


def test_the_default_model_is_within_the_limits_on_the_real_clip() -> None:
    graphs = (onnx_to_fp16(onnx.load(DEFAULT_MODEL / f"{n}.onnx")) for n in ("encoder", "lifter"))
    backend = fp16_backend(*graphs, manifest=read_manifest(DEFAULT_MODEL))
    assert backend.window.keys.dtype == np.float16
    measured = parity(backend, open_backend(slots=1), demo_parity_clip())
    assert measured.frames == 100
    assert 0.01 < measured.mean_mm <= MAX_MEAN_MM
    assert measured.worst_mm <= MAX_WORST_MM
    assert measured.mean_mm == pytest.approx(0.147, abs=0.1)
