"""What the tests on a device run on; tests/runtime/cuda runs them on CPU threads."""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.manifest import Manifest, read_manifest
from langpose_rt.runtime.cuda.backend import CudaBackend
from langpose_rt.runtime.cuda.device_network import DeviceNetwork
from langpose_rt.runtime.cuda.driver import Driver
from langpose_rt.runtime.cuda.driver_registry import open_driver
from langpose_rt.runtime.cuda.kernels import window_kernels
from langpose_rt.runtime.gpu_info import Gpu, probe
from langpose_rt.window.reference import Stored
from tests.gpu.host_network import HostNetwork
from tests.runtime.conftest import SMALL, SMALL_JOINTS, exported

ON_CPU = "CPU threads, no GPU"
"""Name of the device of tests/runtime/cuda/driver_on_cpu.cpp."""


MODEL_FOLDER = os.environ.get("LANGPOSE_TEST_MODEL")
"""An exported model of tests/runtime/conftest.py, where exporting it again would cost too much."""


@pytest.fixture(
    scope="session", params=[None] if MODEL_FOLDER else [SMALL, SMALL_JOINTS],
    ids=lambda config: config.tokens if config else "given",
)  # fmt: skip
def model_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if MODEL_FOLDER:
        return Path(MODEL_FOLDER)
    return exported(request.param, tmp_path_factory.mktemp("model"), ("fp32",))


@pytest.fixture(scope="session")
def gpu() -> Gpu:
    return probe()


@pytest.fixture(scope="session")
def image(gpu: Gpu) -> bytes:
    """The kernels; a driver on CPU threads has its own and looks only at the first bytes."""
    return b"\x7fELF" if gpu.name == ON_CPU else window_kernels(gpu.compute_capability)


@pytest.fixture(params=["pycuda", "bindings"])
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    try:
        opened = open_driver(request.param)
    except ConfigError as error:
        pytest.skip(str(error))
    yield opened
    opened.close()


class Maker:
    """Opens backends over a model whose network is torch on a GPU, ONNX Runtime on CPU threads."""

    def __init__(self, folder: Path, gpu: Gpu, image: bytes) -> None:
        self.folder, self.gpu, self.image = folder, gpu, image
        self.manifest: Manifest = read_manifest(folder)
        self.opened: list[CudaBackend] = []

    def network(self, stored: Stored) -> DeviceNetwork:
        if self.gpu.name == ON_CPU:
            return HostNetwork(self.folder, self.manifest, stored)
        torch = pytest.importorskip("torch")
        if not torch.cuda.is_available():
            pytest.skip("this torch has no CUDA")
        if stored is not np.float32:
            pytest.skip("torch keeps a float32 ring")
        from langpose_rt.model.checkpoint import load
        from langpose_rt.runtime.torch import CHECKPOINT_NAME
        from langpose_rt.runtime.torch_cuda import TorchCudaNetwork

        return TorchCudaNetwork(load(self.folder / CHECKPOINT_NAME)[0])

    def __call__(
        self,
        *,
        slots: int = 4,
        stored: Stored = np.float32,
        graphs: bool = True,
        sizes: tuple[int, ...] | None = None,
    ) -> CudaBackend:
        driver = open_driver()
        with driver.entered():
            network = self.network(stored)
        if sizes is not None:
            network.sizes = sizes
        backend = CudaBackend(
            driver, network, self.manifest, self.image, slots=slots, graphs=graphs
        )
        self.opened.append(backend)
        return backend


@pytest.fixture
def make(model_folder: Path, gpu: Gpu, image: bytes) -> Iterator[Maker]:
    maker = Maker(model_folder, gpu, image)
    yield maker
    for backend in maker.opened:
        backend.close()


@pytest.fixture
def on_cpu(gpu: Gpu) -> ctypes.CDLL:
    """The driver on CPU threads, which can be told to fail and counts what is held."""
    if gpu.name != ON_CPU:
        pytest.skip("this breaks the device; it is done on CPU threads only")
    return ctypes.CDLL("libcuda.so.1")
