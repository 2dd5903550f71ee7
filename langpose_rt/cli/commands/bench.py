"""`langpose-rt bench`: CPU cost per person-frame, latencies and memory."""

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from langpose_rt.cli.arguments.options import (
    add_model_arguments,
    backend_from_arguments,
    model_flags,
)
from langpose_rt.errors import ConfigError, LangPoseError

if TYPE_CHECKING:
    from langpose_rt.manifest import Manifest
    from langpose_rt.runtime.backend import Backend

SUMMARY = "measure CPU cost per person-frame, step latency, server-added latency and memory"
EXAMPLE = "langpose-rt bench --persons 1,4,8,16 --seconds 5 --json"

_WARM_UP_FRAMES = 60
_MOST_PERSONS, _MOST_PERSONS_ON_DEVICE = 64, 4096
_SHORTEST_S = 2.0
"""The latency measurement leaves out the first second."""

_RATIO_NEEDS = ("torch", "onnx", "onnxscript", "safetensors")
_HEADINGS = {
    "persons": "persons",
    "cpu_ms_per_person_frame": "CPU ms a person-frame",
    "step_p50_ms": "step ms p50",
    "step_p99_ms": "p99",
    "server_added_p50_ms": "server adds ms p50",
    "server_added_p99_ms": "p99",
    "shed": "shed",
    "resident_mb": "server MB",
}
"""Columns of the table; --json has all values."""

_MEANINGS = {
    "cpu_ms_per_person_frame": (
        "CPU ms a person-frame",
        "processor time for one person in one frame, from bytes in to bytes out",
    ),
    "step_p50_ms": (
        "step ms",
        "one frame of all people, without sockets; half take at most p50, 99 of 100 at most p99",
    ),
    "server_added_p50_ms": (
        "server adds ms",
        "from the arrival of a frame at the server to its poses, through sockets",
    ),
    "shed": ("shed", "frames left out because there was no time for them"),
    "resident_mb": ("server MB", "memory of the server"),
}
"""Meaning of each column, printed below the table."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    for flag, default, metavar, text in (
        ("--persons", "1,4,8,16", "LIST", "people in a frame"),
        ("--frames", 300, "N", "frames of the measurement without sockets"),
        ("--seconds", 5.0, "S", "length of the measurement through sockets, 0 for none"),
        ("--rate-hz", 60.0, "X", "camera rate through sockets"),
    ):
        shown = f"{text} (default: {default})"
        parser.add_argument(flag, type=type(default), default=default, metavar=metavar, help=shown)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the report."""
    persons = _checked_persons(arguments)
    if _on_device(arguments):
        from langpose_rt.benchmark.device_bench import device_table

        report = _device_report(arguments, persons)
        print(json.dumps(report, indent=2) if arguments.json else device_table(report))
        return 0
    backend = backend_from_arguments(arguments, slots=_MOST_PERSONS)
    rows = []
    for count in persons:
        print(f"measuring {count} people", file=sys.stderr, flush=True)
        row: dict[str, float | None] = {"persons": count}
        row |= _in_process(backend, count, arguments.frames)
        if arguments.seconds:
            row |= _through_sockets(arguments, count)
        rows.append(row)
    report = {"machine": _machine(), "model": _model(backend), "rows": rows}
    report["recompute"] = _ratio(arguments, backend.manifest)
    print(json.dumps(report, indent=2) if arguments.json else _table(report))
    return 0


def _checked_persons(arguments: argparse.Namespace) -> list[int]:
    counts = [int(part) if part.isdecimal() else 0 for part in arguments.persons.split(",")]
    most = _MOST_PERSONS_ON_DEVICE if _on_device(arguments) else _MOST_PERSONS
    if not all(1 <= count <= most for count in counts):
        raise ConfigError(
            f"--persons is {arguments.persons!r}; expected numbers from 1 to {most} such as 1,4,8"
        )
    for name, low, high in (("frames", 1, 1e6), ("rate_hz", 1, 1000), ("seconds", 0, 3600)):
        value = getattr(arguments, name)
        if not low <= value <= high:
            flag = name.replace("_", "-")
            raise ConfigError(f"--{flag} is {value:g}; expected {low:g} to {high:g}")
    if 0 < arguments.seconds < _SHORTEST_S:
        raise ConfigError(
            f"--seconds is {arguments.seconds:g}; expected 0, or at least {_SHORTEST_S:g}"
        )
    return counts


def _on_device(arguments: argparse.Namespace) -> bool:
    """Return True if the chosen backend runs on a GPU: engines do, torch does where it has one."""
    from langpose_rt.runtime.backend import GPU_BACKENDS

    if arguments.backend != "torch" or find_spec("torch") is None:
        return arguments.backend in GPU_BACKENDS
    from langpose_rt.runtime.torch import has_cuda

    return has_cuda()


