"""`langpose-rt bench`: what a person-frame costs here, and what the server adds end to end."""

import argparse
import json
import platform
import sys
import time
from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from langpose_rt.cli.options import add_model_arguments
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from langpose_rt.runtime.base import Backend

SUMMARY = "measure CPU cost per person-frame, step latency, server-added latency and memory"
EXAMPLE = "langpose-rt bench --persons 1,4,8,16 --seconds 5 --json"

_WARM_UP_FRAMES = 60
_MOST_PERSONS = 64
_RATIO_NEEDS = ("torch", "onnx", "onnxscript")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--persons", default="1,4,8,16", metavar="LIST", help="people in a frame (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=300, metavar="N", help="frames of the in-process measurement (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="length of the measurement through sockets, 0 for none (default: %(default)s)")
    parser.add_argument("--rate-hz", type=float, default=60.0, metavar="X", help="camera rate through sockets (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, and print."""
    from langpose_rt.runtime.base import DEFAULT_MODEL, open_backend

    persons = _persons(arguments.persons)
    if arguments.frames < 1 or not 0 <= arguments.seconds <= 3600 or not 1 <= arguments.rate_hz <= 1000:
        raise ConfigError("bench takes --frames of at least 1, --seconds 0 to 3600, --rate-hz 1 to 1000")
    backend = open_backend(
        arguments.model, arguments.backend, slots=_MOST_PERSONS, threads=arguments.threads,
        precision=arguments.precision,
    )  # fmt: skip
    rows = []
    for count in persons:
        print(f"measuring {count} people", file=sys.stderr)
        row = {"persons": count} | _in_process(backend, count, arguments.frames)
        if arguments.seconds:
            row |= _through_sockets(arguments, count)
        rows.append(row)
    ratio = _ratio(arguments, arguments.model or DEFAULT_MODEL)
    report = {"machine": _machine(), "model": _model(backend), "rows": rows, "recompute": ratio}
    print(json.dumps(report, indent=2) if arguments.json else _table(report))
    return 0


def _persons(text: str) -> list[int]:
    counts = [int(part) if part.isdecimal() else 0 for part in text.split(",")]
    if not all(1 <= count <= _MOST_PERSONS for count in counts):
        raise ConfigError(f"--persons is {text!r}; expected numbers from 1 to {_MOST_PERSONS} such as 1,4,8")
    return counts


def _in_process(backend: "Backend", persons: int, frames: int) -> dict[str, float]:
    """Bytes to bytes through the pipeline, without sockets: CPU and wall time of every step."""
    import numpy as np

    from langpose_rt.cli.crowd import Crowd
    from langpose_rt.streaming.messages import encode_keypoints
    from langpose_rt.streaming.pipeline import Pipeline

    crowd = Crowd(persons, rate_hz=60.0, first_ns=time.time_ns())
    sent = [(encode_keypoints(m), m.t_ns) for m in crowd.messages(frames + _WARM_UP_FRAMES)]
    pipeline = Pipeline(backend)
    took_ms = []
    cpu_s = 0.0
    for index, (parts, t_ns) in enumerate(sent):
        if index == _WARM_UP_FRAMES:
            cpu_s = time.process_time()
        start_s = time.perf_counter()
        pipeline.receive(parts, t_ns)
        pipeline.step(t_ns)
        took_ms.append(1e3 * (time.perf_counter() - start_s))
    cpu_s = time.process_time() - cpu_s
    backend.reset(np.arange(backend.slots, dtype=np.int32))
    p50, p95, p99 = np.quantile(took_ms[_WARM_UP_FRAMES:], (0.5, 0.95, 0.99)).tolist()
    return {
        "cpu_ms_per_person_frame": 1e3 * cpu_s / frames / persons,
        "step_p50_ms": p50, "step_p95_ms": p95, "step_p99_ms": p99,
    }  # fmt: skip


def _through_sockets(arguments: argparse.Namespace, persons: int) -> dict[str, float | None]:
    """A real server in its own process, fed at camera rate."""
    from langpose_rt.cli.child_server import child_server
    from langpose_rt.cli.load import Load, run_load

    options = ["--backend", arguments.backend, "--precision", arguments.precision]
    options += ["--threads", str(arguments.threads)]
    options += ["--model", str(arguments.model)] if arguments.model else []
    with child_server(options) as server:
        load = Load(persons=persons, rate_hz=arguments.rate_hz, seconds=arguments.seconds)
        result = run_load(server, load)
    return {
        "server_added_p50_ms": result.latency.p50_ms,
        "server_added_p95_ms": result.latency.p95_ms,
        "server_added_p99_ms": result.latency.p99_ms,
        "frames_sent": result.frames_sent, "frames_answered": result.frames_answered,
        "shed": result.shed, "resident_mb": result.resident_mb[-1] if result.resident_mb else None,
    }  # fmt: skip


def _ratio(arguments: argparse.Namespace, folder: Any) -> dict[str, float] | str:
    missing = [name for name in _RATIO_NEEDS if find_spec(name) is None]
    if missing:
        return f"not measured: needs {' and '.join(missing)} (pip install \"langpose-rt[train]\")"
    if arguments.precision != "fp32" or arguments.backend == "torch":
        return "not measured: it compares float32 on ONNX Runtime"
    from langpose_rt.engine.recompute import recompute_ratio
    from langpose_rt.manifest import read_manifest

    return asdict(recompute_ratio(folder, read_manifest(folder)))


def _machine() -> dict[str, Any]:
    import os

    import onnxruntime

    return {
        "system": platform.platform(), "cores": os.cpu_count(), "processor": _processor(),
        "python": platform.python_version(), "onnxruntime": onnxruntime.__version__,
    }  # fmt: skip


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor()


def _model(backend: "Backend") -> dict[str, str]:
    manifest = backend.manifest
    return {
        "name": manifest.name, "sha256": manifest.sha256[:12], "backend": backend.name,
        "precision": backend.precision,
    }  # fmt: skip


def _table(report: dict[str, Any]) -> str:
    machine, model = report["machine"], report["model"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, ONNX Runtime {machine['onnxruntime']}",
        f"model {model['name']} {model['sha256']}, {model['precision']} on {model['backend']}",
    ]
    columns = list(report["rows"][0])
    widths = [max(len(name), 9) for name in columns]
    lines.append("  ".join(name.rjust(width) for name, width in zip(columns, widths, strict=True)))
    for row in report["rows"]:
        values = (f"{row[name]:.3f}" if isinstance(row[name], float) else str(row[name]) for name in columns)
        lines.append("  ".join(value.rjust(width) for value, width in zip(values, widths, strict=True)))
    ratio = report["recompute"]
    if isinstance(ratio, str):
        return "\n".join([*lines, f"recomputing the window: {ratio}"])
    lines.append(
        f"recomputing its own window of {ratio['frames']} frames: {ratio['window_ms']:.2f} ms against "
        f"{ratio['step_ms']:.2f} ms a step, {ratio['time_ratio']:.1f}x the time for {ratio['mac_ratio']:.1f}x the MACs"
    )
    return "\n".join(lines)
