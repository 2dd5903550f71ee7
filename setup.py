"""Builds what pyproject.toml cannot describe: the optional C++ extension and the CUDA package data.

The package is complete without the extension: where there is no compiler, building it fails with a
warning, langpose_rt.window.native uses NumPy and ONNX Runtime computes the step. LANGPOSE_NO_EXT=1
does not try.
"""

import os
import platform
import runpy
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

CUDA_SOURCES = ("sliding_window.cu", "sliding_window.cuh")

STEP_FLAGS = ["-O3", "-ffp-contract=off"]
"""Of the step: which products and sums become one instruction is not left to a compiler."""

X86_FLAGS = {
    "frame_step_avx2.cpp": ["-mavx2", "-mfma", "-mf16c"],
    "frame_step_avx512.cpp": ["-mavx512f", "-mavx2", "-mfma", "-mf16c", "-Wno-maybe-uninitialized"],
}
"""What one file may use and the rest of the extension must not; the processor is asked later."""


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


class BuildForInstructionSets(build_ext):
    """Gives every file of the step the flags of its instruction set."""

    def build_extensions(self) -> None:
        """Build as usual, through a compiler that looks at the name of what it compiles."""
        compile_one = getattr(self.compiler, "_compile", None)
        if compile_one is not None:  # MSVC has none

            def compile_with_flags(
                obj: str, src: str, ext: str, cc_args: list[str], postargs: list[str], *more: Any
            ) -> None:
                compile_one(obj, src, ext, cc_args, [*postargs, *file_flags(Path(src).name)], *more)

            self.compiler._compile = compile_with_flags
        super().build_extensions()


def file_flags(name: str) -> list[str]:
    """Return the compiler flags that only one file has."""
    if not name.startswith("frame_step_"):
        return []
    x86 = platform.machine().lower() in {"x86_64", "amd64"}
    return [*STEP_FLAGS, *(X86_FLAGS.get(name, []) if x86 else [])]


def extensions() -> list[Extension]:
    """Return the extension, or nothing where it is forbidden or impossible."""
    if os.environ.get("LANGPOSE_NO_EXT", "0") not in ("", "0"):
        return []
    try:
        import nanobind  # noqa: PLC0415 - may be missing, and the package is complete without it
    except ImportError:
        warnings.warn("no nanobind: built without the C++ extension", stacklevel=1)
        return []
    root = Path(nanobind.include_dir()).parent
    digest = runpy.run_path("langpose_rt/extension.py")["sources_digest"](Path("cpp_ext"))
    windows = sys.platform == "win32"
    names = (
        "host",
        "native_step",
        "person_step",
        "keypoints",
        "frame_step_plain",
        "frame_step_avx2",
        "frame_step_avx512",
    )
    return [
        Extension(
            "langpose_rt._native",
            sources=[
                *(f"cpp_ext/{name}.cpp" for name in names),
                str(root / "src" / "nb_combined.cpp"),
            ],
            depends=[str(path) for path in sorted(Path("cpp_ext").glob("*.*h*"))],
            include_dirs=[nanobind.include_dir(), str(root / "ext" / "robin_map" / "include")],
            define_macros=[
                ("NDEBUG", None),
                ("NB_COMPACT_ASSERTIONS", None),
                ("LANGPOSE_SOURCES", f'"{digest}"'),
            ],
            language="c++",
            # As nanobind's own build: its sources read Python objects through other types.
            extra_compile_args=["/std:c++17", "/O2"]
            if windows
            else ["-std=c++17", "-O2", "-g0", "-fvisibility=hidden", "-fno-strict-aliasing"],
            optional=True,
        )
    ]


setup(
    ext_modules=extensions(),
    cmdclass={"build_py": BuildWithCudaSources, "build_ext": BuildForInstructionSets},
)
