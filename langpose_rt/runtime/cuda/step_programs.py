"""The steps of one batch size, as work on a stream: everything at fixed addresses.

A program is: one copy up, the window's kernels and the networks between, one copy down. Blocks on
host and device are shared by all sizes, because only one program runs at a time.
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
"""``encode and lift`` also answers for the newest frame; ``lift`` answers for any."""

_UP = {
    ENCODE: ("slots", "time_ns", "rows", "extras"),
    ENCODE_AND_LIFT: ("slots", "time_ns", "rows", "extras"),
    LIFT: ("slots", "frames_back", "lag_s"),
}
_DOWN = {
    ENCODE: ("embedding",),
    ENCODE_AND_LIFT: ("embedding", "pose", "sigma"),
    LIFT: ("pose", "sigma"),
}
_TABLE = {"slots": ((), "int32"), "time_ns": ((), "int64"), "frames_back": ((), "int32")}


@dataclass(frozen=True, kw_only=True)
class DeviceContext:
    """Where programs work.

    Attributes:
        driver: Its context is entered whenever a program is made or run.
        stream: All of it goes there.
        window: Of the persons.
        network: What computes.
        config: Of the model.
    """

    driver: Driver
    stream: int
    window: DeviceWindow
    network: DeviceNetwork
    config: ModelConfig


class Blocks:
    """Memory of all programs: what goes up, what comes down, what stays on the device."""

    def __init__(self, place: DeviceContext, largest: int) -> None:
        driver, config = place.driver, place.config
        up = max(_layout(_UP[name], config, largest).size_bytes for name in PROGRAMS)
        down = max(_layout(_DOWN[name], config, largest).size_bytes for name in PROGRAMS)
        inside = _inside(config, largest, place.network)
        self.up, self.down = driver.pinned_memory(up), driver.pinned_memory(down)
        self.up_address = driver.device_memory(up)
        self.down_address = driver.device_memory(down)
        self.inside = inside.addresses(driver.device_memory(inside.size_bytes))


class StepProgram:
    """One kind of step at one batch size.

    Args:
        name: One of PROGRAMS.
        size: Rows of the batch.
        place: Where it works.
        blocks: Large enough for the size.

    Attributes:
        given: Arrays to fill before it runs, in pinned memory.
        answer: Arrays it has filled when the stream is done; valid until another program runs.
    """

    def __init__(self, name: str, size: int, place: DeviceContext, blocks: Blocks) -> None:
        self.name, self.size, self._place = name, size, place
        up, down = (_layout(names[name], place.config, size) for names in (_UP, _DOWN))
        self._up, self._down = blocks.up[: up.size_bytes], blocks.down[: down.size_bytes]
        self._up_address, self._down_address = blocks.up_address, blocks.down_address
        self.given, self.answer = up.views(self._up), down.views(self._down)
        self._at = (
            blocks.inside | up.addresses(blocks.up_address) | down.addresses(blocks.down_address)
        )
        self._work = self._lift() if name == LIFT else self._encode()

    def enqueue(self) -> None:
        """All of it, one after the other."""
        driver, stream = self._place.driver, self._place.stream
        driver.upload(self._up_address, self._up, stream)
        for work in self._work:
            work()
        driver.download(self._down, self._down_address, stream)

    def _encode(self) -> list[Callable[[], None]]:
        place, size, at = self._place, self.size, self._at
        work = [
            lambda: place.window.look(place.stream, size, at),
            self._bound("encoder", at),
            lambda: place.window.push(place.stream, size, at),
        ]
        if self.name == ENCODE_AND_LIFT:
            now = {"newest": at["feature"], "answered": at["feature"], "lag_s": at["no_lag"]}
            work.append(self._bound("lifter", at | now))
        return work

    def _lift(self) -> list[Callable[[], None]]:
        place, size, at = self._place, self.size, self._at
        slots, window, stream = at["slots"], place.window, place.stream
        return [
            lambda: window.feature_at(stream, size, at["newest"], slots, at["no_frames_back"]),
            lambda: window.feature_at(stream, size, at["answered"], slots, at["frames_back"]),
            self._bound("lifter", at),
        ]

    def _bound(self, part: str, at: dict[str, int]) -> Callable[[], None]:
        place = self._place
        return place.network.bound(part, self.size, at, place.stream)


def _tensors(config: ModelConfig) -> Tensors:
    parts = (*encoder_io(config), *lifter_io(config))
    return {name: tensor for part in parts for name, tensor in part.items()}


def _layout(names: tuple[str, ...], config: ModelConfig, size: int) -> Layout:
    tensors = _tensors(config)
    known = {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()} | _TABLE
    return Layout({name: ((size, *known[name][0]), known[name][1]) for name in names})


def _inside(config: ModelConfig, size: int, network: DeviceNetwork) -> Layout:
    """What never leaves the device; ``no_lag`` and ``no_frames_back`` stay zero."""
    outside = {name for names in (*_UP.values(), *_DOWN.values()) for name in names}
    arrays: dict[str, tuple[tuple[int, ...], str]] = {
        name: ((size, *tensor.shape), tensor.dtype)
        for name, tensor in _tensors(config).items()
        if name not in outside
    }
    for name in ("ring_keys", "ring_values"):
        arrays[name] = (arrays[name][0], np.dtype(network.stored).name)
    arrays["no_lag"], arrays["no_frames_back"] = ((size,), "float32"), ((size,), "int32")
    return Layout(arrays)
