"""Torch backend: the checkpoint in float32, the reference; on a GPU, if there is one, FP16 too."""

from pathlib import Path

import numpy as np
import torch

from langpose_rt.errors import ConfigError, ModelError
from langpose_rt.manifest import Manifest
from langpose_rt.model.checkpoint import load
from langpose_rt.model.langpose import LangPose
from langpose_rt.model.step_graphs import EncoderStep, LifterStep
from langpose_rt.runtime.backend import Backend
from langpose_rt.runtime.ring_backend import RingBackend

CHECKPOINT_NAME = "model.safetensors"


class TorchNetwork:
    """Encoder and lifter as torch modules."""

    name = "torch"
    precision = "fp32"
    persons_per_call = 64

    def __init__(self, model: LangPose) -> None:
        self._encoder = EncoderStep(model)
        self._lifter = LifterStep(model)

    def encode(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Run the encoder."""
        return _run(self._encoder, inputs)

    def lift(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Run the lifter."""
        return _run(self._lifter, inputs)


def open_torch(
    folder: Path,
    manifest: Manifest,
    *,
    slots: int,
    threads: int,
    precision: str,
    device: str = "auto",
) -> Backend:
    """Open the checkpoint of a model folder in torch; arguments as in `open_backend`.

    Args:
        device: ``cuda``, ``cpu``, or ``auto`` for the first one available.
    """
    on_gpu = device == "cuda" or (device == "auto" and has_cuda())
    if precision != "fp32" and not (on_gpu and precision == "fp16"):
        raise ConfigError(f"the torch backend runs fp32, not {precision}; use '--backend onnx'")
    if CHECKPOINT_NAME not in manifest.files:
        raise ModelError(f"model {manifest.name!r} carries no {CHECKPOINT_NAME}; export it again")
    torch.set_num_threads(threads)
    model, _ = load(folder / CHECKPOINT_NAME)
    if on_gpu:
        from langpose_rt.runtime.torch_cuda import open_torch_cuda

        return open_torch_cuda(model, manifest, slots=slots, half=precision == "fp16")
    return RingBackend(TorchNetwork(model), manifest, slots=slots)


def has_cuda() -> bool:
    """Return True if torch can compute on a GPU of this machine."""
    return bool(torch.cuda.is_available())


@torch.inference_mode()
def _run(module: torch.nn.Module, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    named = {name: torch.from_numpy(np.ascontiguousarray(part)) for name, part in inputs.items()}
    outputs = module(**named)
    return [output.numpy() for output in outputs]
