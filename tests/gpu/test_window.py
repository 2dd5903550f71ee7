"""The window on a device lives as the NumPy definition does: state bit for bit, values to 1e-6."""

from dataclasses import dataclass

import numpy as np
import pytest

from langpose_rt.config import ModelConfig
from langpose_rt.runtime.cuda.device_window import DeviceWindow
from langpose_rt.runtime.cuda.driver import Driver
from langpose_rt.runtime.cuda.kernels import SIGNATURES
from langpose_rt.runtime.cuda.memory_layout import Layout
from langpose_rt.window import native as host
from langpose_rt.window import reference
from langpose_rt.window.reference import Window
from langpose_rt.window.rotary import rotary_periods_ns, rotary_table
from tests.window.walk import Sizes, Step, assert_same_state, walk

pytestmark = pytest.mark.gpu

CONFIGS = {
    "frame": ModelConfig(width=32, heads=2, depth=2, window=6, max_age_s=0.05, representation=16),
    "joint": ModelConfig(
        tokens="joint", streams=2, width=16, heads=2, depth=1, window=5, max_age_s=0.05,
        representation=4,
    ),
}  # fmt: skip
SLOTS = 6


@dataclass
class Device:
    """A device window, and memory for whatever is given to it and read from it."""

    driver: Driver
    window: DeviceWindow
    config: ModelConfig
    stream: int

    def move(self, layout: Layout, base: int, **arrays: np.ndarray) -> dict[str, int]:
        pinned = self.driver.pinned_memory(layout.size_bytes)
        for name, view in layout.views(pinned).items():
            view[:] = arrays[name]
        self.driver.upload(base, pinned, self.stream)
        self.driver.synchronize(self.stream)
        return layout.addresses(base)

    def put(self, **arrays: np.ndarray) -> dict[str, int]:
        layout = Layout({name: (a.shape, a.dtype.name) for name, a in arrays.items()})
        return self.move(layout, self.driver.device_memory(layout.size_bytes), **arrays)

    def read(self, layout: Layout, base: int) -> dict[str, np.ndarray]:
        pinned = self.driver.pinned_memory(layout.size_bytes)
        self.driver.download(pinned, base, self.stream)
        self.driver.synchronize(self.stream)
        return {name: view.copy() for name, view in layout.views(pinned).items()}

    def state(self) -> Window:
        arrays = self.read(self.window.layout, self.window.base)
        del arrays["periods_ns"]
        return Window(**arrays)

    def push(self, step: Step, slots: np.ndarray) -> None:
        at = self.put(
            slots=slots, key=step.keys, value=step.values, feature=step.features,
            time_ns=step.time_ns,
        )  # fmt: skip
        self.window.push(self.stream, len(slots), at)

    def reset(self, slots: np.ndarray) -> None:
        self.window.reset(self.stream, len(slots), self.put(slots=slots)["slots"])

    def look(self, slots: np.ndarray, now_ns: np.ndarray, stored: type) -> dict[str, np.ndarray]:
        config, count = self.config, len(slots)
        ring = (count, config.blocks, config.window, config.channels)
        half = config.rotary_pairs
        out = Layout(
            {
                "ring_keys": (ring, np.dtype(stored).name),
                "ring_values": (ring, np.dtype(stored).name),
                "bias": ((count, config.window), "float32"),
                "cos": ((count, half), "float32"),
                "sin": ((count, half), "float32"),
            }
        )
        base = self.driver.device_memory(out.size_bytes)
        at = out.addresses(base) | self.put(slots=slots, time_ns=now_ns)
        self.window.look(self.stream, count, at)
        return self.read(out, base)

    def feature_at(self, slots: np.ndarray, back: np.ndarray) -> np.ndarray:
        out = Layout({"out": ((len(slots), self.config.feature_channels), "float32")})
        base = self.driver.device_memory(out.size_bytes)
        at = self.put(slots=slots, back=back)
        self.window.feature_at(self.stream, len(slots), base, at["slots"], at["back"])
        return self.read(out, base)["out"]


def device_window(driver: Driver, image: bytes, config: ModelConfig, stored: type) -> Device:
    kernels = driver.kernels(image, SIGNATURES)
    window = DeviceWindow(driver, kernels, config, SLOTS, stored=stored)
    return Device(driver, window, config, driver.stream())


@pytest.mark.parametrize("stored", [np.float32, np.float16])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_it_lives_through_a_walk_as_the_definition_and_the_cpp_twin_do(
    driver: Driver, image: bytes, config: ModelConfig, stored: type
) -> None:
    sizes = Sizes(
        slots=SLOTS, blocks=config.blocks, frames=config.window, channels=config.channels,
        feature_channels=config.feature_channels,
    )  # fmt: skip
    window, twin = sizes.empty(stored), sizes.empty(stored)
    periods_ns = rotary_periods_ns(config.rotary_pairs)
    random = np.random.default_rng(0)
    with driver.entered():
        device = device_window(driver, image, config, stored)
        for step in walk(sizes, steps=9, seed=3):
            for mine in (window, twin):
                (reference if mine is window else host).reset(mine, step.leaving)
            if step.leaving.size:
                device.reset(step.leaving)
            if not step.slots.size:
                continue
            now_ns = step.time_ns + random.integers(0, 40_000_000, step.slots.size)
            seen = device.look(step.slots, now_ns, stored)
            np.testing.assert_array_equal(seen["ring_keys"], window.keys[step.slots])
            np.testing.assert_array_equal(seen["ring_values"], window.values[step.slots])
            np.testing.assert_array_equal(
                seen["bias"],
                reference.key_bias(window, step.slots, now_ns, config.max_age_ns),
            )
            for mine, expected in zip(
                (seen["cos"], seen["sin"]), rotary_table(now_ns, periods_ns), strict=True
            ):
                np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-6)
            arrays = (step.keys, step.values, step.features, step.time_ns)
            device.push(step, step.slots)
            reference.push(window, step.slots, *arrays)
            host.push(twin, step.slots, *arrays)
            assert_same_state(device.state(), window)
            assert_same_state(twin, window)
            back = random.integers(0, window.fill[step.slots], dtype=np.int32)
            np.testing.assert_array_equal(
                device.feature_at(step.slots, back),
                reference.feature_at(window, step.slots, back),
            )


def test_a_padded_row_changes_no_ring_and_reads_as_nothing(driver: Driver, image: bytes) -> None:
    config = CONFIGS["frame"]
    sizes = Sizes(
        slots=SLOTS, blocks=config.blocks, frames=config.window, channels=config.channels,
        feature_channels=config.feature_channels,
    )  # fmt: skip
    step = next(step for step in walk(sizes, steps=20, seed=0) if step.slots.size > 2)
    padded = step.slots.copy()
    padded[1:] = -1
    with driver.entered():
        device = device_window(driver, image, config, np.float16)
        device.push(step, padded)
        window = sizes.empty(np.float16)
        parts = (step.keys, step.values, step.features, step.time_ns)
        reference.push(window, padded[:1], *(part[:1] for part in parts))
        assert_same_state(device.state(), window)
        seen = device.look(padded, step.time_ns, np.float16)
        assert (seen["bias"][1:] == reference.MASKED).all()
        assert not seen["ring_keys"][1:].any()
        assert not seen["ring_values"][1:].any()
        device.reset(padded)
        assert_same_state(device.state(), sizes.empty(np.float16))
