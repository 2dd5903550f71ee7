"""The C++ extension is used only if it is the one that the sources of the checkout describe."""

import importlib
import shutil
import sys
from pathlib import Path

import pytest

from langpose_rt import extension
from langpose_rt.extension import (
    NOT_BUILT,
    OTHER_SOURCES,
    SOURCES,
    sources_digest,
    why_no_extension,
)
from langpose_rt.window.native import HOST_IS_NATIVE

built = pytest.mark.skipif(not HOST_IS_NATIVE, reason="the C++ extension was not built")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SOURCES, tmp_path / "cpp_ext"))


@built
def test_the_extension_of_these_sources_is_loaded() -> None:
    native = importlib.import_module("langpose_rt._native")
    assert (native.SOURCES, why_no_extension()) == (sources_digest(SOURCES), "")


@built
@pytest.mark.parametrize("name", ["host.cpp", "lanes.hpp", "sliding_window.cuh"])
def test_the_extension_of_other_sources_is_not(
    name: str, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extension, "SOURCES", copied)
    assert why_no_extension() == ""
    with (copied / name).open("a") as file:
        file.write("\n")
    assert why_no_extension() == OTHER_SOURCES


@built
def test_an_installed_package_has_no_sources_to_compare_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extension, "SOURCES", tmp_path / "cpp_ext")
    assert why_no_extension() == ""


def test_without_the_extension_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langpose_rt._native", None)
    assert why_no_extension() == NOT_BUILT


def test_a_file_that_is_renamed_or_is_no_source_counts_as_it_should(copied: Path) -> None:
    before = sources_digest(copied)
    (copied / "README.md").write_text("other words")
    assert sources_digest(copied) == before
    (copied / "host.cpp").rename(copied / "hosts.cpp")
    assert sources_digest(copied) != before
