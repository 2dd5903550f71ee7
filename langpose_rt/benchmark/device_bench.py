"""Step latency on a GPU: CUDA graph, single launches, torch eager, and window recompute.

All variants take turns in one run on the same people, so that clock and temperature are equal.

"""

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import langpose_rt
from langpose_rt.config import NS_PER_S, NUM_JOINTS, ROW_CHANNELS, ModelConfig
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from langpose_rt.manifest import Manifest
    from langpose_rt.runtime.backend import Backend

Step = Callable[[], None]
"""One frame of all persons, from input rows to poses on the host."""

_WARM_UP_STEPS = 40
_FRAME_NS = NS_PER_S // 60


def step_of(backend: "Backend", persons: int) -> Step:
    """Return a step of a backend for a number of persons; time advances with every call."""
    random = np.random.default_rng(0)
    slots, lags = np.arange(persons, dtype=np.int32), np.zeros(persons, np.int32)
    rows = random.standard_normal((persons, NUM_JOINTS, ROW_CHANNELS), np.float32)
    channels = backend.manifest.model_config.extra_channels
    extras = random.standard_normal((persons, channels), np.float32)
    lag_s, time_ns = np.zeros(persons, np.float32), np.zeros(persons, np.int64)
    backend.reset(slots)

    def step() -> None:
        time_ns[:] += _FRAME_NS
        backend.encode(rows, extras, slots, time_ns)
        backend.lift(slots, lags, lag_s)

    return step


def quantiles_ms(steps: dict[str, Step], repeats: int) -> dict[str, float]:
    """Return median and tail latencies of the steps, timed in turns; keys as ``graph_p50_ms``."""
    took_ms: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeats + _WARM_UP_STEPS):
        for name, step in steps.items():
            start_s = time.perf_counter()
            step()
            took_ms[name].append(1e3 * (time.perf_counter() - start_s))
    found: dict[str, float] = {}
    for name, own in took_ms.items():
        measured = np.quantile(own[_WARM_UP_STEPS:], (0.5, 0.95, 0.99)).tolist()
        found |= {f"{name}_p{p}_ms": ms for p, ms in zip((50, 95, 99), measured, strict=True)}
    return found


def window_bytes(config: ModelConfig, stored_bytes: int, persons: int) -> dict[str, int]:
    """Return the minimum memory traffic of the window in a step, as sliding_window.cu counts it."""
    newest = config.blocks * config.channels
    ring = newest * config.window
    push = (8 + 2 * stored_bytes) * newest + 8 * config.feature_channels + 36
    look = 4 * stored_bytes * ring + 12 * config.window
    return {"push_bytes": push * persons, "look_bytes": look * persons}


def open_variants(
    folder: Path, manifest: "Manifest", backend_name: str, slots: int
) -> tuple[dict[str, "Backend"], list[str]]:
    """Open the backend with and without graphs, and torch eager; torch also in FP16.

    Returns:
        The backends by name, and the reasons for the missing ones.

    Raises:
        ConfigError: If the backend itself cannot be opened.
    """
    from langpose_rt.runtime.backend import GPU_BACKENDS

    found: dict[str, Backend] = {}
    missing: list[str] = []
    if backend_name in GPU_BACKENDS:
        from langpose_rt.runtime.parity import check_parity_here
        from langpose_rt.runtime.tensorrt import open_tensorrt

        flavor_name = GPU_BACKENDS[backend_name]
        for name, graphs in (("graph", True), ("enqueued", False)):
            found[name] = open_tensorrt(
                folder, manifest, slots=slots, flavor_name=flavor_name, graphs=graphs
            )
            check_parity_here(found[name], folder)
    model = _torch_model(folder, manifest)
    if isinstance(model, str):
        if backend_name == "torch":
            raise ConfigError(f"--backend torch: {model}")
        missing.append(f"torch eager and window recompute: {model}")
        return found, missing
    from langpose_rt.runtime.torch_cuda import open_torch_cuda

    if backend_name == "torch":
        found["graph"] = open_torch_cuda(model, manifest, slots=slots)
        for name, graphs in (("graph_fp16", True), ("eager_fp16", False)):
            found[name] = open_torch_cuda(model, manifest, slots=slots, graphs=graphs, half=True)
    found["torch_eager"] = open_torch_cuda(model, manifest, slots=slots, graphs=False)
    return found, missing


