"""Sliding window on the device: launches the kernels of `langpose_rt.window.reference`.

The rings stay on the device at fixed addresses. Inputs and outputs are on the device too, at
addresses the caller provides; the methods only enqueue kernels. The caller checks the slots on the
host.
"""

import numpy as np

from langpose_rt.config import ModelConfig
from langpose_rt.runtime.cuda.driver import Driver, Kernel
from langpose_rt.runtime.cuda.memory_layout import Layout
from langpose_rt.window.reference import Stored
from langpose_rt.window.rotary import rotary_periods_ns

THREADS = 256
"""Threads of a thread block, as in sliding_window.cu."""

_LOOK_CHUNKS = 8
"""Thread blocks per person when the whole ring is copied; pushing one frame takes one block."""

Addresses = dict[str, int]


class DeviceWindow:
    """Rings of all slots in device memory.

    Args:
        driver: Driver; its context is entered, here and in every call.
        kernels: Kernels of `langpose_rt.runtime.cuda.kernels.SIGNATURES`.
        config: Config of the model.
        slots: Number of slots, one per person.
        stored: Type of keys and values.

    Attributes:
        layout: Layout of the state, named as in `langpose_rt.window.reference.Window`.
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
        periods_ns = rotary_periods_ns(config.rotary_pairs)
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
        """Read ring, mask and rotary phases of every person of a batch into the step's inputs.

        Args:
            stream: Stream of the launch.
            persons: Rows of the batch; a row with a negative slot is masked and zero.
            at: Addresses: reads slots and time_ns; writes ring_keys, ring_values, bias, cos, sin.
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
        """Push new frames, see reference.push; a row with a negative slot changes nothing.

        Args:
            stream: Stream of the launch.
            persons: Rows of the batch.
            at: Addresses: reads slots, key, value, feature and time_ns.
        """
        config = self._config
        self._launch(
            f"window_push_{self._suffix}", (1, persons), stream, *self._state(),
            at["slots"], at["key"], at["value"], at["feature"], at["time_ns"],
            config.blocks, config.window, config.channels, config.feature_channels,
        )  # fmt: skip

    def feature_at(self, stream: int, persons: int, out: int, slots: int, frames_back: int) -> None:
        """Read features, see reference.feature_at; a row with a negative slot reads as zeros."""
        own, config = self._at, self._config
        self._launch(
            "window_feature_at", (1, persons), stream, out, own["features"], own["head"],
            own["fill"], slots, frames_back, config.window, config.feature_channels,
        )  # fmt: skip

    def reset(self, stream: int, persons: int, slots: int) -> None:
        """Reset slots, see reference.reset; a row with a negative slot changes nothing."""
        config = self._config
        self._launch(
            f"window_reset_{self._suffix}", (_LOOK_CHUNKS, persons), stream, *self._state(), slots,
            config.blocks, config.window, config.channels, config.feature_channels,
        )  # fmt: skip

    def _state(self) -> tuple[int, ...]:
        """Return the addresses that push and reset change, in the order of their arguments."""
        own = self._at
        return tuple(
            own[name] for name in ("keys", "values", "features", "time_ns", "head", "fill")
        )

    def _launch(self, name: str, grid: tuple[int, int], stream: int, *arguments: int) -> None:
        self._driver.launch(self._kernels[name], grid, THREADS, stream, *arguments)
