"""What `auto` takes, and the one line that says why."""

from pathlib import Path

import msgspec
import pytest

from langpose_rt.errors import BackendError, ConfigError, ModelError
from langpose_rt.manifest import Manifest, read_manifest
from langpose_rt.runtime import registry as automatic
from langpose_rt.runtime.backend import DEFAULT_MODEL, Backend
from langpose_rt.runtime.gpu_info import Gpu
from langpose_rt.runtime.registry import automatic_backend, cpu_backend
from tests.fakes import FakeBackend

FOLDER = Path("engines/live")
ADA = Gpu(
    name="RTX 4090",
    compute_capability="8.9",
    driver="580.65",
    cuda=(13, 0),
)


class Opener:
    """Opens every backend that does not refuse."""

    def __init__(self, **refusals: Exception) -> None:
        self.refusals = {name.replace("_", "-"): error for name, error in refusals.items()}
        self.asked: list[str] = []

    def __call__(self, name: str) -> Backend:
        self.asked.append(name)
        if name in self.refusals:
            raise self.refusals[name]
        backend = FakeBackend()
        backend.name = name
        return backend


@pytest.fixture
def manifest(monkeypatch: pytest.MonkeyPatch) -> Manifest:
    """Of a model with an engine, on a machine with a GPU and an extension for AVX2."""
    monkeypatch.setattr(automatic, "no_gpu_reason", lambda: None)
    monkeypatch.setattr(automatic, "why_not_native", lambda _: None)
    monkeypatch.setattr(automatic, "instruction_sets", lambda: ("AVX2", "plain"))
    return msgspec.structs.replace(read_manifest(DEFAULT_MODEL), engines={"any": None})


def taken(opener: Opener, manifest: Manifest) -> tuple[str, str]:
    lines: list[str] = []
    backend = automatic_backend(opener, manifest, FOLDER, threads=1, report=lines.append)
    (line,) = lines
    return backend.name, line


def test_tensorrt_is_taken_where_it_opens(manifest: Manifest) -> None:
    opener = Opener()
    line = "backend tensorrt: it fits this machine"
    assert taken(opener, manifest) == ("tensorrt", line)
    assert opener.asked == ["tensorrt"]


def test_rtx_is_next_and_the_line_says_why_not_tensorrt(manifest: Manifest) -> None:
    opener = Opener(tensorrt=ConfigError("TensorRT cannot be imported: no module"))
    name, line = taken(opener, manifest)
    assert name == "tensorrt-rtx"
    assert line == "backend tensorrt-rtx: tensorrt: TensorRT cannot be imported: no module"


def test_the_cpu_remains_when_both_refuse_at_whatever_point(manifest: Manifest) -> None:
    opener = Opener(tensorrt=ModelError("no engine"), tensorrt_rtx=BackendError("out of memory"))
    refusals = "tensorrt: no engine; tensorrt-rtx: out of memory"
    line = f"backend native: {refusals}; the native step uses AVX2"
    assert taken(opener, manifest) == ("native", line)
    assert opener.asked == ["tensorrt", "tensorrt-rtx", "native"]


def test_without_a_gpu_no_engine_is_even_tried(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "no NVIDIA driver: libcuda.so.1 cannot be loaded"
    monkeypatch.setattr(automatic, "no_gpu_reason", lambda: reason)
    opener = Opener()
    name, line = taken(opener, manifest)
    assert (name, opener.asked) == ("native", ["native"])
    assert line == f"backend native: {reason}; the native step uses AVX2"


def test_onnx_runtime_stands_in_for_a_step_that_is_not_there(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(automatic, "no_gpu_reason", lambda: "no NVIDIA driver")
    monkeypatch.setattr(automatic, "why_not_native", lambda _: "the C++ extension was not built")
    assert taken(Opener(), manifest) == (
        "onnx", "backend onnx: no NVIDIA driver; the C++ extension was not built"
    )  # fmt: skip


def test_whoever_asks_for_threads_gets_the_backend_that_has_them(manifest: Manifest) -> None:
    assert cpu_backend(manifest, 1) == ("native", "the native step uses AVX2")
    assert cpu_backend(manifest, 2) == ("onnx", "the native step computes in one thread, not in 2")


def test_a_gpu_and_no_engine_says_how_to_build_one(manifest: Manifest) -> None:
    without = msgspec.structs.replace(manifest, engines={})
    name, line = taken(Opener(), without)
    assert name == "native"
    assert "'langpose-rt build-engine --model engines/live --out engines'" in line


def test_what_is_wrong_with_the_model_itself_is_not_hidden(manifest: Manifest) -> None:
    refused = ModelError("the model is damaged")
    with pytest.raises(ModelError, match="the model is damaged"):
        automatic_backend(
            Opener(tensorrt=refused, tensorrt_rtx=refused, native=refused),
            manifest,
            FOLDER,
            threads=1,
            report=str,
        )
