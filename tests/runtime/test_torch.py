"""The reference backend: the checkpoint itself, on the device that was asked for."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from langpose_rt.errors import ConfigError, ModelError
from langpose_rt.manifest import read_manifest
from langpose_rt.model.checkpoint import load
from langpose_rt.model.step_graphs import EncoderStep, example_inputs
from langpose_rt.runtime import torch as torch_backend
from langpose_rt.runtime.backend import Backend
from langpose_rt.runtime.ring_backend import RingBackend
from langpose_rt.runtime.tensors import encoder_io
from langpose_rt.runtime.torch import CHECKPOINT_NAME, TorchNetwork, has_cuda, open_torch


@pytest.fixture(autouse=True)
def threads_as_before() -> Any:
    """Opening a backend sets the threads of all of torch."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def opened(folder: Path, **options: Any) -> Backend:
    given = {"slots": 2, "threads": 1, "precision": "fp32", "device": "cpu"} | options
    return open_torch(folder, read_manifest(folder), **given)


def test_on_the_cpu_it_is_a_ring_backend_over_the_checkpoint(model_folder: Path) -> None:
    backend = opened(model_folder)
    assert isinstance(backend, RingBackend)
    assert (backend.name, backend.precision, backend.slots) == ("torch", "fp32", 2)


def test_the_network_computes_the_step_of_the_checkpoint(model_folder: Path) -> None:
    model, _ = load(model_folder / CHECKPOINT_NAME)
    random, names = np.random.default_rng(0), encoder_io(model.config)[0]
    given = {
        name: random.standard_normal((3, *tensor.shape)).astype(np.float32)
        for name, tensor in names.items()
    }
    answers = TorchNetwork(model).encode(given)
    with torch.inference_mode():
        expected = EncoderStep(model)(*(torch.from_numpy(array) for array in given.values()))
    for mine, theirs in zip(answers, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs.numpy())


def test_arrays_that_do_not_lie_in_one_piece_are_read_all_the_same(model_folder: Path) -> None:
    model, _ = load(model_folder / CHECKPOINT_NAME)
    network = TorchNetwork(model)
    newest, answered, lag_s = (tensor.numpy() for tensor in example_inputs(model, 4)[1])
    newest = np.random.default_rng(0).standard_normal(newest.shape).astype(np.float32)
    whole = {"newest": newest[::2], "answered": answered[::2], "lag_s": lag_s[::2]}
    pieces = {name: array.copy() for name, array in whole.items()}
    for mine, theirs in zip(network.lift(whole), network.lift(pieces), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_nothing_is_recorded_for_gradients(model_folder: Path) -> None:
    model, _ = load(model_folder / CHECKPOINT_NAME)
    inputs = dict(
        zip(("newest", "answered", "lag_s"), (t.numpy() for t in example_inputs(model, 1)[1]),
            strict=True)
    )  # fmt: skip
    for answer in TorchNetwork(model).lift(inputs):
        assert isinstance(answer, np.ndarray)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("threads", [1, 2])
def test_torch_computes_with_as_many_threads_as_it_was_told(
    model_folder: Path, threads: int
) -> None:
    opened(model_folder, threads=threads)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_on_a_cpu_it_runs_float32_alone(model_folder: Path, precision: str) -> None:
    with pytest.raises(ConfigError, match=f"runs fp32, not {precision}; use '--backend onnx'"):
        opened(model_folder, precision=precision)


def test_a_model_without_its_checkpoint_is_to_be_exported_again(model_folder: Path) -> None:
    manifest = msgspec.structs.replace(read_manifest(model_folder), files={})
    with pytest.raises(ModelError, match=r"carries no model\.safetensors; export it again"):
        open_torch(model_folder, manifest, slots=1, threads=1, precision="fp32")


@pytest.mark.parametrize(
    ("device", "cuda", "on_gpu"),
    [
        ("auto", True, True),
        ("auto", False, False),
        ("cpu", True, False),
        ("cuda", False, True),
    ],
)
def test_auto_takes_the_gpu_where_torch_has_one(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, device: str, cuda: bool, on_gpu: bool
) -> None:
    asked = on_a_gpu(monkeypatch, cuda=cuda)
    opened(model_folder, device=device, slots=5)
    assert asked == [(5, False)] * on_gpu


def test_on_a_gpu_it_runs_in_half_too_and_in_nothing_else(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = on_a_gpu(monkeypatch, cuda=True)
    opened(model_folder, device="auto", precision="fp16")
    assert asked == [(2, True)]
    with pytest.raises(ConfigError, match="runs fp32, not int8"):
        opened(model_folder, device="auto", precision="int8")


def on_a_gpu(monkeypatch: pytest.MonkeyPatch, *, cuda: bool) -> list[tuple[int, bool]]:
    """Return what the GPU backend is asked for: slots, and whether in half."""
    from langpose_rt.runtime import torch_cuda
    from tests.fakes import FakeBackend

    asked: list[tuple[int, bool]] = []

    def open_torch_cuda(model: object, manifest: object, *, slots: int, half: bool) -> FakeBackend:
        asked.append((slots, half))
        return FakeBackend(slots)

    monkeypatch.setattr(torch_cuda, "open_torch_cuda", open_torch_cuda)
    monkeypatch.setattr(torch_backend, "has_cuda", lambda: cuda)
    return asked


@pytest.mark.parametrize("available", [True, False])
def test_a_gpu_is_what_torch_says_there_is(
    monkeypatch: pytest.MonkeyPatch, available: bool
) -> None:
    monkeypatch.setattr(torch, "cuda", SimpleNamespace(is_available=lambda: available))
    assert has_cuda() is available
