"""CUDA driver interface; `pycuda.py` and `cuda_bindings.py` implement it.

Both work in the device's primary context, which torch and TensorRT use too. Calls come from
different threads, so the caller enters the context each time, with `entered`.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True)
class Kernel:
    """Compiled device function.

    Attributes:
        handle: Handle of the library that loaded it.
        signature: One letter per argument, of `struct`: P an address, i an int32, q an int64.
    """

    handle: Any
    signature: str


@runtime_checkable
class Driver(Protocol):
    """CUDA driver on device 0. Addresses and streams are plain integers.

    Every method but `entered` and `close` needs the context entered, and raises BackendError.
    """

    name: str

    def entered(self) -> AbstractContextManager[None]:
        """Enter the primary context on this thread, for the length of a ``with``."""
        ...

    def kernels(self, image: bytes, signatures: dict[str, str]) -> dict[str, Kernel]:
        """Load a module and return the named functions in it."""
        ...

    def stream(self) -> int:
        """Create a stream that does not wait for the default stream."""
        ...

    def device_memory(self, size_bytes: int) -> int:
        """Allocate zeroed memory on the device; freed by `close`."""
        ...

    def pinned_memory(self, size_bytes: int) -> np.ndarray:
        """Allocate page-locked host memory, as bytes; freed by `close`."""
        ...

    def launch(
        self, kernel: Kernel, grid: tuple[int, int], threads: int, stream: int, *arguments: int
    ) -> None:
        """Enqueue a kernel."""
        ...

    def upload(self, address: int, host: np.ndarray, stream: int) -> None:
        """Enqueue a copy from pinned memory, which must not change before it has finished."""
        ...

    def download(self, host: np.ndarray, address: int, stream: int) -> None:
        """Enqueue a copy to pinned memory."""
        ...

    def synchronize(self, stream: int) -> None:
        """Wait until all work in a stream has finished."""
        ...

    def close(self) -> None:
        """Free all memory, modules and streams, and release the context; may be called twice."""
        ...
