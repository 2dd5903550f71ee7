"""The kernels are compiled once per GPU, compiler and source."""

import shutil
from pathlib import Path

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
