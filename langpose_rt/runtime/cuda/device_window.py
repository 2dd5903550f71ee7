"""The sliding window on the device: the functions of `langpose_rt.window.reference`, as launches.

The rings never leave the device and never move. What is pushed, looked at and answered lies on the
device too, at addresses that the caller gives once; this only enqueues. Checks of slots are the
caller's, on the host, where the slots come from.
"""

import numpy as np

from langpose_rt.config import ModelConfig
from langpose_rt.runtime.cuda.driver import Driver, Kernel
from langpose_rt.runtime.cuda.memory_layout import Layout
from langpose_rt.window.reference import Stored
from langpose_rt.window.rotary import rotary_periods_ns

THREADS = 256
"""Of a thread block, as in sliding_window.cu."""

_LOOK_CHUNKS = 8
"""Thread blocks a person when the whole ring is copied; a pushed frame is one block's work."""

Addresses = dict[str, int]


class DeviceWindow:
    """The rings of all slots, on the device.

    Args:
        driver: Its context is entered, here and in every call.
        kernels: Of `langpose_rt.runtime.cuda.kernels.SIGNATURES`.
        config: Of the model.
        slots: Persons it can hold.
        stored: What keys and values are kept as.

    Attributes:
        layout: Of the state, named as in `langpose_rt.window.reference.Window`.
        base: Address of the state.
    """

    def __init__(
        self,
        driver: Driver,
        kernels: dict[str, Kernel],
        config: ModelConfig,
        slots: int,
        *,
        stored: Stored,
    ) -> None:
        self._driver, self._kernels, self._config = driver, kernels, config
        self._suffix = {np.float16: "half", np.float32: "float"}[stored]
        periods_ns = rotary_periods_ns(config.width // config.heads // 2)
        self._periods = len(periods_ns)
        ring = (slots, config.blocks, config.window, config.channels)
        kind = np.dtype(stored).name
        self.layout = Layout(
            {
                "keys": (ring, kind),
                "values": (ring, kind),
                "features": ((slots, config.window, config.feature_channels), "float32"),
                "time_ns": ((slots, config.window), "int64"),
                "head": ((slots,), "int32"),
                "fill": ((slots,), "int32"),
                "arrived": ((slots,), "int32"),
                "periods_ns": ((self._periods,), "int64"),
            }
        )
        self.base = driver.device_memory(self.layout.size_bytes)
        self._at = self.layout.addresses(self.base)
        pinned = driver.pinned_memory(periods_ns.nbytes)
        pinned[:] = periods_ns.view(np.uint8)
        stream = driver.stream()
        driver.upload(self._at["periods_ns"], pinned, stream)
        driver.synchronize(stream)

    def look(self, stream: int, persons: int, at: Addresses) -> None:
        """All a step needs of the past: ring rows, mask and rotary of every person of a batch.

        Args:
            stream: Where to.
            persons: Rows of the batch; a row whose slot is negative is masked and zero.
            at: slots and time_ns are read; ring_keys, ring_values, bias, cos and sin are written.
        """
        own, config = self._at, self._config
        self._launch(
            f"window_look_{self._suffix}", (_LOOK_CHUNKS, persons), stream,
            at["ring_keys"], at["ring_values"], at["bias"], at["cos"], at["sin"],
            own["keys"], own["values"], own["time_ns"], own["fill"], at["slots"], at["time_ns"],
            own["periods_ns"], config.blocks, config.window, config.channels, self._periods,
            config.max_age_ns,
        )  # fmt: skip

    def push(self, stream: int, persons: int, at: Addresses) -> None:
        """As reference.push; a row whose slot is negative changes nothing.

        Args:
            stream: Where to.
            persons: Rows of the batch.
            at: slots, key, value, feature and time_ns are read.
        """
        config = self._config
        self._launch(
            f"window_push_{self._suffix}", (1, persons), stream, *self._state(),
            self._at["arrived"], at["slots"], at["key"], at["value"], at["feature"], at["time_ns"],
            config.blocks, config.window, config.channels, config.feature_channels,
        )  # fmt: skip

    def feature_at(self, stream: int, persons: int, out: int, slots: int, frames_back: int) -> None:
        """As reference.feature_at; a row whose slot is negative reads as zeros."""
        own, config = self._at, self._config
        self._launch(
            "window_feature_at", (1, persons), stream, out, own["features"], own["head"],
            own["fill"], slots, frames_back, config.window, config.feature_channels,
        )  # fmt: skip

    def gather(self, stream: int, persons: int, out: int, slots: int) -> None:
        """As reference.gather, in the type of the ring; for models that see a whole window."""
        own, config = self._at, self._config
        self._launch(
            f"window_gather_{self._suffix}", (1, persons), stream, out, own["features"],
            own["head"], own["fill"], slots, config.window, config.feature_channels,
        )  # fmt: skip

    def reset(self, stream: int, persons: int, slots: int) -> None:
        """As reference.reset; a row whose slot is negative forgets nobody."""
        config = self._config
        self._launch(
            f"window_reset_{self._suffix}", (_LOOK_CHUNKS, persons), stream, *self._state(), slots,
            config.blocks, config.window, config.channels, config.feature_channels,
        )  # fmt: skip

    def _state(self) -> tuple[int, ...]:
        """What push and reset change, in their order."""
        own = self._at
        return tuple(
            own[name] for name in ("keys", "values", "features", "time_ns", "head", "fill")
        )

    def _launch(self, name: str, grid: tuple[int, int], stream: int, *arguments: int) -> None:
        self._driver.launch(self._kernels[name], grid, THREADS, stream, *arguments)
