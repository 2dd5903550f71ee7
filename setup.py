"""Builds what pyproject.toml cannot describe: the optional C++ extension and the CUDA package data.

The package is complete without the extension: where there is no compiler, building it fails with a
warning and langpose_rt.window.native uses NumPy. LANGPOSE_NO_EXT=1 does not try.
"""

import os
import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

CUDA_SOURCES = ("sliding_window.cu", "sliding_window.cuh")


class BuildWithCudaSources(build_py):
    """Puts the CUDA sources into the wheel, where run-time compilation finds them."""

    def run(self) -> None:
        """Copy them beside the Python modules; a checkout reads them from cpp_ext instead."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "langpose_rt", "window", "cuda")
        target.mkdir(parents=True, exist_ok=True)
        for name in CUDA_SOURCES:
            shutil.copyfile(Path("cpp_ext", name), target / name)


def extensions() -> list[Extension]:
    """The C++ twin of the sliding window, or nothing if the environment forbids it."""
    if os.environ.get("LANGPOSE_NO_EXT", "0") not in ("", "0"):
        return []
    windows = sys.platform == "win32"
    return [
        Extension(
            "langpose_rt._sliding_window",
            sources=["cpp_ext/host.cpp"],
            depends=["cpp_ext/arrays.hpp", "cpp_ext/sliding_window.cuh"],
            language="c++",
            extra_compile_args=["/std:c++17", "/O2"] if windows else ["-std=c++17", "-O3"],
            optional=True,
        )
    ]


setup(ext_modules=extensions(), cmdclass={"build_py": BuildWithCudaSources})
