"""Which library speaks to the driver, and what is said where none can."""

import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.runtime.cuda import driver_registry
from langpose_rt.runtime.cuda.driver_registry import open_driver
from langpose_rt.runtime.gpu_info import no_gpu_reason


def test_without_a_driver_it_is_one_sentence() -> None:
    pytest.importorskip("cuda.bindings")
    if no_gpu_reason() is None:
        pytest.skip("there is a driver here")
    with pytest.raises(ConfigError, match="the GPU cannot be used: no NVIDIA driver: "):
        open_driver("bindings")


def test_without_a_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_registry, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="pip install cuda-bindings, or choose --backend onnx"):
        open_driver()
    with pytest.raises(ConfigError, match="pycuda is not installed"):
        open_driver("pycuda")


def test_a_library_that_cannot_be_imported_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver_registry, "find_spec", lambda _: object())
    if driver_registry.DRIVERS[0] == "pycuda":
        monkeypatch.setitem(__import__("sys").modules, "pycuda", None)
    with pytest.raises(ConfigError, match="pycuda cannot be imported: "):
        open_driver()
