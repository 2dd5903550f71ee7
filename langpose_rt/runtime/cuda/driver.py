"""What is asked of the CUDA driver, and who answers.

PyCUDA where it is installed, else cuda.bindings; neither is imported before it is asked for. Both
work in the device's primary context, which torch and TensorRT use too. A backend is called from
different threads, so whoever calls enters the context each time, with `entered`.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol, runtime_checkable

import numpy as np

from langpose_rt.errors import BackendError, ConfigError

DRIVERS = ("pycuda", "bindings")


@dataclass(frozen=True)
class Kernel:
    """A function on the device.

    Attributes:
        handle: As the library that loaded it knows it.
        signature: One letter per argument, of `struct`: P an address, i an int32, q an int64.
    """

    handle: Any
    signature: str


@runtime_checkable
class Driver(Protocol):
    """The CUDA driver, device 0. Addresses and streams are plain integers.

    Every method but `entered` and `close` needs the context entered, and raises BackendError.
    """

    name: str

    def entered(self) -> AbstractContextManager[None]:
        """The primary context, for this thread, for the length of a ``with``."""
        ...

    def kernels(self, image: bytes, signatures: dict[str, str]) -> dict[str, Kernel]:
        """Load a module and find these functions in it."""
        ...

    def stream(self) -> int:
        """A new stream that does not wait for the default one."""
        ...

    def device_memory(self, size_bytes: int) -> int:
        """New memory on the device, all zero; freed by `close`."""
        ...

    def pinned_memory(self, size_bytes: int) -> np.ndarray:
        """New host memory that copies need not pass through others, as bytes; freed by `close`."""
        ...

    def launch(
        self, kernel: Kernel, grid: tuple[int, int], threads: int, stream: int, *arguments: int
    ) -> None:
        """Enqueue a kernel."""
        ...

    def upload(self, address: int, host: np.ndarray, stream: int) -> None:
        """Enqueue a copy from pinned memory, which must not change before it is done."""
        ...

    def download(self, host: np.ndarray, address: int, stream: int) -> None:
        """Enqueue a copy to pinned memory."""
        ...

    def synchronize(self, stream: int) -> None:
        """Wait until everything in a stream is done."""
        ...

    def close(self) -> None:
        """Free all memory, modules and streams, and release the context; may be called twice."""
        ...


def open_driver(name: str = "auto") -> Driver:
    """The driver through one of the two libraries.

    Args:
        name: One of DRIVERS; ``auto`` takes the first that is installed.

    Raises:
        ConfigError: If the library is not installed, or finds no GPU.
    """
    modules = {"pycuda": "pycuda", "bindings": "cuda.bindings"}
    installed = [known for known in DRIVERS if _is_installed(modules[known])]
    chosen = next(iter(installed), None) if name == "auto" else name
    if chosen not in installed:
        wanted = "neither PyCUDA nor cuda-bindings is" if name == "auto" else f"{name} is not"
        raise ConfigError(
            f"{wanted} installed; pip install cuda-bindings, or choose --backend onnx"
        )
    try:
        if chosen == "pycuda":
            from langpose_rt.runtime.cuda.pycuda import PyCudaDriver

            return PyCudaDriver()
        from langpose_rt.runtime.cuda.cuda_bindings import BindingsDriver

        return BindingsDriver()
    except ImportError as error:  # PyCUDA links against the driver
        raise ConfigError(f"{chosen} cannot be imported: {error}") from None
    except BackendError as error:
        raise ConfigError(f"the GPU cannot be used: {error}") from None


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False
