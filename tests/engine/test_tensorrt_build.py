"""Building with TensorRT-RTX, for GPUs that are not here; nothing is run."""

import os
import signal
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from langpose_rt.engine.acceptance import MIN_FP16_SHARE
from langpose_rt.engine.build_config import BuildConfig
from langpose_rt.engine.fp16_graph import onnx_to_fp16
from langpose_rt.engine.tensorrt_build import engine_from_onnx, timing_cache_of
from langpose_rt.errors import BuildError
from langpose_rt.manifest import Profile, read_manifest
from langpose_rt.runtime.backend import DEFAULT_MODEL
from langpose_rt.runtime.tensorrt_flavor import FLAVORS
from langpose_rt.runtime.tensors import encoder_io, lifter_io

RTX = FLAVORS["rtx"]
ADA = BuildConfig(batch=(1, 8), targets=("8.9",))


def small_graph(operation: str = "Add", *, second: int = TensorProto.FLOAT16) -> bytes:
    """Half input through one operation with a constant of some type."""
    array = np.ones(4, helper.tensor_dtype_to_np_dtype(second))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(operation, ["x", "one"], ["y"])], "g",
        [value("x", TensorProto.FLOAT16, ["batch", 4])],
        [value("y", TensorProto.FLOAT16, ["batch", 4])], [numpy_helper.from_array(array, "one")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def default_graph(name: str) -> bytes:
    return bytes(onnx_to_fp16(onnx.load(DEFAULT_MODEL / f"{name}.onnx")).SerializeToString())


def build(rtx: Any, graph: bytes, config: BuildConfig = ADA, **options: Any) -> Any:
    return engine_from_onnx(rtx, graph, config, RTX, name="network", **options)


@pytest.mark.parametrize(("name", "io"), [("encoder", encoder_io), ("lifter", lifter_io)])
def test_the_default_model_builds_in_half_with_the_tensors_a_backend_expects(
    rtx: Any, name: str, io: Any
) -> None:
    told: list[tuple[str, int, int]] = []
    config = BuildConfig(batch=(1,), targets=("8.6",))
    plan = build(rtx, default_graph(name), config, progress=lambda *a: told.append(a))
    inputs, outputs = io(read_manifest(DEFAULT_MODEL).model_config)
    assert plan.inputs == {tensor: str(shape) for tensor, shape in inputs.items()}
    assert plan.outputs == {tensor: str(shape) for tensor, shape in outputs.items()}
    assert MIN_FP16_SHARE < plan.fp16_share < 0.6
    assert "TF32" not in plan.flags
    assert len(plan.data) > 500_000
    assert plan.timing_cache == b""
    assert told[0][1] == 0
    assert told[-1][1] == told[-1][2]


def test_a_float32_graph_has_no_half_and_is_seen(rtx: Any) -> None:
    graph = onnx.load(DEFAULT_MODEL / "lifter.onnx").SerializeToString()
    assert build(rtx, graph, BuildConfig(batch=(1,), targets=("8.9",))).fp16_share == 0


@pytest.mark.parametrize("target", ["8.0", "8.6", "8.9", "12.0"])
def test_an_engine_builds_for_every_architecture(rtx: Any, target: str) -> None:
    plan = build(rtx, small_graph(), BuildConfig(batch=(1, 8), targets=(target,)))
    assert plan.fp16_share == 1
    assert plan.inputs == {"x": "float16[batch,4]"}


def test_one_engine_serves_several_architectures(rtx: Any) -> None:
    both = build(rtx, small_graph(), BuildConfig(batch=(1,), targets=("8.6", "12.0")))
    one = build(rtx, small_graph(), BuildConfig(batch=(1,), targets=("8.6",)))
    assert len(both.data) != len(one.data)


def test_adding_half_to_float32_is_refused_in_the_words_of_the_parser(rtx: Any) -> None:
    with pytest.raises(BuildError, match=r"cannot build the network: .*must have same input types"):
        build(rtx, small_graph(second=TensorProto.FLOAT))


def test_an_unknown_operation_is_refused_by_name(rtx: Any) -> None:
    with pytest.raises(BuildError, match=r"cannot build the network: .*Wobble"):
        build(rtx, small_graph("Wobble"))


def test_bytes_that_are_no_graph_are_refused(rtx: Any) -> None:
    with pytest.raises(BuildError, match="TensorRT-RTX cannot build the network: "):
        build(rtx, b"no graph")


def test_a_profile_that_is_none_is_refused(rtx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [Profile(smallest=8, typical=1, largest=4)]
    monkeypatch.setattr(BuildConfig, "profiles", property(lambda _: wrong))
    with pytest.raises(BuildError, match=r"the network for batches \(8, 1, 4\): .*[Pp]rofile"):
        build(rtx, small_graph())


def test_an_interrupt_ends_the_build_as_an_interrupt(rtx: Any) -> None:
    def press_ctrl_c(_doing: str, done: int, _steps: int) -> None:
        if done == 1:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # others leave their own
    try:
        with pytest.raises(KeyboardInterrupt):
            build(rtx, default_graph("lifter"), progress=press_ctrl_c)
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_progress_raises_is_raised_when_the_builder_has_ended(rtx: Any) -> None:
    def fail(_doing: str, _done: int, _steps: int) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        build(rtx, default_graph("lifter"), progress=fail)


@pytest.mark.filterwarnings("ignore:.*no-ops in TensorRT-RTX:DeprecationWarning")
def test_a_timing_cache_that_is_none_starts_an_empty_one(rtx: Any) -> None:
    builder = rtx.Builder(rtx.Logger(rtx.Logger.ERROR))
    empty = timing_cache_of(builder.create_builder_config(), b"")
    assert timing_cache_of(builder.create_builder_config(), b"damaged") is not None
    assert bytes(empty.serialize())
