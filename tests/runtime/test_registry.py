"""What `auto` takes, and the one line that says why."""

from pathlib import Path

import msgspec
import pytest

from langpose_rt.errors import BackendError, ConfigError, ModelError
from langpose_rt.manifest import Manifest, read_manifest
from langpose_rt.runtime import registry as automatic
from langpose_rt.runtime.backend import DEFAULT_MODEL, Backend
from langpose_rt.runtime.gpu_info import Gpu
from langpose_rt.runtime.registry import automatic_backend
from tests.fakes import FakeBackend

FOLDER = Path("engines/live")
ADA = Gpu(
    name="RTX 4090",
    compute_capability="8.9",
    driver="580.65",
    cuda=(13, 0),
    memory_bytes=24 * 2**30,
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
    """Of a model with an engine, on a machine with a GPU."""
    monkeypatch.setattr(automatic, "why_no_gpu", lambda: None)
    return msgspec.structs.replace(read_manifest(DEFAULT_MODEL), engines={"any": None})


def taken(opener: Opener, manifest: Manifest) -> tuple[str, str]:
    lines: list[str] = []
    backend = automatic_backend(opener, manifest, FOLDER, say=lines.append)
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
    assert taken(opener, manifest) == (
        "onnx", "backend onnx: tensorrt: no engine; tensorrt-rtx: out of memory"
    )  # fmt: skip
    assert opener.asked == ["tensorrt", "tensorrt-rtx", "onnx"]


def test_without_a_gpu_no_engine_is_even_tried(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "no NVIDIA driver: libcuda.so.1 cannot be loaded"
    monkeypatch.setattr(automatic, "why_no_gpu", lambda: reason)
    opener = Opener()
    name, line = taken(opener, manifest)
    assert (name, opener.asked) == ("onnx", ["onnx"])
    assert line == "backend onnx: no NVIDIA driver: libcuda.so.1 cannot be loaded"


def test_a_gpu_and_no_engine_says_how_to_build_one(manifest: Manifest) -> None:
    without = msgspec.structs.replace(manifest, engines={})
    name, line = taken(Opener(), without)
    assert name == "onnx"
    assert line.endswith("'langpose-rt build-engine --model engines/live --out engines'")


def test_what_is_wrong_with_the_model_itself_is_not_hidden(manifest: Manifest) -> None:
    refused = ModelError("the model is damaged")
    with pytest.raises(ModelError, match="the model is damaged"):
        automatic_backend(
            Opener(tensorrt=refused, tensorrt_rtx=refused, onnx=refused), manifest, FOLDER, say=str
        )
