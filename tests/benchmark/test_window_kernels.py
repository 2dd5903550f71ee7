"""Times of the window's kernels, on a device of CPU threads: what is launched, not how fast."""

import ctypes

import numpy as np
import pytest

from langpose_rt.benchmark import window_kernels
from langpose_rt.benchmark.window_kernels import window_times_us
from langpose_rt.config import ModelConfig
from langpose_rt.runtime.cuda.device_window import DeviceWindow
from langpose_rt.window.reference import Stored
from tests.cpp_ext.conftest import on_cpu as on_cpu  # noqa: PLC0414 - a fixture
from tests.runtime.cuda.host_driver import HostDriver

CONFIG = ModelConfig(name="tiny", width=32, heads=2, depth=2, window=4, representation=16)


@pytest.fixture
def driver(on_cpu: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> HostDriver:
    opened = HostDriver(on_cpu)
    monkeypatch.setattr(window_kernels, "open_driver", lambda: opened)
    monkeypatch.setattr(opened, "close", lambda: None)  # its memory is looked at afterwards
    return opened


@pytest.mark.parametrize("stored", [np.float16, np.float32], ids=["half", "float"])
def test_both_kernels_run_for_every_person(
    driver: HostDriver, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows: list[DeviceWindow] = []
    persons: list[tuple[str, int]] = []

    class Watched(DeviceWindow):
        def __init__(self, *arguments: object, **named: object) -> None:
            super().__init__(*arguments, **named)  # type: ignore[arg-type]
            windows.append(self)

        def look(self, stream: int, count: int, at: dict[str, int]) -> None:
            persons.append(("look", count))
            super().look(stream, count, at)

        def push(self, stream: int, count: int, at: dict[str, int]) -> None:
            persons.append(("push", count))
            super().push(stream, count, at)

    monkeypatch.setattr(window_kernels, "DeviceWindow", Watched)
    times = window_times_us(CONFIG, stored, 3, 5, image=b"")
    assert set(times) == {"look_us", "push_us"}
    assert min(times.values()) > 0
    assert persons == [("look", 3)] * 15 + [("push", 3)] * 15
    (window,) = windows
    size = window.layout.size_bytes
    state = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(window.base))
    fill = window.layout.views(state)["fill"]
    assert fill.tolist() == [CONFIG.window] * 3


def test_the_driver_is_closed_when_a_kernel_is_missing(
    driver: HostDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(driver, "close", lambda: closed.append(True))

    def no_kernels(*_: object) -> None:
        raise RuntimeError("no kernels")

    monkeypatch.setattr(driver, "kernels", no_kernels)
    with pytest.raises(RuntimeError, match="no kernels"):
        window_times_us(CONFIG, np.float32, 1, 1, image=b"")
    assert closed == [True]


@pytest.mark.parametrize("persons", [1, 2, 5])
def test_a_batch_may_be_of_any_size(driver: HostDriver, persons: int) -> None:
    times = window_times_us(CONFIG, np.float32, persons, 1, image=b"")
    assert all(np.isfinite(value) for value in times.values())


def test_times_are_those_of_one_launch(driver: HostDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds for the look's launches and twenty for the push's, over ten of each."""
    clock = iter([0.0, 10.0, 10.0, 30.0])
    monkeypatch.setattr(window_kernels.time, "perf_counter", lambda: next(clock))
    times = window_times_us(CONFIG, np.float16, 1, 10, image=b"")
    assert times == pytest.approx({"look_us": 1e6, "push_us": 2e6})
