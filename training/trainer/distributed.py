"""Distributed training: rank and device of this process, and averaging of gradients.

torchrun starts the processes and sets the environment; without it a run is a single process.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from langpose_rt.errors import ConfigError

_SEED_STRIDE = 1_000_003


@dataclass(frozen=True, kw_only=True)
class World:
    """Rank, number of processes and device of a run.

    Attributes:
        rank: Index of this process; 0 writes files and logs.
        size: Number of processes.
        device: Device of this process.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def leads(self) -> bool:
        """True if this process writes files and logs."""
        return self.rank == 0

    def seed(self, seed: int) -> int:
        """Return the seed of this process's batches; rank 0 has the seed of the run."""
        return seed + _SEED_STRIDE * self.rank


ALONE = World()
"""Single process on the CPU."""


def world_from_environment(device: str) -> World:
    """Join the run that torchrun started, or return a single process.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``; auto uses a GPU if there is one.

    Raises:
        ConfigError: If a GPU is requested but there is none, or the device is unknown.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"--device is {device!r}; expected auto, cpu or cuda")
    gpu = torch.cuda.is_available()
    if device == "cuda" and not gpu:
        raise ConfigError("--device cuda, but torch sees no GPU; choose --device cpu")
    use_gpu = gpu and device != "cpu"
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    chosen = torch.device("cpu")
    if use_gpu:
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    if size > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if use_gpu else "gloo")
    return World(rank=rank, size=size, device=chosen)


def leave(world: World) -> None:
    """Synchronise all processes and leave the process group."""
    if world.size > 1 and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def average_gradients(parameters: Iterable[nn.Parameter], world: World) -> None:
    """Replace every gradient by its mean over all processes, with one all-reduce.

    A missing gradient counts as zero.
    """
    if world.size == 1:
        return
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    flat = torch.cat([_gradient(parameter).flatten() for parameter in learning])
    torch.distributed.all_reduce(flat)
    flat /= world.size
    pieces = flat.split([parameter.numel() for parameter in learning])
    for parameter, piece in zip(learning, pieces, strict=True):
        parameter.grad = piece.view_as(parameter).clone()


def agree(value: float, world: World) -> float:
    """Broadcast a number of rank 0, so that all processes decide alike although clocks differ."""
    if world.size == 1:
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=world.device)
    torch.distributed.broadcast(shared, 0)
    return float(shared)


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
