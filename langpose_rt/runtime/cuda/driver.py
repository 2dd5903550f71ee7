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
