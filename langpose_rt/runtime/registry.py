"""Open a backend by name; ``auto`` selects the fastest that this machine and this model allow."""

import logging
from collections.abc import Callable
from pathlib import Path

from langpose_rt.errors import BackendError, ConfigError
from langpose_rt.manifest import Manifest, read_manifest
from langpose_rt.runtime.backend import BACKENDS, DEFAULT_MODEL, GPU_BACKENDS, Backend
from langpose_rt.runtime.gpu_info import why_no_gpu

Open = Callable[[str], Backend]
"""Opens a backend by name."""

PREFERRED = ("tensorrt", "tensorrt-rtx")
"""Tried in this order where there is a GPU; the CPU is what remains."""

Say = Callable[[str], None]
"""Told in one line which backend was taken, and why."""

log = logging.getLogger(__name__)


def open_backend(
    model: Path | None = None,
    name: str = "auto",
    *,
    slots: int = 64,
    threads: int = 1,
    precision: str = "auto",
    say: Say = log.debug,
) -> Backend:
    """The backend that runs a model.

    Args:
        model: Folder with a manifest; None is the model that ships with the package.
        name: One of BACKENDS; ``auto`` is TensorRT, else TensorRT-RTX, else ONNX Runtime.
        slots: Persons to remember at once.
        threads: Threads one computation on the CPU may use.
        precision: One of PRECISIONS; a backend refuses what it has not.
        say: Told in one line what ``auto`` is, and why.

    Raises:
        ConfigError: If the backend is unknown, or this machine lacks what it needs.
        ModelError: If the model is missing, damaged or lacks the precision.
        BackendError: If a GPU refuses.
    """
    if name not in BACKENDS:
        raise ConfigError(f"unknown backend {name!r}; expected one of {', '.join(BACKENDS)}")
    folder = model or DEFAULT_MODEL
    manifest = read_manifest(folder)
    if name == "auto" and precision in {"auto", "fp16"}:

        def open_named(chosen: str) -> Backend:
            return open_backend(folder, chosen, slots=slots, threads=threads, precision=precision)

        return automatic_backend(open_named, manifest, folder, say=say)
    if name in GPU_BACKENDS:
        if precision not in {"auto", "fp16"}:
            raise ConfigError(f"backend {name} runs fp16, not {precision}; use '--backend onnx'")
        from langpose_rt.runtime.tensorrt import open_tensorrt

        return open_tensorrt(folder, manifest, slots=slots, flavor_name=GPU_BACKENDS[name])
    precision = "fp32" if precision == "auto" else precision
    if name == "torch":
        from langpose_rt.runtime.torch import open_torch

        return open_torch(folder, manifest, slots=slots, threads=threads, precision=precision)
    from langpose_rt.runtime.onnx import open_onnx

    return open_onnx(folder, manifest, slots=slots, threads=threads, precision=precision)


def automatic_backend(open_named: Open, manifest: Manifest, folder: Path, *, say: Say) -> Backend:
    """The first of PREFERRED that opens, else ONNX Runtime.

    Args:
        open_named: Opens one by name.
        manifest: Of the model.
        folder: Of the model, for the sentence.
        say: Told which and why.

    Raises:
        ConfigError: If not even ONNX Runtime opens.
    """
    reason = why_no_gpu() or _why_no_engine(manifest, folder)
    if reason is not None:
        say(f"backend onnx: {reason}")
        return open_named("onnx")
    refusals = []
    for name in PREFERRED:
        try:
            backend = open_named(name)
        except (ConfigError, BackendError) as error:
            refusals.append(f"{name}: {error}")
            continue
        why = "; ".join(refusals) or "it fits this machine"
        say(f"backend {name}: {why}")
        return backend
    say(f"backend onnx: {'; '.join(refusals)}")
    return open_named("onnx")


def _why_no_engine(manifest: Manifest, folder: Path) -> str | None:
    if manifest.engines:
        return None
    return (
        f"{folder} has no engine; build one with "
        f"'langpose-rt build-engine --model {folder} --out {folder.parent}'"
    )
