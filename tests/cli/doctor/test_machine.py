"""Checks of processor, GPU and clock."""

from unittest.mock import Mock

import pytest

from langpose_rt.cli.doctor import machine
from langpose_rt.cli.doctor.machine import (
    check_clock,
    check_gpu,
    check_processor,
    processor_from_cpuinfo,
)
from langpose_rt.errors import ConfigError
from langpose_rt.runtime.gpu_info import Gpu


def test_useful_instructions_are_picked_from_what_linux_says() -> None:
    text = "processor : 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx2 avx512f fma\n\nprocessor : 1"
    assert processor_from_cpuinfo(text) == ("Some CPU", ["avx2", "fma", "avx512f"])
    assert processor_from_cpuinfo("Features\t: fp asimd sve") == ("", ["asimd", "sve"])
    assert processor_from_cpuinfo("") == ("", [])


def test_an_old_processor_is_something_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(machine, "_read", lambda _: "model name : Old\nflags : fma")
    (found,) = check_processor()
    assert found.verdict == "warn"
    assert "langpose-rt bench" in found.advice


@pytest.mark.parametrize(
    ("cuda", "verdict", "words"), [((13, 2), "ok", "CUDA up to 13.2"), ((12, 8), "warn", "12.8")]
)
def test_a_gpu_is_named_with_its_driver_and_an_old_driver_is_told(
    monkeypatch: pytest.MonkeyPatch, cuda: tuple[int, int], verdict: str, words: str
) -> None:
    gpu = Gpu(name="NVIDIA H100", compute_capability="9.0", driver="580.95.05", cuda=cuda)
    monkeypatch.setattr(machine, "probe", lambda: gpu)
    (found,) = check_gpu()
    assert found.verdict == verdict
    assert found.found.startswith("NVIDIA H100 (9.0); driver 580.95.05, CUDA up to ")
    assert words in found.found


@pytest.mark.parametrize(
    ("reason", "verdict"), [("no NVIDIA driver: x", "ok"), ("cuInit gave 802", "warn")]
)
def test_no_gpu_is_no_harm_but_a_broken_driver_is_told(
    monkeypatch: pytest.MonkeyPatch, reason: str, verdict: str
) -> None:
    monkeypatch.setattr(machine, "probe", Mock(side_effect=ConfigError(reason)))
    (found,) = check_gpu()
    assert found.verdict == verdict
    assert found.found == f"none: {reason}; the CPU serves"


def test_the_kernel_is_asked_about_the_clock() -> None:
    (found,) = check_clock()
    assert found.verdict in ("ok", "warn")
    assert found.verdict == "ok" or "timedatectl" in found.advice
