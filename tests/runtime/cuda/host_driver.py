"""A `Driver` in Python: device memory is the host's, kernels run on CPU threads, copies at once."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from langpose_rt.errors import BackendError
from langpose_rt.runtime.cuda.driver import Kernel

_C_TYPES = {"P": ctypes.c_void_p, "i": ctypes.c_int32, "q": ctypes.c_int64}
THREADS = 4
"""Of a block; the kernels take any number."""


class HostDriver:
    """See `langpose_rt.runtime.cuda.driver.Driver`.

    Args:
        kernels_on_cpu: tests/cpp_ext/kernels_on_cpu.cpp as a library; None where nothing launches.

    Attributes:
        log: What was done, in order: "upload", "download", "synchronize" and names of kernels.
        failing: Whether the device has failed.
    """

    name = "host"

    def __init__(self, kernels_on_cpu: ctypes.CDLL | None = None) -> None:
        self._library = kernels_on_cpu
        self._memory: dict[int, np.ndarray] = {}
        self._depth = self._streams = 0
        self.log: list[str] = []
        self.failing = self.closed = False

    @contextmanager
    def entered(self) -> Iterator[None]:
        if self.closed:
            raise BackendError("the GPU backend is closed")
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def kernels(
        self,
        image: bytes,  # noqa: ARG002 - it has its own
        signatures: dict[str, str],
    ) -> dict[str, Kernel]:
        self._ready()
        return {name: Kernel(name, signature) for name, signature in signatures.items()}

    def stream(self) -> int:
        self._ready()
        self._streams += 1
        return self._streams

    def device_memory(self, size_bytes: int) -> int:
        return int(self._allocated(size_bytes).ctypes.data)

    def pinned_memory(self, size_bytes: int) -> np.ndarray:
        return self._allocated(size_bytes)

    def launch(
        self, kernel: Kernel, grid: tuple[int, int], threads: int, stream: int, *arguments: int
    ) -> None:
        self._did(kernel.handle, stream)
        assert threads == 256, "as the launch bound of sliding_window.cu"
        assert self._library is not None
        letters = zip(kernel.signature, arguments, strict=True)
        for letter, value in zip(kernel.signature, arguments, strict=True):
            assert letter != "P" or self.bytes_at(value, 1).size, "an address of nobody"
        holders = [_C_TYPES[letter](value) for letter, value in letters]
        pointers = (ctypes.c_void_p * len(holders))(*map(ctypes.addressof, holders))
        assert self._library.launch_on_cpu(kernel.handle.encode(), *grid, THREADS, pointers)

    def upload(self, address: int, host: np.ndarray, stream: int) -> None:
        self._did("upload", stream)
        self.bytes_at(address, host.nbytes)[:] = host.view(np.uint8).ravel()

    def download(self, host: np.ndarray, address: int, stream: int) -> None:
        self._did("download", stream)
        host[:] = self.bytes_at(address, host.nbytes)

    def synchronize(self, stream: int) -> None:
        self._did("synchronize", stream)

    def close(self) -> None:
        self.closed = True

    def bytes_at(self, address: int, size_bytes: int) -> np.ndarray:
        """Memory somebody has allocated; whatever lies outside is a fault of the caller."""
        for start, block in self._memory.items():
            if start <= address and address + size_bytes <= start + block.nbytes:
                return block[address - start : address - start + size_bytes]
        raise AssertionError(f"{size_bytes} bytes at {address:#x} belong to nobody")

    def array_at(self, address: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """An array on the "device", as a view."""
        size_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        return self.bytes_at(address, size_bytes).view(dtype).reshape(shape)

    def _allocated(self, size_bytes: int) -> np.ndarray:
        self._ready()
        whole = np.zeros(size_bytes + 256, np.uint8)
        start = -whole.ctypes.data % 256
        block = whole[start : start + size_bytes]
        self._memory[block.ctypes.data] = block
        return block

    def _did(self, what: str, stream: int) -> None:
        self._ready()
        assert 1 <= stream <= self._streams, "the default stream, or one of somebody else"
        self.log.append(what)

    def _ready(self) -> None:
        assert self._depth or self.closed, "the context is not entered"
        if self.failing or self.closed:
            raise BackendError("CUDA failed at the work on the GPU: unspecified launch failure")
