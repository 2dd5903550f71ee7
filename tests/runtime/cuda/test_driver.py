"""Every driver satisfies the protocol, and a kernel is a value."""

import importlib.util
import inspect

import pytest

from langpose_rt.runtime.cuda.driver import Driver, Kernel
from tests.runtime.cuda.host_driver import HostDriver

METHODS = sorted(name for name in vars(Driver) if not name.startswith("_") and name != "name")


def implementation(name: str) -> type:
    if name == "host":
        return HostDriver
    if name == "bindings":
        pytest.importorskip("cuda.bindings")
        from langpose_rt.runtime.cuda.cuda_bindings import BindingsDriver

        return BindingsDriver
    if importlib.util.find_spec("pycuda") is None:
        pytest.skip("PyCUDA is not installed; test_pycuda.py checks it over a fake")
    from langpose_rt.runtime.cuda.pycuda import PyCudaDriver

    return PyCudaDriver


@pytest.mark.parametrize("name", ["host", "bindings", "pycuda"])
def test_every_driver_has_the_methods_of_the_protocol_with_its_parameters(name: str) -> None:
    driver = implementation(name)
    assert isinstance(driver.name, str)
    for method in METHODS:
        own = inspect.signature(getattr(driver, method)).parameters
        expected = inspect.signature(getattr(Driver, method)).parameters
        assert list(own) == list(expected), method
        assert [own[key].kind for key in own] == [expected[key].kind for key in expected], method


def test_an_opened_driver_is_one_at_run_time_too() -> None:
    assert isinstance(HostDriver(), Driver)
    assert not isinstance(object(), Driver)


def test_the_methods_of_the_protocol_are_those_the_backend_uses() -> None:
    assert (
        sorted(
            "entered kernels stream device_memory pinned_memory launch upload download synchronize "
            "close".split()
        )
        == METHODS
    )


def test_kernels_with_the_same_handle_and_signature_are_equal_and_cannot_change() -> None:
    kernel = Kernel(7, "Pi")
    assert kernel == Kernel(7, "Pi") != Kernel(7, "Pq")
    with pytest.raises(AttributeError):
        kernel.signature = "P"  # type: ignore[misc]
