"""Which TensorRT is taken, and what is said where it is not there."""

import sys
from types import ModuleType

import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.runtime import tensorrt_flavor as module
from langpose_rt.runtime.gpu_info import Gpu
from langpose_rt.runtime.tensorrt_flavor import FLAVORS, import_tensorrt, select_flavor

GPU = Gpu(name="H100", compute_capability="9.0", driver="580.65", cuda=(13, 0))


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: object() if name in names else None)


def test_auto_is_tensorrt_beside_a_gpu_and_rtx_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "tensorrt", "tensorrt_rtx")
    assert select_flavor("auto", GPU).name == "tensorrt"
    assert select_flavor("auto", None).name == "rtx"
    installed(monkeypatch, "tensorrt_rtx")
    assert select_flavor("auto", GPU).name == "rtx"


def test_what_is_missing_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    with pytest.raises(ConfigError, match="neither TensorRT nor TensorRT-RTX is installed"):
        select_flavor("auto", GPU)
    with pytest.raises(ConfigError, match=r"TensorRT is not installed; pip .*\.\[gpu\]"):
        select_flavor("tensorrt", GPU)
    with pytest.raises(ConfigError, match="unknown flavor 'cuda'; expected auto, tensorrt, rtx"):
        select_flavor("cuda", GPU)


def test_an_architecture_it_has_no_engines_for_is_refused() -> None:
    FLAVORS["rtx"].check_capability("8.9")
    FLAVORS["tensorrt"].check_capability("9.0")
    with pytest.raises(ConfigError, match=r"no engines for compute capability 9\.0, .*--flavor t"):
        FLAVORS["rtx"].check_capability("9.0")
    with pytest.raises(ConfigError, match=r"capability 7\.0, only for 7\.5 or newer"):
        FLAVORS["tensorrt"].check_capability("7.0")


def test_a_module_that_is_too_old_or_broken_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = ModuleType("tensorrt")
    old.__version__ = "8.6.1"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", old)
    with pytest.raises(ConfigError, match=r"TensorRT 8\.6\.1 is too old; expected 10\.12 or new"):
        import_tensorrt(FLAVORS["tensorrt"])
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(ConfigError, match="TensorRT cannot be imported: "):
        import_tensorrt(FLAVORS["tensorrt"])


def test_the_architectures_of_rtx_are_those_it_names_itself() -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx has no wheel here")
    names = import_tensorrt(FLAVORS["rtx"]).ComputeCapability.__members__
    own = {"SM" + own.replace(".", "") for own in FLAVORS["rtx"].capabilities or ()}
    assert own == {name for name in names if name.startswith("SM")}
