"""Torch backend on the GPU: the float32 reference with the device window, and FP16 beside it."""

import copy
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

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


class HalfLinear(nn.Module):
    """Linear layer computed in FP16, with float32 at both ends."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = nn.Parameter(linear.weight.detach().half(), requires_grad=False)
        self.bias = nn.Parameter(linear.bias.detach().half(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        return nn.functional.linear(x.half(), self.weight, self.bias).float()


def with_half_layers(model: LangPose) -> LangPose:
    """Return a copy whose encoder layers multiply in FP16.

    Sums, norms and attention stay in float32, as do first embedding, representation and lifter:
    coordinates lose half a millimetre in FP16.
    """
    model = copy.deepcopy(model)
    for module in list(model.encoder.layers.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, HalfLinear(child))
    return model


class TorchCudaNetwork:
    """Encoder and lifter as torch modules: a `DeviceNetwork`.

    Args:
        model: Model; its weights are moved to the GPU.
        half: Keep the ring and multiply the encoder's layers in FP16; else all is float32 without
            TF32.
    """

    name = "torch"
    sizes: tuple[int, ...] = SIZES

    def __init__(self, model: LangPose, *, half: bool = False) -> None:
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        self.precision = "fp16" if half else "fp32"
        self.stored: Stored = np.float16 if half else np.float32
        self._config = model.config
        on_gpu = (with_half_layers(model) if half else model).to("cuda").eval()
        self._modules = {"encoder": EncoderStep(on_gpu), "lifter": LifterStep(on_gpu)}

    @torch.inference_mode()
    def bind(self, part: str, size: int, addresses: dict[str, int], stream: int) -> Enqueue:
        """See `DeviceNetwork.bind`."""
        io = {"encoder": encoder_io, "lifter": lifter_io}[part](self._config)
        ring = np.dtype(self.stored).name
        inputs, outputs = (
            {
                name: _tensor(
                    addresses[name], (size, *tensor.shape),
                    ring if tensor.dtype == "float16" else "float32",
                )
                for name, tensor in tensors.items()
            }
            for tensors in io
        )  # fmt: skip
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
    model: LangPose, manifest: Manifest, *, slots: int, graphs: bool = True, half: bool = False
) -> CudaBackend:
    """Open the torch backend on the GPU.

    Args:
        model: Model; its weights are moved to the GPU.
        manifest: Manifest of the model.
        slots: Number of slots, one per person.
        graphs: Capture steps as CUDA graphs.
        half: Ring and encoder layers in FP16.

    Raises:
        ConfigError: If there is no GPU or no driver library.
        BackendError: If the device reports an error.
    """
    return cuda_backend(
        lambda _: TorchCudaNetwork(model, half=half), manifest, probe().compute_capability,
        slots=slots, graphs=graphs,
    )  # fmt: skip


def _tensor(address: int, shape: tuple[int, ...], dtype: str) -> torch.Tensor:
    return torch.as_tensor(_Memory(address, shape, dtype), device="cuda")


def _on(stream: Any) -> AbstractContextManager[Any]:
    return torch.cuda.stream(stream)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
