"""Time of the window's kernels on a GPU; `device_bench.window_bytes` counts what they move."""

import time
from collections.abc import Callable

import numpy as np

from langpose_rt.config import ModelConfig
from langpose_rt.runtime.cuda.device_window import DeviceWindow
from langpose_rt.runtime.cuda.driver import Driver
from langpose_rt.runtime.cuda.driver_registry import open_driver
from langpose_rt.runtime.cuda.kernels import SIGNATURES
from langpose_rt.runtime.cuda.memory_layout import Layout
from langpose_rt.window.reference import Stored

_WARM_UP = 10


def window_times_us(
    config: ModelConfig, stored: Stored, persons: int, repeats: int, *, image: bytes
) -> dict[str, float]:
    """Return the time of one look and one push of all persons, launches included.

    Launches are enqueued without a pause, so for many persons the kernel is what takes time and for
    one it is the launch.

    Args:
        config: Config of the model.
        stored: Type of keys and values.
        persons: Rows of the batch, each with its own ring.
        repeats: Timed launches of each kernel.
        image: Kernels of `langpose_rt.runtime.cuda.kernels.window_kernels`.

    Returns:
        ``look_us`` and ``push_us``.

    Raises:
        ConfigError: If there is no GPU.
        BackendError: If the device reports an error.
    """
    driver = open_driver()
    try:
        with driver.entered():
            kernels = driver.kernels(image, SIGNATURES)
            window = DeviceWindow(driver, kernels, config, persons, stored=stored)
            stream = driver.stream()
            at = _inputs(driver, stream, config, stored, persons)
            works = {"look_us": window.look, "push_us": window.push}
            return {
                name: _time_us(lambda work=work: work(stream, persons, at), driver, stream, repeats)  # type: ignore[misc]  # bound now
                for name, work in works.items()
            }
    finally:
        driver.close()


def _inputs(
    driver: Driver, stream: int, config: ModelConfig, stored: Stored, persons: int
) -> dict[str, int]:
    """Return addresses of a step's arrays: every person has a slot and the time is 0."""
    ring, newest = (config.blocks, config.window, config.channels), (config.blocks, config.channels)
    kind = np.dtype(stored).name
    shapes = {
        "slots": ((persons,), "int32"),
        "time_ns": ((persons,), "int64"),
        "ring_keys": ((persons, *ring), kind),
        "ring_values": ((persons, *ring), kind),
        "bias": ((persons, config.window), "float32"),
        "cos": ((persons, config.rotary_pairs), "float32"),
        "sin": ((persons, config.rotary_pairs), "float32"),
        "key": ((persons, *newest), "float32"),
        "value": ((persons, *newest), "float32"),
        "feature": ((persons, config.feature_channels), "float32"),
    }
    at = Layout(shapes)
    addresses = at.addresses(driver.device_memory(at.size_bytes))
    for name, (shape, dtype) in shapes.items():
        if not name.startswith("ring_"):  # the look writes those
            first = np.arange(persons) if name == "slots" else np.zeros(shape)
            pinned = driver.pinned_memory(max(first.astype(dtype).nbytes, 1))
            pinned[:] = first.astype(dtype).reshape(-1).view(np.uint8)
            driver.upload(addresses[name], pinned, stream)
    driver.synchronize(stream)
    return addresses


def _time_us(work: Callable[[], None], driver: Driver, stream: int, repeats: int) -> float:
    for _ in range(_WARM_UP):
        work()
    driver.synchronize(stream)
    start_s = time.perf_counter()
    for _ in range(repeats):
        work()
    driver.synchronize(stream)
    return 1e6 * (time.perf_counter() - start_s) / repeats
