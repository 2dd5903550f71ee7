"""Opening a backend: the right one, or one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from langpose_rt.errors import ConfigError, ModelError
from langpose_rt.manifest import read_manifest
from langpose_rt.runtime.backend import Backend
from langpose_rt.runtime.registry import cpu_backend, open_backend
from tests.fakes import FakeBackend


@pytest.mark.parametrize("name", ["auto", "onnx", "torch"])
def test_every_backend_honours_the_protocol(model_folder: Path, name: str) -> None:
    backend = open_backend(model_folder, name, slots=3)
    assert isinstance(backend, Backend)
    on_cpu, _ = cpu_backend(read_manifest(model_folder), threads=1)
    assert backend.name == (on_cpu if name == "auto" else name)
    assert (backend.slots, backend.frames) == (3, 8)


def test_an_unknown_backend_names_the_known_ones(model_folder: Path) -> None:
    with pytest.raises(ConfigError, match="auto, tensorrt, tensorrt-rtx, native, onnx, torch"):
        open_backend(model_folder, "abacus")


@pytest.mark.parametrize("precision", ["int8", "fp4"])
def test_an_unknown_precision_names_the_known_ones(precision: str) -> None:
    with pytest.raises(ConfigError, match=f"'{precision}'; expected fp32, or fp16 for engines"):
        open_backend(precision=precision)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("onnx", "onnx runs fp32, not fp16; use '--precision fp32', or build an engine with"),
        ("torch", "torch backend runs fp32, not fp16; use '--backend onnx'"),
    ],
)
def test_half_precision_on_the_cpu_is_refused(name: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        open_backend(None, name, precision="fp16")


class HalfBackend(FakeBackend):
    """A backend that says it runs FP16, off by what it is told."""

    precision = "fp16"

    def __init__(self, off_mm: float) -> None:
        super().__init__()
        self.off_mm, self.closed, self.exact = off_mm, False, open_backend(slots=1)

    def encode(self, rows: Any, extras: Any, slots: Any, time_ns: Any) -> Any:
        return self.exact.encode(rows, extras, slots, time_ns)

    def lift(self, slots: Any, frames_back: Any, lag_s: Any) -> Any:
        pose, sigma = self.exact.lift(slots, frames_back, lag_s)
        return pose + np.float32([self.off_mm / 1000, 0, 0]), sigma

    def reset(self, slots: Any) -> None:
        self.exact.reset(slots)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], HalfBackend]:
    """Make every engine one backend that is off by so much."""

    def opened(off_mm: float) -> HalfBackend:
        backend = HalfBackend(off_mm)
        backend.name, backend.manifest = "tensorrt", backend.exact.manifest
        monkeypatch.setattr("langpose_rt.runtime.tensorrt.open_tensorrt", lambda *_, **__: backend)
        return backend

    return opened


def test_a_reduced_precision_as_exact_as_float32_is_opened(
    engines: Callable[[float], HalfBackend],
) -> None:
    backend = engines(0.0)
    assert open_backend(None, "tensorrt") is backend
    assert not backend.closed


def test_a_reduced_precision_that_is_wrong_on_this_machine_is_refused(
    engines: Callable[[float], HalfBackend],
) -> None:
    backend = engines(5.0)
    with pytest.raises(
        ConfigError,
        match=r"fp16 on backend tensorrt is 5\.000 mm off float32 on the mean and 5\.00\d mm at "
        r"the worst joint on this machine, expected at most 0\.5 and 3 mm; "
        "use '--backend onnx --precision fp32' or build it again with 'langpose-rt build-engine",
    ):
        open_backend(None, "tensorrt", precision="fp16")
    assert backend.closed


def test_auto_answers_on_the_cpu_where_the_engine_is_wrong(
    engines: Callable[[float], HalfBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    engines(5.0)
    said: list[str] = []
    monkeypatch.setattr("langpose_rt.runtime.registry.no_gpu_reason", lambda: None)
    monkeypatch.setattr("langpose_rt.runtime.registry._no_engine_reason", lambda *_: None)
    assert open_backend(report=said.append).name in {"native", "onnx"}
    assert "tensorrt: fp16 on backend tensorrt is 5.000 mm off" in said[0]


def test_automatic_float32_is_what_auto_takes_on_a_cpu(model_folder: Path) -> None:
    on_cpu, _ = cpu_backend(read_manifest(model_folder), threads=1)
    assert open_backend(model_folder, precision="fp32").name == on_cpu


def test_a_damaged_encoder_is_refused_before_anything_runs(
    model_folder: Path, tmp_path: Path
) -> None:
    for file in model_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    encoder = tmp_path / "encoder.onnx"
    encoder.write_bytes(encoder.read_bytes()[:-100])
    with pytest.raises(ModelError, match="is damaged"):
        open_backend(tmp_path)
