"""The window as launches: arguments in the order of the kernels, and the life of the definition.

The kernels run on CPU threads; tests/gpu/test_window.py says the same of a device.
"""

import ctypes

import numpy as np
import pytest

from langpose_rt.config import ModelConfig
from langpose_rt.runtime.cuda.device_window import DeviceWindow
from langpose_rt.runtime.cuda.kernels import SIGNATURES
from langpose_rt.runtime.cuda.memory_layout import Layout
from langpose_rt.window import reference
from langpose_rt.window.reference import MASKED, Window
from langpose_rt.window.rotary import rotary_periods_ns, rotary_table
from tests.runtime.cuda.host_driver import HostDriver
from tests.window.walk import Sizes, Step, assert_same_state, walk

CONFIG = ModelConfig(width=16, heads=2, depth=2, window=4, max_age_s=0.05, representation=8)
SLOTS = 5
SIZES = Sizes(
    slots=SLOTS, blocks=CONFIG.blocks, frames=CONFIG.window, channels=CONFIG.channels,
    feature_channels=CONFIG.feature_channels,
)  # fmt: skip
STORED = pytest.mark.parametrize("stored", [np.float32, np.float16])


class OnHost:
    """A device window and its memory, read and written from here."""

    def __init__(self, driver: HostDriver, stored: type) -> None:
        kernels = driver.kernels(b"", SIGNATURES)
        self.driver, self.stored = driver, stored
        self.window = DeviceWindow(driver, kernels, CONFIG, SLOTS, stored=stored)
        self.stream = driver.stream()

    def put(self, **arrays: np.ndarray) -> dict[str, int]:
        layout = Layout({name: (a.shape, a.dtype.name) for name, a in arrays.items()})
        base = self.driver.device_memory(layout.size_bytes)
        for name, view in layout.views(self.driver.bytes_at(base, layout.size_bytes)).items():
            view[...] = arrays[name]
        return layout.addresses(base)

    def out(self, shape: tuple[int, ...], dtype: str = "float32") -> tuple[int, np.ndarray]:
        size_bytes = max(int(np.prod(shape)) * np.dtype(dtype).itemsize, 1)
        address = self.driver.device_memory(size_bytes)
        array = self.driver.array_at(address, shape, dtype)
        array[...] = 7
        return address, array

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        layout = self.window.layout
        return layout.views(self.driver.bytes_at(self.window.base, layout.size_bytes))

    @property
    def state(self) -> Window:
        arrays = self.arrays
        return Window(**{k: v for k, v in arrays.items() if k != "periods_ns"})

    def push(self, step: Step, slots: np.ndarray | None = None) -> None:
        at = self.put(
            slots=step.slots if slots is None else slots, key=step.keys, value=step.values,
            feature=step.features, time_ns=step.time_ns,
        )  # fmt: skip
        self.window.push(self.stream, len(step.slots), at)

    def look(self, slots: np.ndarray, now_ns: np.ndarray) -> dict[str, np.ndarray]:
        count, kind = len(slots), np.dtype(self.stored).name
        ring = (count, CONFIG.blocks, CONFIG.window, CONFIG.channels)
        half = (count, CONFIG.width // CONFIG.heads // 2)
        outs = {
            "ring_keys": self.out(ring, kind), "ring_values": self.out(ring, kind),
            "bias": self.out((count, CONFIG.window)), "cos": self.out(half), "sin": self.out(half),
        }  # fmt: skip
        at = self.put(slots=slots, time_ns=now_ns)
        at |= {name: address for name, (address, _) in outs.items()}
        self.window.look(self.stream, count, at)
        return {name: array for name, (_, array) in outs.items()}


def steps(count: int, seed: int = 0) -> list[Step]:
    return [step for step in walk(SIZES, steps=3 * count, seed=seed) if step.slots.size][:count]


def parts(step: Step) -> tuple[np.ndarray, ...]:
    return step.keys, step.values, step.features, step.time_ns


@STORED
def test_a_new_window_remembers_nobody_and_knows_the_rotary_periods(
    driver: HostDriver, stored: type
) -> None:
    device = OnHost(driver, stored)
    assert_same_state(device.state, SIZES.empty(stored))
    np.testing.assert_array_equal(device.arrays["periods_ns"], rotary_periods_ns(4))
    assert device.state.keys.dtype == stored
    assert device.state.features.dtype == np.float32


@STORED
def test_pushes_and_resets_are_those_of_the_definition(driver: HostDriver, stored: type) -> None:
    device, window = OnHost(driver, stored), SIZES.empty(stored)
    for step in walk(SIZES, steps=14, seed=4):
        if step.leaving.size:
            slots = device.put(slots=step.leaving)["slots"]
            device.window.reset(device.stream, step.leaving.size, slots)
            reference.reset(window, step.leaving)
        if step.slots.size:
            device.push(step)
            reference.push(window, step.slots, *parts(step))
        assert_same_state(device.state, window)


@STORED
def test_a_look_is_the_ring_the_mask_and_the_phases_of_now(
    driver: HostDriver, stored: type
) -> None:
    device, window = OnHost(driver, stored), SIZES.empty(stored)
    for step in steps(8, seed=2):
        device.push(step)
        reference.push(window, step.slots, *parts(step))
        now_ns = step.time_ns + 30_000_000
        seen = device.look(step.slots, now_ns)
        np.testing.assert_array_equal(seen["ring_keys"], window.keys[step.slots])
        np.testing.assert_array_equal(seen["ring_values"], window.values[step.slots])
        np.testing.assert_array_equal(
            seen["bias"], reference.key_bias(window, step.slots, now_ns, CONFIG.max_age_ns)
        )
        for mine, expected in zip(
            (seen["cos"], seen["sin"]), rotary_table(now_ns, rotary_periods_ns(4)), strict=True
        ):
            np.testing.assert_allclose(mine, expected, atol=1e-6)


@STORED
def test_features_are_found_again_by_how_many_frames_back(driver: HostDriver, stored: type) -> None:
    device, window = OnHost(driver, stored), SIZES.empty(stored)
    for step in steps(9, seed=5):
        device.push(step)
        reference.push(window, step.slots, *parts(step))
    here = np.flatnonzero(window.fill).astype(np.int32)
    for back in range(int(window.fill[here].min())):
        backs = np.full(here.size, back, np.int32)
        at = device.put(slots=here, back=backs)
        address, found = device.out((here.size, CONFIG.feature_channels))
        device.window.feature_at(device.stream, here.size, address, at["slots"], at["back"])
        np.testing.assert_array_equal(found, reference.feature_at(window, here, backs))


def test_a_padded_row_changes_nothing_and_reads_as_nothing(driver: HostDriver) -> None:
    device = OnHost(driver, np.float32)
    step = next(step for step in steps(9) if step.slots.size > 2)
    padded = step.slots.copy()
    padded[1:] = -1
    device.push(step, padded)
    window = SIZES.empty()
    reference.push(window, padded[:1], *(part[:1] for part in parts(step)))
    assert_same_state(device.state, window)
    seen = device.look(padded, step.time_ns)
    assert (seen["bias"][1:] == MASKED).all()
    assert not seen["ring_keys"][1:].any()
    assert not seen["ring_values"][1:].any()
    device.window.reset(device.stream, len(padded), device.put(slots=padded)["slots"])
    assert_same_state(device.state, SIZES.empty())


def test_everything_goes_to_the_stream_that_was_given(on_cpu: ctypes.CDLL) -> None:
    driver = HostDriver(on_cpu)
    with driver.entered():
        device = OnHost(driver, np.float16)
        assert driver.log == ["upload", "synchronize"], "the periods are there before a step"
        step = steps(1)[0]
        device.push(step)
        device.look(step.slots, step.time_ns)
        assert driver.log[2:] == ["window_push_half", "window_look_half"]
        with pytest.raises(AssertionError, match="default stream"):
            device.window.reset(0, 1, device.put(slots=step.slots)["slots"])
