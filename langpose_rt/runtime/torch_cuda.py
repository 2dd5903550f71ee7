"""The checkpoint in torch on the GPU: the float32 reference there, around the device window."""

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
    """Device memory that is not torch's, in the form torch takes without a copy."""

    def __init__(self, address: int, shape: tuple[int, ...], dtype: str) -> None:
        self.__cuda_array_interface__ = {
            "shape": shape, "typestr": np.dtype(dtype).str, "data": (address, False), "version": 3,
        }  # fmt: skip


class _TorchGraph:
    """A recording in torch, whose allocator keeps what the recording uses."""

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

    Float32 without TF32, and a float32 ring: half without the islands of the FP16 graph overflows.
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
    def bound(self, part: str, size: int, addresses: dict[str, int], stream: int) -> Enqueue:
        """See `DeviceNetwork.bound`."""
        io = {"encoder": encoder_io, "lifter": lifter_io}[part](self._config)
        inputs, outputs = (
            [_tensor(addresses[name], (size, *tensor.shape)) for name, tensor in tensors.items()]
            for tensors in io
        )
        module, place = self._modules[part], torch.cuda.ExternalStream(stream)

        def enqueue() -> None:
            try:
                with torch.inference_mode(), _on(place):
                    for out, answer in zip(outputs, module(*inputs), strict=True):
                        out.copy_(answer)
            except RuntimeError as error:
                raise BackendError(f"torch failed in the {part}: {_first_line(error)}") from error

        return enqueue

    def recorded(self, work: Enqueue, stream: int) -> _TorchGraph:
        """See `DeviceNetwork.recorded`."""
        return _TorchGraph(work, torch.cuda.ExternalStream(stream))

    def close(self) -> None:
        """Torch frees what is no longer named."""
        self._modules.clear()


def open_torch_cuda(
    model: LangPose, manifest: Manifest, *, slots: int, graphs: bool = True
) -> CudaBackend:
    """The torch backend on the GPU.

    Args:
        model: Its weights are moved to the GPU.
        manifest: Of the model.
        slots: Persons to remember at once.
        graphs: Whether steps are recorded as CUDA graphs.

    Raises:
        ConfigError: If there is no GPU or no driver library.
        BackendError: If the device refuses.
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
