"""The tests of tests/gpu, on a CUDA driver whose device is CPU threads.

The real cuda.bindings calls it and the real kernels run in it; the network is ONNX Runtime. What is
shown is the life of windows and steps: arguments, addresses, order, recording, padding, release.
Nothing is shown of a GPU.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from langpose_rt.manifest import read_manifest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def test_the_tests_for_a_gpu_pass_on_cpu_threads(model_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("cuda.bindings")
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        pytest.skip("no C++ compiler: g++ (or $CXX) is not on PATH")
    library = tmp_path / "libcuda.so.1"
    command = [compiler, "-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
    command += [
        "-shared",
        "-fPIC",
        "-pthread",
        f"-I{ROOT / 'cpp_ext'}",
        f"-Wl,-soname,{library.name}",
    ]
    command += ["-x", "c++", str(HERE / "driver_on_cpu.cpp"), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    tokens = read_manifest(model_folder).model_config.tokens
    tests = (
        "tests/gpu" if tokens == "frame" else "tests/gpu/test_backend.py"
    )  # the rest is the same
    environment = os.environ | {
        "LD_LIBRARY_PATH": str(tmp_path),
        "LANGPOSE_REQUIRE_GPU": "1",
        "LANGPOSE_TEST_MODEL": str(model_folder),
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", tests, "-m", "gpu", "-q", "-p", "no:cacheprovider"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
