"""CUDA driver through cuda.bindings, NVIDIA's Python bindings."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from cuda.bindings import driver as cuda

from langpose_rt.errors import BackendError
from langpose_rt.runtime.cuda.driver import Kernel

_NON_BLOCKING_STREAM = 1
_C_TYPES = {"P": ctypes.c_void_p, "i": ctypes.c_int32, "q": ctypes.c_int64}


class BindingsDriver:
    """Implements `langpose_rt.runtime.cuda.driver.Driver` with cuda.bindings."""

    name = "cuda.bindings"

    def __init__(self) -> None:
        try:
            checked(cuda.cuInit(0), "cuInit")
        except (RuntimeError, OSError) as error:  # the library of the driver cannot be loaded
            raise BackendError(f"no NVIDIA driver: {str(error).splitlines()[0]}") from None
        self._device = checked(cuda.cuDeviceGet(0), "cuDeviceGet")
        self._context: Any = checked(cuda.cuDevicePrimaryCtxRetain(self._device), "the context")
        self._modules: list[Any] = []
        self._streams: list[Any] = []
        self._device_memory: list[int] = []
        self._pinned_memory: list[int] = []

    @contextmanager
    def entered(self) -> Iterator[None]:
        """See `Driver.entered`."""
        if self._context is None:
            raise BackendError("the GPU backend is closed")
        checked(cuda.cuCtxPushCurrent(self._context), "cuCtxPushCurrent")
        try:
            yield
        finally:
            cuda.cuCtxPopCurrent()

    def kernels(self, image: bytes, signatures: dict[str, str]) -> dict[str, Kernel]:
        """See `Driver.kernels`."""
        module = checked(cuda.cuModuleLoadData(image), "loading the kernels")
        self._modules.append(module)
        return {
            name: Kernel(checked(cuda.cuModuleGetFunction(module, name.encode()), name), signature)
            for name, signature in signatures.items()
        }

    def stream(self) -> int:
        """See `Driver.stream`."""
        stream = checked(cuda.cuStreamCreate(_NON_BLOCKING_STREAM), "cuStreamCreate")
        self._streams.append(stream)
        return int(stream)

    def device_memory(self, size_bytes: int) -> int:
        """See `Driver.device_memory`."""
        action = f"allocating {size_bytes / 1e6:.1f} MB on the GPU"
        address = int(checked(cuda.cuMemAlloc(size_bytes), action))
        self._device_memory.append(address)
        checked(cuda.cuMemsetD8(address, 0, size_bytes), "cuMemsetD8")
        checked(
            cuda.cuCtxSynchronize(), "cuMemsetD8"
        )  # streams here do not wait for the default stream
        return address

    def pinned_memory(self, size_bytes: int) -> np.ndarray:
        """See `Driver.pinned_memory`."""
        address = int(checked(cuda.cuMemHostAlloc(size_bytes, 0), "allocating pinned memory"))
        self._pinned_memory.append(address)
        memory = np.ctypeslib.as_array((ctypes.c_uint8 * size_bytes).from_address(address))
        memory[:] = 0
        return memory

    def launch(
        self, kernel: Kernel, grid: tuple[int, int], threads: int, stream: int, *arguments: int
    ) -> None:
        """See `Driver.launch`."""
        letters = zip(kernel.signature, arguments, strict=True)
        holders = [_C_TYPES[letter](value) for letter, value in letters]
        pointers = (ctypes.c_void_p * len(holders))(*map(ctypes.addressof, holders))
        launched = cuda.cuLaunchKernel(
            kernel.handle, *grid, 1, threads, 1, 1, 0, stream, ctypes.addressof(pointers), 0
        )
        checked(launched, "launching a kernel")

    def upload(self, address: int, host: np.ndarray, stream: int) -> None:
        """See `Driver.upload`."""
        copied = cuda.cuMemcpyHtoDAsync(address, host.ctypes.data, host.nbytes, stream)
        checked(copied, "copying to the GPU")

    def download(self, host: np.ndarray, address: int, stream: int) -> None:
        """See `Driver.download`."""
        copied = cuda.cuMemcpyDtoHAsync(host.ctypes.data, address, host.nbytes, stream)
        checked(copied, "copying from the GPU")

    def synchronize(self, stream: int) -> None:
        """See `Driver.synchronize`."""
        checked(cuda.cuStreamSynchronize(stream), "the work on the GPU")

    def close(self) -> None:
        """See `Driver.close`; errors of a failed device are ignored."""
        if self._context is None:
            return
        with self.entered():
            for stream in self._streams:
                cuda.cuStreamSynchronize(stream)
                cuda.cuStreamDestroy(stream)
            for address in self._device_memory:
                cuda.cuMemFree(address)
            for address in self._pinned_memory:
                cuda.cuMemFreeHost(address)
            for module in self._modules:
                cuda.cuModuleUnload(module)
        self._context = None
        cuda.cuDevicePrimaryCtxRelease(self._device)


def checked(returned: tuple[Any, ...], action: str) -> Any:
    """Return the value of a cuda.bindings call after checking its status.

    Raises:
        BackendError: If the driver reports an error.
    """
    status, *values = returned
    if int(status):
        _, text = cuda.cuGetErrorString(status)
        reason = text.decode() if text else f"error {int(status)}"
        raise BackendError(f"CUDA failed at {action}: {reason}")
    return values[0] if values else None
