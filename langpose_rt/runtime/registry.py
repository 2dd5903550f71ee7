"""Open a backend by name; ``auto`` selects the fastest one that this machine and model allow."""

import logging
from collections.abc import Callable
from pathlib import Path

from langpose_rt.errors import BackendError, ConfigError
from langpose_rt.manifest import Manifest, read_manifest
from langpose_rt.runtime.backend import BACKENDS, DEFAULT_MODEL, GPU_BACKENDS, PRECISIONS, Backend
from langpose_rt.runtime.gpu_info import no_gpu_reason
from langpose_rt.runtime.native import instruction_sets, why_not_native

Open = Callable[[str], Backend]
"""Opens a backend by name."""

PREFERRED = ("tensorrt", "tensorrt-rtx")
"""Order in which ``auto`` tries the GPU backends; the fallback is the CPU."""

Report = Callable[[str], None]
"""Receives one line naming the backend ``auto`` selected and the reason."""

log = logging.getLogger(__name__)


def open_backend(
    model: Path | None = None,
    name: str = "auto",
    *,
    slots: int = 64,
    threads: int = 1,
    precision: str = "auto",
    report: Report = log.debug,
) -> Backend:
    """Open the backend that runs a model.

    Args:
        model: Folder with a manifest; None is the model that ships with the package.
        name: One of BACKENDS; ``auto`` is TensorRT, else TensorRT-RTX, else the native
            C++ step, else ONNX Runtime.
        slots: Persons to remember at once.
        threads: Threads one computation on the CPU may use; the native step uses one.
        precision: One of PRECISIONS; a backend refuses what it has not. A reduced one is compared
            with float32 before it is returned, see `langpose_rt.runtime.parity`.
        report: Receives one line naming the backend ``auto`` selected and the reason.

    Raises:
        ConfigError: If backend or precision is unknown, this machine lacks what it needs, or a
            reduced precision is too far from float32 here.
        ModelError: If the model is missing, damaged or lacks the precision.
        BackendError: If a GPU reports an error.
    """
    if name not in BACKENDS:
        raise ConfigError(f"unknown backend {name!r}; expected one of {', '.join(BACKENDS)}")
    if precision not in PRECISIONS:
        raise ConfigError(
            f"unknown precision {precision!r}; expected fp32, or fp16 for engines; "
            "leave --precision out for the backend's own"
        )
    folder = model or DEFAULT_MODEL
    manifest = read_manifest(folder)
    if name == "auto" and precision in {"auto", "fp16"}:

        def open_named(candidate: str) -> Backend:
            return open_backend(
                folder, candidate, slots=slots, threads=threads, precision=precision
            )

        return automatic_backend(open_named, manifest, folder, threads=threads, report=report)
    backend = _open_named(folder, manifest, name, slots=slots, threads=threads, precision=precision)
    if backend.precision != "fp32":
        from langpose_rt.runtime.parity import check_parity_here

        try:
            check_parity_here(backend, folder, threads=threads)
        except BaseException:
            backend.close()
            raise
    return backend


def _open_named(
    folder: Path, manifest: Manifest, name: str, *, slots: int, threads: int, precision: str
) -> Backend:
    if name in GPU_BACKENDS:
        if precision not in {"auto", "fp16"}:
            raise ConfigError(f"backend {name} runs fp16, not {precision}; use '--backend onnx'")
        from langpose_rt.runtime.tensorrt import open_tensorrt

        return open_tensorrt(folder, manifest, slots=slots, flavor_name=GPU_BACKENDS[name])
    precision = "fp32" if precision == "auto" else precision
    if name == "auto":
        name, _ = cpu_backend(manifest, threads)
    if name == "native":
        from langpose_rt.runtime.native import open_native

        return open_native(folder, manifest, slots=slots, precision=precision)
    if name == "torch":
        from langpose_rt.runtime.torch import open_torch

        return open_torch(folder, manifest, slots=slots, threads=threads, precision=precision)
    from langpose_rt.runtime.onnx import open_onnx

    return open_onnx(folder, manifest, slots=slots, threads=threads, precision=precision)


def automatic_backend(
    open_named: Open, manifest: Manifest, folder: Path, *, threads: int, report: Report
) -> Backend:
    """Open the first of PREFERRED that opens, else the fastest on the CPU.

    Args:
        open_named: Opens a backend by name.
        manifest: Manifest of the model.
        folder: Model folder, for the reported line.
        threads: Threads of one computation on the CPU.
        report: Receives the selected backend and the reason.

    Raises:
        ConfigError: If not even the CPU's opens.
    """
    reason = no_gpu_reason() or _no_engine_reason(manifest, folder)
    if reason is not None:
        return _on_cpu(open_named, manifest, threads, reason, report)
    rejections = []
    for name in PREFERRED:
        try:
            backend = open_named(name)
        except (ConfigError, BackendError) as error:
            rejections.append(f"{name}: {error}")
            continue
        report(f"backend {name}: {'; '.join(rejections) or 'it fits this machine'}")
        return backend
    return _on_cpu(open_named, manifest, threads, "; ".join(rejections), report)


def cpu_backend(manifest: Manifest, threads: int) -> tuple[str, str]:
    """Return the fastest backend of a model on the CPU, and what the choice rests on."""
    reason = why_not_native(manifest)
    if reason is None and threads > 1:
        reason = f"the native step computes in one thread, not in {threads}"
    if reason is not None:
        return "onnx", reason
    return "native", f"the native step uses {instruction_sets()[0]}"


def _on_cpu(
    open_named: Open, manifest: Manifest, threads: int, reason: str, report: Report
) -> Backend:
    name, why = cpu_backend(manifest, threads)
    report(f"backend {name}: {reason}; {why}")
    return open_named(name)


def _no_engine_reason(manifest: Manifest, folder: Path) -> str | None:
    if manifest.engines:
        return None
    return (
        f"{folder} has no engine; build one with "
        f"'langpose-rt build-engine --model {folder} --out {folder.parent}'"
    )
