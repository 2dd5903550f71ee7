"""The CUDA source compiled by the C++ compiler: its arithmetic and kernels run without a GPU."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CPP_EXT = HERE.parent.parent / "cpp_ext"


@pytest.fixture(scope="session")
def on_cpu(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """kernels_on_cpu.cpp as a library."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        pytest.skip("no C++ compiler: g++ (or $CXX) is not on PATH")
    library = tmp_path_factory.mktemp("cpp_ext") / "kernels_on_cpu.so"
    command = [compiler, "-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
    command += ["-shared", "-fPIC", "-pthread", f"-I{CPP_EXT}"]
    command += ["-x", "c++", str(HERE / "kernels_on_cpu.cpp"), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))