def device_report(
    folder: Path, manifest: "Manifest", backend_name: str, persons: Sequence[int], repeats: int
) -> dict[str, Any]:
    """Measure everything `bench` prints for a GPU backend.

    Args:
        folder: Model folder.
        manifest: Its manifest.
        backend_name: ``torch``, ``tensorrt`` or ``tensorrt-rtx``.
        persons: Number of people of every row.
        repeats: Timed steps of each variant.

    Raises:
        ConfigError: If there is no GPU, or the backend cannot be opened.
    """
    from langpose_rt.runtime.gpu_info import probe

    gpu = probe()
    found, missing = open_variants(folder, manifest, backend_name, max(persons))
    model = _torch_model(folder, manifest)
    rows = []
    for count in persons:
        steps = {name: step_of(backend, count) for name, backend in found.items()}
        if not isinstance(model, str):
            from langpose_rt.benchmark.window_pass import window_pass

            steps["window_recompute"] = window_pass(model, count, "cuda")
        stored = 4 if backend_name == "torch" else 2
        row: dict[str, float] = {"persons": count, **quantiles_ms(steps, repeats)}
        rows.append(row | window_bytes(manifest.model_config, stored, count))
    graphs = {name: bool(getattr(backend, "graphs", False)) for name, backend in found.items()}
    for backend in found.values():
        backend.close()
    return {
        "device": {
            "name": gpu.name, "compute_capability": gpu.compute_capability, "driver": gpu.driver,
        },
        "commit": commit(),
        "graphs": graphs,
        "not_measured": missing,
        "rows": rows,
    }  # fmt: skip


def commit() -> str | None:
    """Return the commit of the checkout this runs from; None outside of a checkout."""
    git = ["git", "-C", str(Path(langpose_rt.__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(git, capture_output=True, text=True, check=True)  # noqa: S603 - fixed arguments
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip() or None


def device_table(report: dict[str, Any]) -> str:
    """Format the report as lines: medians, and the memory traffic of the window."""
    device, rows = report["device"], report["rows"]
    names = [key for key in rows[0] if key.endswith("_p50_ms")]
    head = ["persons", *(f"{name.removesuffix('_p50_ms')} ms p50" for name in names), "window MB"]
    origin = f"driver {device['driver']}, commit {report['commit'] or 'unknown'}"
    lines = [
        f"{device['name']}, compute capability {device['compute_capability']}, {origin}",
        "  ".join(head),
    ]
    for row in rows:
        moved_mb = (row["push_bytes"] + row["look_bytes"]) / 1e6
        cells = [str(row["persons"]), *(f"{row[name]:.3f}" for name in names), f"{moved_mb:.2f}"]
        lines.append("  ".join(c.rjust(len(h)) for c, h in zip(cells, head, strict=True)))
    return "\n".join([*lines, *(f"not measured: {reason}" for reason in report["not_measured"])])


def _torch_model(folder: Path, manifest: "Manifest") -> Any:
    """Return the model in torch, or the reason why it cannot run on this GPU."""
    try:
        from langpose_rt.model.checkpoint import load
        from langpose_rt.runtime.torch import CHECKPOINT_NAME, has_cuda
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed"
    if not has_cuda():
        return "this torch has no CUDA"
    if CHECKPOINT_NAME not in manifest.files:
        return f"the model folder carries no {CHECKPOINT_NAME}"
    return load(folder / CHECKPOINT_NAME)[0]