def _device_report(arguments: argparse.Namespace, persons: list[int]) -> dict[str, Any]:
    from langpose_rt.benchmark.device_bench import device_report
    from langpose_rt.manifest import read_manifest
    from langpose_rt.runtime.backend import DEFAULT_MODEL

    folder = arguments.model or DEFAULT_MODEL
    manifest = read_manifest(folder)
    report = device_report(folder, manifest, arguments.backend, persons, arguments.frames)
    model = {"name": manifest.name, "sha256": manifest.sha256[:12], "backend": arguments.backend}
    return {"machine": _machine(), "model": model, **report}


def _in_process(backend: "Backend", persons: int, frames: int) -> dict[str, float | None]:
    """Measure CPU and wall time of every step of the pipeline, bytes to bytes, without sockets."""
    import numpy as np

    from langpose_rt.benchmark.crowd import Crowd
    from langpose_rt.pipeline.pipeline import Pipeline
    from langpose_rt.protocol.messages import encode_keypoints

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
        "step_p50_ms": p50,
        "step_p95_ms": p95,
        "step_p99_ms": p99,
    }


def _through_sockets(arguments: argparse.Namespace, persons: int) -> dict[str, float | None]:
    """Measure a server in a child process, fed at camera rate."""
    from langpose_rt.benchmark.child_server import child_server
    from langpose_rt.benchmark.load import Load, run_load

    with child_server(model_flags(arguments)) as server:
        load = Load(persons=persons, rate_hz=arguments.rate_hz, seconds=arguments.seconds)
        result = run_load(server, load)
    if not result.latency.frames:
        raise LangPoseError("the server answered nothing in time; try fewer --persons")
    return {
        "server_added_p50_ms": result.latency.p50_ms,
        "server_added_p95_ms": result.latency.p95_ms,
        "server_added_p99_ms": result.latency.p99_ms,
        "frames_sent": result.frames_sent,
        "frames_answered": result.frames_answered,
        "shed": result.shed,
        "resident_mb": result.resident_mb[-1] if result.resident_mb else None,
    }


def _ratio(arguments: argparse.Namespace, manifest: "Manifest") -> dict[str, float] | str:
    missing = [name for name in _RATIO_NEEDS if find_spec(name) is None]
    if missing:
        return f'not measured: needs {" and ".join(missing)} (pip install ".[train]")'
    if arguments.precision not in {"auto", "fp32"} or arguments.backend not in {"auto", "onnx"}:
        return "not measured: it compares float32 on ONNX Runtime"
    from langpose_rt.benchmark.recompute import recompute_ratio
    from langpose_rt.runtime.backend import DEFAULT_MODEL
    from langpose_rt.runtime.torch import CHECKPOINT_NAME

    if CHECKPOINT_NAME not in manifest.files:
        return f"not measured: the model folder carries no {CHECKPOINT_NAME}"
    return asdict(recompute_ratio(arguments.model or DEFAULT_MODEL, manifest))


def _machine() -> dict[str, Any]:
    import onnxruntime

    from langpose_rt.cli.doctor.machine import processor
    from langpose_rt.runtime.native import instruction_sets

    name, instructions = processor()
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "processor": name,
        "instructions": instructions,
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "native": next(iter(instruction_sets()), None),
    }


def _model(backend: "Backend") -> dict[str, str]:
    return {
        "name": backend.manifest.name,
        "sha256": backend.manifest.sha256[:12],
        "backend": backend.name,
        "precision": backend.precision,
    }


def _table(report: dict[str, Any]) -> str:
    machine, model, ratio = report["machine"], report["model"], report["recompute"]
    shown = [name for name in _HEADINGS if name in report["rows"][0]]
    native = machine["native"]
    extension = f"native step with {native}" if native else "without the C++ extension"
    libraries = f"ONNX Runtime {machine['onnxruntime']}, {extension}"
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {libraries}",
        f"instructions: {', '.join(machine['instructions']) or 'none known'}",
        f"model {model['name']} {model['sha256']}, {model['precision']} on {model['backend']}",
        "  ".join(_HEADINGS[name].rjust(7) for name in shown),
    ]
    for row in report["rows"]:
        cells = ((_cell(row[name]), max(7, len(_HEADINGS[name]))) for name in shown)
        lines.append("  ".join(text.rjust(width) for text, width in cells))
    lines += [": ".join(_MEANINGS[name]) for name in shown if name in _MEANINGS]
    if isinstance(ratio, str):
        return "\n".join([*lines, f"recomputing the window: {ratio}"])
    lines.append(
        f"recomputing its own window of {ratio['frames']} frames: {ratio['window_ms']:.2f} ms "
        f"against {ratio['step_ms']:.2f} ms a step, {ratio['time_ratio']:.1f}x the time "
        f"for {ratio['mac_ratio']:.1f}x the multiply-adds (MACs)"
    )
    return "\n".join(lines)


def _cell(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
