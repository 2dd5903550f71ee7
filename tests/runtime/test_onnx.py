"""ONNX Runtime: sessions that leave the cores alone, and its errors as sentences of ours."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from langpose_rt.errors import BackendError, ConfigError, ModelError
from langpose_rt.manifest import read_manifest
from langpose_rt.model.checkpoint import load
from langpose_rt.model.step_graphs import EncoderStep, LifterStep, example_inputs
from langpose_rt.runtime.onnx import OnnxNetwork, open_onnx, session_from_file
from langpose_rt.runtime.tensors import encoder_io, lifter_io
from langpose_rt.runtime.torch import CHECKPOINT_NAME


def network(folder: Path) -> OnnxNetwork:
    product = read_manifest(folder).products["fp32"]
    return OnnxNetwork(folder / product.encoder, folder / product.lifter, threads=1)


def inputs(folder: Path, part: str, batch: int) -> dict[str, np.ndarray]:
    """Random inputs of a network, by name."""
    io = {"encoder": encoder_io, "lifter": lifter_io}[part](read_manifest(folder).model_config)
    random = np.random.default_rng(0)
    return {
        name: random.standard_normal((batch, *tensor.shape)).astype(np.float32)
        for name, tensor in io[0].items()
    }


@pytest.mark.parametrize("batch", [1, 5])
def test_its_two_graphs_are_those_of_torch(model_folder: Path, batch: int) -> None:
    import torch

    own, (model, _) = network(model_folder), load(model_folder / CHECKPOINT_NAME)
    for part, step in (("encoder", EncoderStep(model)), ("lifter", LifterStep(model))):
        given = inputs(model_folder, part, batch)
        answers = (own.encode if part == "encoder" else own.lift)(given)
        with torch.inference_mode():
            expected = step(*(torch.from_numpy(array) for array in given.values()))
        assert len(answers) == len(expected)
        for mine, theirs in zip(answers, expected, strict=True):
            np.testing.assert_allclose(mine, theirs.numpy(), atol=2e-4)


def test_inputs_go_by_their_names_in_any_order(model_folder: Path) -> None:
    own, given = network(model_folder), inputs(model_folder, "lifter", 2)
    backwards = dict(reversed(given.items()))
    for mine, other in zip(own.lift(given), own.lift(backwards), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_example_inputs_of_the_graphs_have_the_names_of_the_files(model_folder: Path) -> None:
    model, _ = load(model_folder / CHECKPOINT_NAME)
    own = network(model_folder)
    for part, example, run in zip(
        ("encoder", "lifter"), example_inputs(model, 1), (own.encode, own.lift), strict=True
    ):
        names = list(inputs(model_folder, part, 1))
        answers = run({n: t.numpy() for n, t in zip(names, example, strict=True)})
        assert all(np.isfinite(answer).all() for answer in answers)


def test_a_network_takes_64_persons_per_call_in_float32(model_folder: Path) -> None:
    own = network(model_folder)
    assert (own.name, own.precision, own.persons_per_call) == ("onnx", "fp32", 64)


def test_a_session_uses_as_many_threads_as_it_was_told_and_none_spins(model_folder: Path) -> None:
    product = read_manifest(model_folder).products["fp32"]
    session = session_from_file(model_folder / product.lifter, threads=3)
    options = session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert not options.enable_mem_pattern
    assert session.get_providers() == ["CPUExecutionProvider"]


def test_a_backend_is_of_the_model_and_its_precision(model_folder: Path) -> None:
    backend = open_onnx(
        model_folder, read_manifest(model_folder), slots=3, threads=1, precision="fp32"
    )
    assert (backend.name, backend.precision, backend.slots) == ("onnx", "fp32", 3)
    assert backend.manifest == read_manifest(model_folder)


def test_a_precision_other_than_float32_names_the_way_out(model_folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        open_onnx(model_folder, read_manifest(model_folder), slots=1, threads=1, precision="fp16")
    assert str(caught.value) == (
        "backend onnx runs fp32, not fp16; use '--precision fp32', or build an engine "
        "with 'langpose-rt build-engine'"
    )


def test_a_model_without_a_float32_graph_is_one_line(model_folder: Path) -> None:
    manifest = msgspec.structs.replace(read_manifest(model_folder), products={})
    with pytest.raises(ModelError, match="has no float32 graph; export it again"):
        open_onnx(model_folder, manifest, slots=1, threads=1, precision="fp32")


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x09"], ids=["empty", "text", "cut"])
def test_a_file_that_is_no_model_is_one_line_with_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "encoder.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"ONNX Runtime cannot load .*encoder\.onnx: ") as caught:
        session_from_file(path, threads=1)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_is_one_line_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot load .*nothing\.onnx"):
        session_from_file(tmp_path / "nothing.onnx", threads=1)


def test_a_computation_that_fails_is_one_line(model_folder: Path) -> None:
    own, given = network(model_folder), inputs(model_folder, "lifter", 2)
    with pytest.raises(BackendError, match=r"^ONNX Runtime failed: ") as caught:
        own.lift(given | {"lag_s": np.zeros((2, 5), np.float32)})
    assert "\n" not in str(caught.value)
    assert own.lift(given)[0].shape == (2, 17, 3), "and the next one is computed again"
