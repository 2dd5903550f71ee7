"""Torch around the device window, on a device of CPU threads: streamed = offline, and its errors.

What is of CUDA in torch is replaced by the host: streams, memory and recordings. The weights, the
window's kernels and the programs are the real ones. Nothing is shown of a GPU.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from langpose_rt.errors import BackendError, ConfigError
from langpose_rt.manifest import read_manifest
from langpose_rt.model.checkpoint import load
from langpose_rt.model.langpose import LangPose
from langpose_rt.runtime import torch_cuda
from langpose_rt.runtime.backend import Backend
from langpose_rt.runtime.cuda.backend import CudaBackend
from langpose_rt.runtime.gpu_info import Gpu
from langpose_rt.runtime.parity import lift_clip
from langpose_rt.runtime.torch import CHECKPOINT_NAME
from langpose_rt.runtime.torch_cuda import (
    SIZES,
    HalfLinear,
    TorchCudaNetwork,
    open_torch_cuda,
    with_half_layers,
)
from tests.cpp_ext.conftest import on_cpu as on_cpu  # noqa: PLC0414 - a fixture
from tests.runtime.conftest import random_clip
from tests.runtime.cuda.host_driver import HostDriver
from tests.runtime.test_ring_backend import offline, run_together


def on_host(address: int, shape: tuple[int, ...], dtype: str) -> torch.Tensor:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = (ctypes.c_uint8 * size).from_address(address)
    return torch.frombuffer(memory, dtype=getattr(torch, dtype)).view(shape)


class Torch:
    """What of torch.cuda was asked.

    Attributes:
        moved: Devices that models were moved to.
        streams: Streams that work was enqueued on.
        replayed: How often a graph was.
        refusing: Whether recording fails.
    """

    def __init__(self) -> None:
        self.moved: list[str] = []
        self.streams: list[int] = []
        self.replayed, self.reset, self.refusing = 0, 0, False


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[Torch]:
    seen = Torch()

    def to(self: LangPose, device: str) -> LangPose:
        seen.moved.append(device)
        return self

    class CUDAGraph:
        def replay(self) -> None:
            seen.replayed += 1

        def reset(self) -> None:
            seen.reset += 1

    @contextmanager
    def graph(_: Any, *, stream: int, capture_error_mode: str) -> Iterator[None]:
        assert capture_error_mode == "thread_local", "other threads go on allocating"
        if seen.refusing:
            raise RuntimeError("CUDA error: operation not permitted\nand a long explanation")
        seen.streams.append(stream)
        yield

    def stream(place: int) -> Any:
        seen.streams.append(place)
        return nullcontext()

    monkeypatch.setattr(LangPose, "to", to)
    monkeypatch.setattr(torch.cuda, "ExternalStream", lambda stream: stream)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", CUDAGraph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch_cuda, "_tensor", on_host)
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    yield seen
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.fixture
def make(
    cuda: Torch, on_cpu: ctypes.CDLL, model_folder: Path
) -> Callable[[int, tuple[int, ...]], CudaBackend]:
    def backend(
        slots: int = 4, sizes: tuple[int, ...] = (1, 2, 4), *, half: bool = False
    ) -> CudaBackend:
        network = TorchCudaNetwork(load(model_folder / CHECKPOINT_NAME)[0], half=half)
        network.sizes = sizes
        return CudaBackend(
            HostDriver(on_cpu), network, read_manifest(model_folder), b"", slots=slots,
            graphs=False,
        )  # fmt: skip

    return backend


@pytest.mark.parametrize("frames_back", [0, 3])
def test_frame_by_frame_around_the_device_window_equals_one_causal_pass(
    make: Callable[..., CudaBackend], model_folder: Path, frames_back: int
) -> None:
    backend, clip = make(), random_clip(25, seed=5)
    assert isinstance(backend, Backend)
    assert (backend.name, backend.precision) == ("torch", "fp32")
    streamed, _ = lift_clip(backend, clip, frames_back)
    assert np.abs(streamed - offline(model_folder, clip, frames_back)).max() < 1e-4


def test_half_moves_a_pose_by_less_than_half_a_millimetre(
    make: Callable[..., CudaBackend], model_folder: Path
) -> None:
    backend, clip = make(half=True), random_clip(25, seed=5)
    assert backend.precision == "fp16"
    streamed, _ = lift_clip(backend, clip)
    distance = np.linalg.norm(streamed - offline(model_folder, clip), axis=-1)
    assert 0 < distance.max() < 3e-3
    assert distance.mean() < 5e-4


def test_half_is_a_copy_that_leaves_the_ends_in_float32(model_folder: Path) -> None:
    model = load(model_folder / CHECKPOINT_NAME)[0]
    half = with_half_layers(model)
    halves = [m for m in half.encoder.layers.modules() if isinstance(m, HalfLinear)]
    linears = [m for m in model.encoder.layers.modules() if isinstance(m, torch.nn.Linear)]
    assert len(halves) == len(linears) > 0
    assert {m.weight.dtype for m in halves} == {torch.float16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {p.dtype for p in half.lifter.parameters()} == {torch.float32}
    assert half.encoder.to_representation.weight.dtype == torch.float32


@pytest.mark.parametrize("sizes", [(1, 2, 4), (3,)], ids=str)
def test_persons_who_join_and_leave_get_the_poses_they_would_get_alone(
    make: Callable[..., CudaBackend], model_folder: Path, sizes: tuple[int, ...]
) -> None:
    clips = [random_clip(12, seed=seed) for seed in range(4)]
    backend = make(5, sizes)
    poses = run_together(backend, clips, [0, 0, 3, 5], [2, 0, 4, 1], [12, 12, 15, 17])
    for clip, pose in zip(clips, poses, strict=True):
        assert np.abs(pose - offline(model_folder, clip)).max() < 1e-4


def test_the_model_is_moved_and_computes_in_full_float32(cuda: Torch, model_folder: Path) -> None:
    torch.backends.cuda.matmul.allow_tf32 = True
    network = TorchCudaNetwork(load(model_folder / CHECKPOINT_NAME)[0])
    assert cuda.moved == ["cuda"]
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    assert network.stored is np.float32
    assert network.sizes == SIZES == tuple(sorted(set(SIZES)))


def test_work_is_enqueued_on_the_stream_it_was_bound_to(
    make: Callable[..., CudaBackend], cuda: Torch
) -> None:
    clip = random_clip(1).for_backend(backend := make())
    cuda.streams.clear()
    slot = np.zeros(1, np.int32)
    backend.encode(clip.rows, clip.extras, slot, clip.time_ns)
    assert len(cuda.streams) == 2, "encoder and lifter"
    assert set(cuda.streams) == {backend._stream}


def test_a_recording_is_replayed_on_its_stream_and_freed(cuda: Torch, model_folder: Path) -> None:
    network = TorchCudaNetwork(load(model_folder / CHECKPOINT_NAME)[0])
    done: list[str] = []
    recording = network.capture(lambda: done.append("work"), 9)
    assert done == ["work"]
    recording.launch()
    recording.launch()
    assert (done, cuda.replayed) == (["work"], 2)
    assert cuda.streams == [9, 9, 9]
    recording.close()
    assert cuda.reset == 1


def test_a_recording_that_is_refused_is_one_sentence(cuda: Torch, model_folder: Path) -> None:
    cuda.refusing = True
    network = TorchCudaNetwork(load(model_folder / CHECKPOINT_NAME)[0])
    with pytest.raises(BackendError) as caught:
        network.capture(lambda: None, 9)
    assert str(caught.value) == "torch cannot record: CUDA error: operation not permitted"


def test_a_step_that_fails_says_in_which_network(
    make: Callable[..., CudaBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = random_clip(1).for_backend(backend := make())

    def fail(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access\nCompile with TORCH_USE_CUDA_DSA")

    monkeypatch.setattr(torch.Tensor, "copy_", fail)
    with pytest.raises(BackendError) as caught:
        backend.encode(clip.rows, clip.extras, np.zeros(1, np.int32), clip.time_ns)
    assert str(caught.value) == "torch failed in the encoder: CUDA error: an illegal memory access"


def test_a_closed_network_holds_no_weights(cuda: Torch, model_folder: Path) -> None:
    network = TorchCudaNetwork(load(model_folder / CHECKPOINT_NAME)[0])
    network.close()
    with pytest.raises(KeyError):
        network.bind("encoder", 1, {}, 1)


def test_a_machine_without_a_gpu_is_one_sentence(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def probe() -> Gpu:
        raise ConfigError("no NVIDIA driver: libcuda.so.1 cannot be loaded")

    monkeypatch.setattr(torch_cuda, "probe", probe)
    model, _ = load(model_folder / CHECKPOINT_NAME)
    with pytest.raises(ConfigError, match=r"^no NVIDIA driver: "):
        open_torch_cuda(model, read_manifest(model_folder), slots=1)


def test_memory_of_the_driver_is_handed_to_torch_without_a_copy() -> None:
    array = torch_cuda._Memory(4096, (2, 17, 3), "float32").__cuda_array_interface__
    assert array == {"shape": (2, 17, 3), "typestr": "<f4", "data": (4096, False), "version": 3}
