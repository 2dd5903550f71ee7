"""What a build puts into the wheel and the source archive, with and without a compiler."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CUDA = ("sliding_window.cu", "sliding_window.cuh")
EXTENSION = f"langpose_rt/_native{sysconfig.get_config_var('EXT_SUFFIX')}"
NOT_PACKAGED = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of what is built, beside folders that must stay out of a wheel."""
    (tmp_path / "without_nanobind").mkdir()
    (tmp_path / "without_nanobind" / "nanobind.py").write_text("raise ImportError\n")
    for name in ("langpose_rt", "cpp_ext"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=NOT_PACKAGED)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("training", "tests", "engines"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    return tmp_path


def build(source: Path, what: str, **environment: str) -> Path:
    """Build as pip does, in this environment and without a network."""
    script = f"from setuptools import build_meta; print(build_meta.build_{what}('out'))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], cwd=source, capture_output=True, text=True,
        check=False, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return source / "out" / done.stdout.splitlines()[-1]


def package_files(source: Path) -> set[str]:
    paths = (path for path in (source / "langpose_rt").rglob("*") if path.is_file())
    return {path.relative_to(source).as_posix() for path in paths}


@pytest.mark.parametrize(
    "environment",
    [
        {"LANGPOSE_NO_EXT": "1"},
        {"CC": "no-compiler", "CXX": "no-compiler"},
        {"PYTHONPATH": "without_nanobind"},
    ],
    ids=["extension forbidden", "no compiler", "no nanobind"],
)
def test_a_wheel_without_the_extension_holds_the_whole_package_and_nothing_else(
    source: Path, environment: dict[str, str]
) -> None:
    expected = package_files(source) | {f"langpose_rt/window/cuda/{name}" for name in CUDA}
    with zipfile.ZipFile(build(source, "wheel", **environment)) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        assert names == expected
        for name in CUDA:
            packed = wheel.read(f"langpose_rt/window/cuda/{name}")
            assert packed == (ROOT / "cpp_ext" / name).read_bytes()


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler: g++ is not on PATH")
def test_a_wheel_built_with_a_compiler_holds_the_extension(source: Path) -> None:
    with zipfile.ZipFile(build(source, "wheel", LANGPOSE_NO_EXT="")) as wheel:
        assert EXTENSION in wheel.namelist()


def test_the_source_archive_holds_what_a_build_needs(source: Path) -> None:
    expected = package_files(source) | {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "cpp_ext").iterdir() if path.is_file()
    }
    with tarfile.open(build(source, "sdist")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert expected | {"setup.py", "pyproject.toml", "LICENSE"} <= names
