"""Torch backend on the GPU: the float32 reference with the device window."""

from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

from langpose_rt.errors import BackendError
from langpose_rt.manifest import Manifest
from langpose_rt.model.langpose import LangPose
from langpose_rt.model.step_graphs import EncoderStep, LifterStep
from langpose_rt.runtime.cuda.backend import CudaBackend, cuda_backend
from langpose_rt.runtime.cuda.device_network import Enqueue
from langpose_rt.runtime.gpu_info import probe
from langpose_rt.runtime.tensors import encoder_io, lifter_io
from langpose_rt.window.reference import Stored

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class _Memory:
    """Device memory not owned by torch, exposed so that torch uses it without a copy."""

    def __init__(self, address: int, shape: tuple[int, ...], dtype: str) -> None:
        self.__cuda_array_interface__ = {
            "shape": shape, "typestr": np.dtype(dtype).str, "data": (address, False), "version": 3,
        }  # fmt: skip


class _TorchGraph:
    """CUDA graph captured by torch, whose allocator keeps the memory the graph uses."""

    def __init__(self, work: Enqueue, stream: Any) -> None:
        self._stream, self._graph = stream, torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
                work()
        except RuntimeError as error:
            raise BackendError(f"torch cannot record: {_first_line(error)}") from error

    def launch(self) -> None:
        with torch.cuda.stream(self._stream):
            self._graph.replay()

    def close(self) -> None:
        self._graph.reset()


class TorchCudaNetwork:
    """Encoder and lifter as torch modules: a `DeviceNetwork`.

    Float32 without TF32, and a float32 ring: FP16 without the float32 islands of the FP16 graph
    overflows.
    """

    name, precision = "torch", "fp32"
    stored: Stored = np.float32
    sizes: tuple[int, ...] = SIZES

    def __init__(self, model: LangPose) -> None:
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        self._config = model.config
        on_gpu = model.to("cuda").eval()
        self._modules = {"encoder": EncoderStep(on_gpu), "lifter": LifterStep(on_gpu)}

    @torch.inference_mode()
    def bind(self, part: str, size: int, addresses: dict[str, int], stream: int) -> Enqueue:
        """See `DeviceNetwork.bind`."""
        io = {"encoder": encoder_io, "lifter": lifter_io}[part](self._config)
        inputs, outputs = (
            {n: _tensor(addresses[n], (size, *tensor.shape)) for n, tensor in tensors.items()}
            for tensors in io
        )
        module, target = self._modules[part], torch.cuda.ExternalStream(stream)

        def enqueue() -> None:
            try:
                with torch.inference_mode(), _on(target):
                    for out, result in zip(outputs.values(), module(**inputs), strict=True):
                        out.copy_(result)
            except RuntimeError as error:
                raise BackendError(f"torch failed in the {part}: {_first_line(error)}") from error

        return enqueue

    def capture(self, work: Enqueue, stream: int) -> _TorchGraph:
        """See `DeviceNetwork.capture`."""
        return _TorchGraph(work, torch.cuda.ExternalStream(stream))

    def close(self) -> None:
        """Drop the modules; torch frees their memory."""
        self._modules.clear()


def open_torch_cuda(
    model: LangPose, manifest: Manifest, *, slots: int, graphs: bool = True
) -> CudaBackend:
    """Open the torch backend on the GPU.

    Args:
        model: Model; its weights are moved to the GPU.
        manifest: Manifest of the model.
        slots: Number of slots, one per person.
        graphs: Capture steps as CUDA graphs.

    Raises:
        ConfigError: If there is no GPU or no driver library.
        BackendError: If the device reports an error.
    """
    return cuda_backend(
        lambda _: TorchCudaNetwork(model), manifest, probe().compute_capability,
        slots=slots, graphs=graphs,
    )  # fmt: skip


def _tensor(address: int, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.as_tensor(_Memory(address, shape, "float32"), device="cuda")


def _on(stream: Any) -> AbstractContextManager[Any]:
    return torch.cuda.stream(stream)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
