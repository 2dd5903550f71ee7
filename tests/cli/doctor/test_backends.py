"""Check of the backends: loadable, missing and crashing libraries."""

from pathlib import Path

import pytest

from langpose_rt.cli.doctor import backends
from langpose_rt.cli.doctor.backends import _default, _imported, _native, _optional
from langpose_rt.runtime import native


def test_the_default_backend_loads_here() -> None:
    assert _default().verdict == "ok"


def test_the_native_step_says_its_instruction_set_or_how_to_build_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(native, "instruction_sets", lambda: ("AVX2", "plain"))
    assert _native().found == "compiled C++, the step uses AVX2"
    monkeypatch.setattr(native, "instruction_sets", lambda: ())
    missing = _native()
    assert (missing.verdict, "was not built" in missing.found) == ("warn", True)
    assert "g++" in missing.advice


def test_a_library_that_dies_or_complains_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dies.py").write_text("import os; os.kill(os.getpid(), 11)")
    (tmp_path / "complains.py").write_text("raise OSError('libcudart.so.13: not found')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert _imported("dies") == ("", "dies does not load: its process ended with -11")
    assert _imported("complains")[1].endswith("OSError: libcudart.so.13: not found")


def test_an_optional_backend_may_be_missing_and_a_broken_one_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _optional("no_such_module", "gpu").verdict == "ok"
    monkeypatch.setattr(backends, "_imported", lambda _: ("", "json does not load: x"))
    broken = _optional("json", "gpu")
    assert (broken.verdict, broken.advice) == ("warn", 'pip install ".[gpu]"')


def test_what_needs_a_driver_says_that_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "_imported", lambda _: ("1.7", ""))
    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(backends, "no_gpu_reason", lambda: "no NVIDIA driver")
    found = _optional("tensorrt_rtx", "rtx").found
    assert found == "1.7 loads, but cannot run: no NVIDIA driver"
