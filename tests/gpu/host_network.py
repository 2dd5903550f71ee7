"""ONNX Runtime as a network "on the device" whose memory is the host's: for CPU threads only.

It is enqueued and recorded like kernels are, so that order, addresses and recordings are real.
"""

import ctypes
from pathlib import Path

import numpy as np

from langpose_rt.manifest import Manifest
from langpose_rt.runtime.cuda.device_network import Enqueue
from langpose_rt.runtime.cuda.graph import Graph
from langpose_rt.runtime.onnx import session_from_file
from langpose_rt.runtime.tensors import encoder_io, lifter_io
from langpose_rt.window.reference import Stored

_Callback = ctypes.CFUNCTYPE(None, ctypes.c_int)


class HostNetwork:
    """A `langpose_rt.runtime.cuda.device_network.DeviceNetwork`."""

    name, precision = "host", "fp32"

    def __init__(self, folder: Path, manifest: Manifest, stored: Stored) -> None:
        product = manifest.products["fp32"]
        self.stored, self.sizes = stored, (1, 2, 4)
        self._config = manifest.model_config
        self._sessions = {
            part: session_from_file(folder / file, threads=1)
            for part, file in (("encoder", product.encoder), ("lifter", product.lifter))
        }
        self._driver = ctypes.CDLL("libcuda.so.1")
        self._kept: list[object] = []

    def bind(self, part: str, size: int, addresses: dict[str, int], stream: int) -> Enqueue:
        inputs, outputs = {"encoder": encoder_io, "lifter": lifter_io}[part](self._config)
        session = self._sessions[part]
        given = {
            name: self._view(addresses[name], (size, *tensor.shape), name)
            for name, tensor in inputs.items()
        }
        answers = [
            self._view(addresses[name], (size, *tensor.shape), name)
            for name, tensor in outputs.items()
        ]

        def run(_: int) -> None:
            numbers = {name: array.astype(np.float32) for name, array in given.items()}
            for out, answer in zip(answers, session.run(None, numbers), strict=True):
                out[:] = answer

        callback = _Callback(run)
        self._kept.append(callback)

        def enqueue() -> None:
            assert not self._driver.on_cpu_enqueue(ctypes.c_void_p(stream), callback, 0)

        return enqueue

    def capture(self, work: Enqueue, stream: int) -> Graph:
        return Graph(work, stream)

    def close(self) -> None:
        pass

    def _view(self, address: int, shape: tuple[int, ...], name: str) -> np.ndarray:
        dtype = np.dtype(self.stored if name.startswith("ring_") else np.float32)
        size = int(np.prod(shape)) * dtype.itemsize
        memory = (ctypes.c_uint8 * size).from_address(address)
        return np.frombuffer(memory, dtype).reshape(shape)
