"""CUDA driver through PyCUDA."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pycuda.driver as cuda

from langpose_rt.errors import BackendError
from langpose_rt.runtime.cuda.driver import Kernel

_NON_BLOCKING_STREAM = 1


class PyCudaDriver:
    """Implements `langpose_rt.runtime.cuda.driver.Driver` with PyCUDA.

    Streams are passed as integers, the form TensorRT, torch and CUDA graphs take; PyCUDA needs its
    own objects, which are kept here.
    """

    name = "PyCUDA"

    def __init__(self) -> None:
        with _backend_errors("starting"):
            cuda.init()
            self._context: Any = cuda.Device(0).retain_primary_context()
        self._streams: dict[int, Any] = {}
        self._kept: list[Any] = []
        self._pinned: list[Any] = []

    @contextmanager
    def entered(self) -> Iterator[None]:
        """See `Driver.entered`."""
        if self._context is None:
            raise BackendError("the GPU backend is closed")
        with _backend_errors("entering the context"):
            self._context.push()
        try:
            yield
        finally:
            self._context.pop()

    def kernels(self, image: bytes, signatures: dict[str, str]) -> dict[str, Kernel]:
        """See `Driver.kernels`."""
        with _backend_errors("loading the kernels"):
            module = cuda.module_from_buffer(image)
            self._kept.append(module)
            found = {}
            for name, signature in signatures.items():
                function = module.get_function(name)
                function.prepare(signature)
                found[name] = Kernel(function, signature)
            return found

    def stream(self) -> int:
        """See `Driver.stream`."""
        with _backend_errors("making a stream"):
            stream = cuda.Stream(_NON_BLOCKING_STREAM)
        self._streams[int(stream.handle)] = stream
        return int(stream.handle)

    def device_memory(self, size_bytes: int) -> int:
        """See `Driver.device_memory`."""
        with _backend_errors(f"allocating {size_bytes / 1e6:.1f} MB on the GPU"):
            memory = cuda.mem_alloc(size_bytes)
            self._kept.append(memory)
            cuda.memset_d8(memory, 0, size_bytes)
            cuda.Context.synchronize()  # streams here do not wait for the default stream
            return int(memory)

    def pinned_memory(self, size_bytes: int) -> np.ndarray:
        """See `Driver.pinned_memory`."""
        with _backend_errors("allocating pinned memory"):
            memory: np.ndarray = cuda.pagelocked_zeros(size_bytes, np.uint8)
        self._pinned.append(memory)
        return memory

    def launch(
        self, kernel: Kernel, grid: tuple[int, int], threads: int, stream: int, *arguments: int
    ) -> None:
        """See `Driver.launch`."""
        with _backend_errors("launching a kernel"):
            kernel.handle.prepared_async_call(
                grid, (threads, 1, 1), self._streams[stream], *arguments
            )

    def upload(self, address: int, host: np.ndarray, stream: int) -> None:
        """See `Driver.upload`."""
        with _backend_errors("copying to the GPU"):
            cuda.memcpy_htod_async(address, host, self._streams[stream])

    def download(self, host: np.ndarray, address: int, stream: int) -> None:
        """See `Driver.download`."""
        with _backend_errors("copying from the GPU"):
            cuda.memcpy_dtoh_async(host, address, self._streams[stream])

    def synchronize(self, stream: int) -> None:
        """See `Driver.synchronize`."""
        with _backend_errors("the work on the GPU"):
            self._streams[stream].synchronize()

    def close(self) -> None:
        """See `Driver.close`; PyCUDA frees objects without references."""
        if self._context is None:
            return
        with self.entered():
            self._kept.clear()
            self._pinned.clear()
            self._streams.clear()
        self._context.detach()
        self._context = None


@contextmanager
def _backend_errors(action: str) -> Iterator[None]:
    """Turn PyCUDA's errors into BackendError."""
    try:
        yield
    except cuda.Error as error:
        reason = str(error).splitlines()[0]
        raise BackendError(f"CUDA failed at {action}: {reason}") from error
