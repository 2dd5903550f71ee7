"""Step programs: the steps of one batch size as work on a stream, at fixed addresses.

A program is one upload, the kernels of the window, the networks, and one download. All programs
share one block of memory on host and device, because only one runs at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from langpose_rt.config import ModelConfig
from langpose_rt.runtime.cuda.device_network import DeviceNetwork
from langpose_rt.runtime.cuda.device_window import DeviceWindow
from langpose_rt.runtime.cuda.driver import Driver
from langpose_rt.runtime.cuda.memory_layout import Layout
from langpose_rt.runtime.tensors import Tensors, encoder_io, lifter_io

ENCODE, ENCODE_AND_LIFT, LIFT = "encode", "encode and lift", "lift"
PROGRAMS = (ENCODE, ENCODE_AND_LIFT, LIFT)
"""``encode and lift`` also lifts the latest frame; ``lift`` lifts any frame of the window."""

_UPLOADED = {
    ENCODE: ("slots", "time_ns", "rows", "extras"),
    ENCODE_AND_LIFT: ("slots", "time_ns", "rows", "extras"),
    LIFT: ("slots", "frames_back", "lag_s"),
}
_DOWNLOADED = {
    ENCODE: ("embedding",),
    ENCODE_AND_LIFT: ("embedding", "pose", "sigma"),
    LIFT: ("pose", "sigma"),
}
_TABLE = {"slots": ((), "int32"), "time_ns": ((), "int64"), "frames_back": ((), "int32")}


@dataclass(frozen=True, kw_only=True)
class DeviceContext:
    """Driver, stream, window and network that step programs use.

    Attributes:
        driver: Driver; its context is entered whenever a program is built or run.
        stream: Stream of all work.
        window: Windows of the persons.
        network: Encoder and lifter.
        config: Config of the model.
    """

    driver: Driver
    stream: int
    window: DeviceWindow
    network: DeviceNetwork
    config: ModelConfig


class StepMemory:
    """Memory shared by all programs: upload, download and device-only blocks."""

    def __init__(self, context: DeviceContext, largest: int) -> None:
        driver, config = context.driver, context.config
        up = max(_layout(_UPLOADED[name], config, largest).size_bytes for name in PROGRAMS)
        down = max(_layout(_DOWNLOADED[name], config, largest).size_bytes for name in PROGRAMS)
        device_only = _device_only(config, largest, context.network)
        self.up, self.down = driver.pinned_memory(up), driver.pinned_memory(down)
        self.up_address = driver.device_memory(up)
        self.down_address = driver.device_memory(down)
        self.device_only = device_only.addresses(driver.device_memory(device_only.size_bytes))


class StepProgram:
    """Step of one kind at one batch size, bound to fixed addresses.

    Args:
        name: One of PROGRAMS.
        size: Rows of the batch.
        context: Driver, stream, window and network.
        memory: Memory large enough for the size.

    Attributes:
        inputs: Arrays to fill before it runs, in pinned memory.
        outputs: Arrays it fills; valid after the stream has finished, until another program runs.
    """

    def __init__(self, name: str, size: int, context: DeviceContext, memory: StepMemory) -> None:
        self.name, self.size, self._context = name, size, context
        up, down = (
            _layout(names[name], context.config, size) for names in (_UPLOADED, _DOWNLOADED)
        )
        self._up, self._down = memory.up[: up.size_bytes], memory.down[: down.size_bytes]
        self._up_address, self._down_address = memory.up_address, memory.down_address
        self.inputs, self.outputs = up.views(self._up), down.views(self._down)
        self._at = memory.device_only
        self._at = self._at | up.addresses(memory.up_address) | down.addresses(memory.down_address)
        self._work = self._lift() if name == LIFT else self._encode()

    def enqueue(self) -> None:
        """Enqueue upload, kernels, networks and download."""
        driver, stream = self._context.driver, self._context.stream
        driver.upload(self._up_address, self._up, stream)
        for work in self._work:
            work()
        driver.download(self._down, self._down_address, stream)

    def _encode(self) -> list[Callable[[], None]]:
        context, size, at = self._context, self.size, self._at
        work = [
            lambda: context.window.look(context.stream, size, at),
            self._bind("encoder", at),
            lambda: context.window.push(context.stream, size, at),
        ]
        if self.name == ENCODE_AND_LIFT:
            latest = {"newest": at["feature"], "answered": at["feature"], "lag_s": at["no_lag"]}
            work.append(self._bind("lifter", at | latest))
        return work

    def _lift(self) -> list[Callable[[], None]]:
        context, size, at = self._context, self.size, self._at
        slots, window, stream = at["slots"], context.window, context.stream
        return [
            lambda: window.feature_at(stream, size, at["newest"], slots, at["no_frames_back"]),
            lambda: window.feature_at(stream, size, at["answered"], slots, at["frames_back"]),
            self._bind("lifter", at),
        ]

    def _bind(self, part: str, at: dict[str, int]) -> Callable[[], None]:
        context = self._context
        return context.network.bind(part, self.size, at, context.stream)


def _tensors(config: ModelConfig) -> Tensors:
    parts = (*encoder_io(config), *lifter_io(config))
    return {name: tensor for part in parts for name, tensor in part.items()}


def _layout(names: tuple[str, ...], config: ModelConfig, size: int) -> Layout:
    tensors = _tensors(config)
    specs = {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()} | _TABLE
    return Layout({name: ((size, *specs[name][0]), specs[name][1]) for name in names})


def _device_only(config: ModelConfig, size: int, network: DeviceNetwork) -> Layout:
    """Lay out the arrays that stay on the device; ``no_lag`` and ``no_frames_back`` stay zero."""
    copied = {name for names in (*_UPLOADED.values(), *_DOWNLOADED.values()) for name in names}
    arrays: dict[str, tuple[tuple[int, ...], str]] = {
        name: ((size, *tensor.shape), tensor.dtype)
        for name, tensor in _tensors(config).items()
        if name not in copied
    }
    for name in ("ring_keys", "ring_values"):
        arrays[name] = (arrays[name][0], np.dtype(network.stored).name)
    arrays["no_lag"], arrays["no_frames_back"] = ((size,), "float32"), ((size,), "int32")
    return Layout(arrays)
