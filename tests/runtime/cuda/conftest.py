"""A device of CPU threads, and programs on it."""

import ctypes
from collections.abc import Iterator

import pytest

from langpose_rt.runtime.cuda.device_window import DeviceWindow
from langpose_rt.runtime.cuda.kernels import SIGNATURES
from langpose_rt.runtime.cuda.step_programs import DeviceContext
from tests.cpp_ext.conftest import on_cpu as on_cpu  # noqa: PLC0414 - a fixture
from tests.runtime.cuda.host_driver import HostDriver
from tests.runtime.cuda.host_sum import CONFIG, SumNetwork

SLOTS = 6


@pytest.fixture
def driver(on_cpu: ctypes.CDLL) -> Iterator[HostDriver]:
    """Its context is entered."""
    opened = HostDriver(on_cpu)
    with opened.entered():
        yield opened


@pytest.fixture
def network(driver: HostDriver) -> SumNetwork:
    return SumNetwork(driver)


@pytest.fixture
def place(driver: HostDriver, network: SumNetwork) -> DeviceContext:
    """A window of SLOTS persons, and where its programs work."""
    kernels = driver.kernels(b"", SIGNATURES)
    window = DeviceWindow(driver, kernels, CONFIG, SLOTS, stored=network.stored)
    return DeviceContext(
        driver=driver, stream=driver.stream(), window=window, network=network, config=CONFIG
    )
