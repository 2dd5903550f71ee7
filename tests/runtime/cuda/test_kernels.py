"""The kernels are compiled once per GPU, compiler and source."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.runtime.cuda import kernels
from langpose_rt.runtime.cuda.kernels import (
    HEADER,
    SIGNATURES,
    SOURCE,
    cubin_from_nvcc,
    cubin_from_nvrtc,
    nvrtc_version,
    source_folder,
    window_kernels,
)

ELF = b"\x7fELF"


def test_nvrtc_compiles_what_nvcc_compiles() -> None:
    if nvrtc_version() is None:
        pytest.skip("NVRTC is not here")
    image = cubin_from_nvrtc(source_folder(), "sm_89")
    assert image.startswith(ELF)
    assert all(name.encode() in image for name in SIGNATURES)


def test_nvcc_gives_every_kernel() -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("nvcc is not on PATH")
    image = cubin_from_nvcc(nvcc, source_folder(), "sm_90")
    assert image.startswith(ELF)
    assert all(name.encode() in image for name in SIGNATURES)


def test_what_was_compiled_is_found_again_and_a_new_source_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []

    def compile_once(folder: Path, architecture: str) -> bytes:
        compiled.append(architecture)
        return (folder / SOURCE).read_bytes()

    sources = tmp_path / "sources"
    sources.mkdir()
    for name in (SOURCE, HEADER):
        (sources / name).write_text("one")
    monkeypatch.setattr(kernels, "source_folder", lambda: sources)
    monkeypatch.setattr(kernels, "_compiler", lambda: ("fake", "1.0", compile_once))
    for capability in ("8.9", "8.9", "12.0"):
        assert window_kernels(capability, tmp_path / "cache") == b"one"
    assert compiled == ["sm_89", "sm_120"]
    (sources / HEADER).write_text("two")
    window_kernels("8.9", tmp_path / "cache")
    monkeypatch.setattr(kernels, "_compiler", lambda: ("fake", "1.1", compile_once))
    window_kernels("8.9", tmp_path / "cache")
    assert compiled[2:] == ["sm_89", "sm_89"]
    assert len(list((tmp_path / "cache").iterdir())) == 4, "a part of a file stayed behind"


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "_compiler", lambda: ("fake", "1", lambda *_: b"image"))
    (tmp_path / "file").touch()
    assert window_kernels("8.9", tmp_path / "file" / "cache") == b"image"


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels.shutil, "which", lambda _: None)
    monkeypatch.setattr(kernels, "nvrtc_version", lambda: None)
    with pytest.raises(ConfigError, match="neither nvcc nor NVRTC is here; pip install"):
        window_kernels("8.9")


def test_a_compiler_that_never_ends_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvcc = tmp_path / "nvcc"
    nvcc.write_text("#!/bin/sh\nexec sleep 60\n")
    nvcc.chmod(0o755)
    monkeypatch.setattr(kernels, "_LONGEST_COMPILE_S", 0.1)
    with pytest.raises(ConfigError, match=r"nvcc took longer than 0.1 s .*; .*--backend onnx"):
        cubin_from_nvcc(str(nvcc), tmp_path, "sm_90")


class FakeNvrtc(SimpleNamespace):
    """NVRTC in which one call fails; counts the programs that were not destroyed."""

    def __init__(self, failing: str) -> None:
        super().__init__(failing=failing, alive=0)

    def _status(self, name: str) -> int:
        return 6 if name == self.failing else 0

    def nvrtcCreateProgram(self, *_: object) -> tuple[int, object]:
        status = self._status("create")
        self.alive += not status
        return status, None if status else "program"

    def nvrtcCompileProgram(self, *_: object) -> tuple[int]:
        return (self._status("compile"),)

    def nvrtcGetProgramLogSize(self, _: object) -> tuple[int, int]:
        return 0, 8

    def nvrtcGetProgramLog(self, *_: object) -> tuple[int]:
        return (0,)

    def nvrtcGetCUBINSize(self, _: object) -> tuple[int, int]:
        return self._status("size"), 4

    def nvrtcGetCUBIN(self, *_: object) -> tuple[int]:
        return (self._status("image"),)

    def nvrtcDestroyProgram(self, _: object) -> tuple[int]:
        self.alive -= 1
        return (0,)


@pytest.mark.parametrize("failing", ["create", "compile", "size", "image", "nothing"])
def test_every_status_of_nvrtc_is_checked_and_every_program_is_destroyed(
    failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvrtc = FakeNvrtc(failing)
    monkeypatch.setitem(sys.modules, "cuda.bindings", SimpleNamespace(nvrtc=nvrtc))
    if failing == "nothing":
        assert cubin_from_nvrtc(source_folder(), "sm_90") == bytes(4)
    else:
        sentence = "NVRTC cannot compile sliding_window.cu for sm_90: 6"
        with pytest.raises(ConfigError, match=sentence):
            cubin_from_nvrtc(source_folder(), "sm_90")
    assert nvrtc.alive == 0


def test_a_source_that_does_not_compile_is_one_sentence(tmp_path: Path) -> None:
    for name in (SOURCE, HEADER):
        (tmp_path / name).write_text("this is no C++;")
    nvcc = shutil.which("nvcc")
    if nvcc is not None:
        with pytest.raises(ConfigError, match="nvcc cannot compile"):
            cubin_from_nvcc(nvcc, tmp_path, "sm_90")
    if nvrtc_version() is not None:
        with pytest.raises(ConfigError, match=r"NVRTC cannot compile .* sm_90: .*error"):
            cubin_from_nvrtc(tmp_path, "sm_90")
    if nvcc is None and nvrtc_version() is None:
        pytest.skip("neither nvcc nor NVRTC is here")
