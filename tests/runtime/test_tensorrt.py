"""TensorRT's life cycle, with the real TensorRT-RTX up to the point where a GPU is needed.

What comes after that point is in tests/gpu/test_engine.py.
"""

from pathlib import Path
from typing import Any

import pytest

from langpose_rt.engine.build_config import BuildConfig
from langpose_rt.engine.engine_builder import Toolchain, build_engine_folder
from langpose_rt.errors import BackendError, ConfigError
from langpose_rt.manifest import Engine, read_manifest
from langpose_rt.runtime import tensorrt
from langpose_rt.runtime.backend import DEFAULT_MODEL
from langpose_rt.runtime.gpu_info import Gpu, no_gpu_reason
from langpose_rt.runtime.parity import ParityClip, demo_parity_clip
from langpose_rt.runtime.registry import open_backend
from langpose_rt.runtime.tensorrt import EngineNetwork, batch_sizes, open_tensorrt
from langpose_rt.runtime.tensorrt_flavor import FLAVORS

ADA = Gpu(
    name="RTX 4090",
    compute_capability="8.9",
    driver="580.65",
    cuda=(13, 0),
)


@pytest.fixture(scope="module")
def folder(rtx: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with a real engine for an RTX 4090."""
    whole, folder = demo_parity_clip(), tmp_path_factory.mktemp("engines") / "live"
    clip = ParityClip(whole.name, whole.rows[:3], whole.extras[:3], whole.time_ns[:3])
    config = BuildConfig(batch=(1, 3), targets=("8.9",), optimization_level=0)
    tools = Toolchain(trt=rtx, flavor=FLAVORS["rtx"], gpu=None)
    build_engine_folder(DEFAULT_MODEL, folder, tools, config, clip, command="test")
    return folder


def engine_in(folder: Path) -> Engine:
    (product,) = read_manifest(folder).engines.values()
    return product.engine


@pytest.mark.skipif(no_gpu_reason() is None, reason="there is a driver here")
def test_a_real_engine_is_read_until_a_device_is_needed(rtx: Any, folder: Path) -> None:
    with pytest.raises(BackendError, match=r"^TensorRT-RTX cannot open encoder.*CUDA driver"):
        EngineNetwork(rtx, FLAVORS["rtx"], folder, engine_in(folder))


def test_a_damaged_engine_is_one_sentence_with_what_tensorrt_says(
    rtx: Any, folder: Path, tmp_path: Path
) -> None:
    engine = engine_in(folder)
    (tmp_path / engine.encoder.file).write_bytes(b"not an engine" * 1000)
    with pytest.raises(BackendError, match=r"^TensorRT-RTX cannot open encoder\.rtx.*: \S") as got:
        EngineNetwork(rtx, FLAVORS["rtx"], tmp_path, engine)
    assert "\n" not in str(got.value)


@pytest.mark.skipif(no_gpu_reason() is None, reason="there is a driver here")
@pytest.mark.parametrize("name", ["tensorrt", "tensorrt-rtx"])
def test_without_a_driver_tensorrt_is_not_even_imported(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt, "import_tensorrt", lambda _: pytest.fail("it may crash"))
    with pytest.raises(ConfigError, match="no NVIDIA driver"):
        open_backend(folder, name)


def test_a_gpu_that_is_not_the_engines_is_named(
    rtx: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blackwell = Gpu(name="RTX 5090", compute_capability="12.0", driver="580", cuda=(13, 0))
    monkeypatch.setattr(tensorrt, "probe", lambda: blackwell)
    with pytest.raises(ConfigError, match=r"compute capability 8\.9, found 12\.0"):
        open_tensorrt(folder, read_manifest(folder), slots=1, flavor_name="rtx")


def test_hopper_is_refused_by_rtx_before_anything_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hopper = Gpu(name="H200", compute_capability="9.0", driver="580", cuda=(13, 0))
    monkeypatch.setattr(tensorrt, "probe", lambda: hopper)
    with pytest.raises(ConfigError, match=r"no engines for compute capability 9\.0"):
        open_tensorrt(folder, read_manifest(folder), slots=1, flavor_name="rtx")


@pytest.mark.skipif(no_gpu_reason() is None, reason="there is a driver here")
def test_all_but_the_device_is_there(
    rtx: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Manifest, engine, import and kernels are found; what is missing is the driver."""
    monkeypatch.setattr(tensorrt, "probe", lambda: ADA)
    with pytest.raises(ConfigError, match="the GPU cannot be used: no NVIDIA driver"):
        open_tensorrt(folder, read_manifest(folder), slots=1, flavor_name="rtx")


def test_float32_is_not_for_engines() -> None:
    with pytest.raises(ConfigError, match="tensorrt runs fp16, not fp32; use '--backend onnx'"):
        open_backend(None, "tensorrt", precision="fp32")


@pytest.mark.parametrize(
    ("largest", "sizes"), [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 4, 8))]
)
def test_batches_are_powers_of_two_and_the_largest(largest: int, sizes: tuple[int, ...]) -> None:
    assert batch_sizes(largest) == sizes


def test_no_batch_is_none() -> None:
    with pytest.raises(ConfigError, match="the largest batch is 0"):
        batch_sizes(0)
