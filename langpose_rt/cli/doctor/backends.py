"""Check of the backends: each library is imported in a child process, which may crash."""

import importlib.util
import subprocess
import sys

from langpose_rt.cli.doctor.check import Check
from langpose_rt.cli.doctor.installation import BUILD_EXTENSION
from langpose_rt.extension import NOT_BUILT, why_no_extension
from langpose_rt.runtime.gpu_info import no_gpu_reason

_IMPORT_S = 120.0
_OPTIONAL = {"torch": "train", "tensorrt": "gpu", "tensorrt_rtx": "rtx"}
"""Module of a backend to the extra that installs it."""

_NEEDS_DRIVER = ("tensorrt", "tensorrt_rtx")


def check_backends() -> list[Check]:
    """Check the default backend, which must load, and the optional ones."""
    optional = (_optional(module, extra) for module, extra in _OPTIONAL.items())
    return [_native(), _default(), *optional]


def _native() -> Check:
    from langpose_rt.runtime.native import instruction_sets

    sets = instruction_sets()
    if sets:
        return Check(name="native", verdict="ok", found=f"compiled C++, the step uses {sets[0]}")
    why_not = why_no_extension() or NOT_BUILT
    found = f"{why_not}; ONNX Runtime computes the step, at twice the CPU or more"
    return Check(name="native", verdict="warn", found=found, advice=BUILD_EXTENSION)


def _default() -> Check:
    version, complaint = _imported("onnxruntime")
    if complaint:
        advice = "pip install --force-reinstall onnxruntime"
        return Check(name="onnx", verdict="fail", found=complaint, advice=advice)
    return Check(name="onnx", verdict="ok", found=f"onnxruntime {version} loads")


def _optional(module: str, extra: str) -> Check:
    install = f'pip install ".[{extra}]"'
    if importlib.util.find_spec(module) is None:
        found = f"not installed, and not needed ({install})"
        return Check(name=module, verdict="ok", found=found)
    version, complaint = _imported(module)
    if complaint:
        return Check(name=module, verdict="warn", found=complaint, advice=install)
    reason = no_gpu_reason() if module in _NEEDS_DRIVER else None
    loads = f"{version} loads" + (f", but cannot run: {reason}" if reason else "")
    return Check(name=module, verdict="ok", found=loads)


def _imported(module: str) -> tuple[str, str]:
    """Return the version of a module that can be imported, or else the reason."""
    script = f"import {module}; print({module}.__version__)"
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter
            [sys.executable, "-W", "ignore", "-c", script],
            capture_output=True, text=True, check=False, timeout=_IMPORT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "", f"{module} did not load within {_IMPORT_S:g} s"
    if done.returncode == 0:
        return done.stdout.strip(), ""
    lines = done.stderr.strip().splitlines()
    reason = lines[-1] if lines else f"its process ended with {done.returncode}"
    return "", f"{module} does not load: {reason}"
