"""Measurements of tests/gpu/run_offline.py, each figure printed as a line of JSON as it comes.

    python -m tests.gpu.measure steps --persons 1,64,1024

On a CUDA driver of CPU threads (``pretend`` builds it) the network is ONNX Runtime and torch runs
on the CPU; that shows that everything runs, and nothing about speed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from langpose_rt.benchmark.device_bench import (
    Step,
    commit,
    open_variants,
    quantiles_ms,
    step_of,
    window_bytes,
)
from langpose_rt.benchmark.window_kernels import window_times_us
from langpose_rt.benchmark.window_pass import window_pass
from langpose_rt.manifest import Manifest, read_manifest
from langpose_rt.model.checkpoint import load
from langpose_rt.runtime.backend import DEFAULT_MODEL, Backend
from langpose_rt.runtime.cuda.backend import CudaBackend
from langpose_rt.runtime.cuda.driver_registry import open_driver
from langpose_rt.runtime.cuda.kernels import window_kernels
from langpose_rt.runtime.gpu_info import Gpu, probe
from langpose_rt.runtime.onnx import open_onnx
from langpose_rt.runtime.parity import demo_parity_clip, parity
from langpose_rt.runtime.torch import CHECKPOINT_NAME, open_torch
from langpose_rt.window.reference import Stored
from tests.gpu.conftest import ON_CPU
from tests.gpu.host_network import HostNetwork

ROOT = Path(__file__).parent.parent.parent
_KINDS: dict[str, Stored] = {"half": np.float16, "float": np.float32}


def say(**values: Any) -> None:
    """Print one line of figures."""
    print(json.dumps(values), flush=True)


def kernels_for(gpu: Gpu) -> bytes:
    """Return the window's kernels; a driver on CPU threads has its own and looks at four bytes."""
    return b"\x7fELF" if gpu.name == ON_CPU else window_kernels(gpu.compute_capability)


def variants(gpu: Gpu, folder: Path, manifest: Manifest, slots: int) -> dict[str, Backend]:
    """Open every way a step can run here."""
    if gpu.name != ON_CPU:
        return open_variants(folder, manifest, "torch", slots)[0]
    found: dict[str, Backend] = {}
    for name, graphs in (("graph", True), ("enqueued", False)):
        network = HostNetwork(folder, manifest, np.float16)
        found[name] = CudaBackend(
            open_driver(), network, manifest, kernels_for(gpu), slots=slots, graphs=graphs
        )
    found["torch_eager"] = open_torch(
        folder, manifest, slots=slots, threads=1, precision="fp32", device="cpu"
    )
    return found


def measure_window(arguments: argparse.Namespace) -> None:
    """Time of the window's kernels beside the bytes they must move."""
    gpu = probe()
    config = read_manifest(arguments.model).model_config
    say(device=gpu.name, capability=gpu.compute_capability, driver=gpu.driver, commit=commit())
    for kind, stored in _KINDS.items():
        for persons in _numbers(arguments.persons):
            times = window_times_us(
                config, stored, persons, arguments.repeats, image=kernels_for(gpu)
            )
            least = window_bytes(config, np.dtype(stored).itemsize, persons)
            rates = {
                f"{part}_gb_per_s": least[f"{part}_bytes"] / times[f"{part}_us"] / 1e3
                for part in ("look", "push")
            }
            say(kind=kind, persons=persons, **times, **least, **rates)


def measure_steps(arguments: argparse.Namespace) -> None:
    """Latency of a step of all variants in turns, and of a whole window."""
    gpu, manifest = probe(), read_manifest(arguments.model)
    persons = _numbers(arguments.persons)
    found = variants(gpu, arguments.model, manifest, max(persons))
    model, _ = load(arguments.model / CHECKPOINT_NAME)
    on = "cpu" if gpu.name == ON_CPU else "cuda"
    say(device=gpu.name, commit=commit(), model=manifest.sha256[:12])
    for count in persons:
        steps: dict[str, Step] = {name: step_of(b, count) for name, b in found.items()}
        steps["window_recompute"] = window_pass(model, count, on)
        say(persons=count, **quantiles_ms(steps, arguments.repeats))
    for backend in found.values():
        backend.close()


def measure_parity(arguments: argparse.Namespace) -> None:
    """Distance of every variant from ONNX Runtime in float32, on the demo clip."""
    gpu, manifest = probe(), read_manifest(arguments.model)
    reference = open_onnx(arguments.model, manifest, slots=1, threads=1, precision="fp32")
    for name, backend in variants(gpu, arguments.model, manifest, 4).items():
        measured = parity(backend, reference, demo_parity_clip())
        say(
            variant=name, precision=backend.precision, frames=measured.frames,
            mean_mm=measured.mean_mm, worst_mm=measured.worst_mm,
        )  # fmt: skip
        backend.close()


def measure_rtx(arguments: argparse.Namespace) -> None:
    """Latency of the steps of TensorRT-RTX engines, which check their parity when opened."""
    folder = next((path.parent for path in arguments.model.rglob("manifest.json")), None)
    if folder is None:
        sys.exit(f"no engine was built in {arguments.model}")
    manifest, persons = read_manifest(folder), _numbers(arguments.persons)
    found, _ = open_variants(folder, manifest, "tensorrt-rtx", max(persons))
    for count in persons:
        steps = {name: step_of(backend, count) for name, backend in found.items()}
        say(persons=count, **quantiles_ms(steps, arguments.repeats))


def try_rtx(_: argparse.Namespace) -> None:
    """Whether TensorRT-RTX builds and opens an engine of one operation on this GPU.

    It names no target for compute capability 9.0, so `build-engine` refuses there; this asks it.
    """
    import tensorrt_rtx as trt

    log = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(log)
    network = builder.create_network(0)
    given = network.add_input("x", trt.float16, (1, 8))
    answer = network.add_unary(given, trt.UnaryOperation.ABS).get_output(0)
    network.mark_output(answer)
    plan = builder.build_serialized_network(network, builder.create_builder_config())
    engine = None if plan is None else trt.Runtime(log).deserialize_cuda_engine(plan)
    context = None if engine is None else engine.create_execution_context()
    say(version=trt.__version__, built=plan is not None, opened=context is not None)


def measure_batches(arguments: argparse.Namespace) -> None:
    """Frames a second that processes make batches of, as the trainer receives them."""
    import functools

    from training.data.mocap import read_mocap
    from training.synthesis.batches import DataConfig, batch_from_seed
    from training.trainer.loader import BatchLoader

    mocap = read_mocap(arguments.mocap, "train", commercial_only=True)
    config = DataConfig(clips=arguments.clips, frames=arguments.frames)
    make = functools.partial(batch_from_seed, mocap, config, 0)
    for workers in _numbers(arguments.workers):
        with BatchLoader(make, workers=workers) as loader:
            taken = list(_taken(loader, workers, arguments.seconds))
        rate = (len(taken) - 1) * config.clips * config.frames / (taken[-1] - taken[0])
        say(workers=workers, batches=len(taken) - 1, frames_per_s=round(rate))


def _taken(loader: Iterator[Any], workers: int, seconds: float) -> Iterator[float]:
    """Take batches for a while, those made before the clock started apart; yield their times."""
    for _ in range(4 * workers):
        next(loader)
    end_s = time.monotonic() + seconds
    yield time.monotonic()
    while time.monotonic() < end_s:
        next(loader)
        yield time.monotonic()


def measure_score(arguments: argparse.Namespace) -> None:
    """Score of a checkpoint on langpose-bench-1, macro-averaged."""
    import torch

    from training.benchmark import score_model
    from training.data.mocap import read_mocap
    from training.evaluation.benchmark_clips import PUBLISHED, draw_benchmark, fingerprint_of
    from training.evaluation.fingerprints import is_same

    torch.set_num_threads(arguments.threads)
    model, card = load(arguments.checkpoint)
    clips = draw_benchmark(read_mocap(arguments.mocap, "val"))
    same = is_same(fingerprint_of(clips), PUBLISHED)
    for lag, rows in score_model(model, clips).items():
        macro = {name: value for name, value in rows["macro"].items() if value is not None}
        say(lag=lag, step=card.get("step"), comparable=same, **macro)


def pretend(arguments: argparse.Namespace) -> None:
    """Build a CUDA driver of CPU threads and a tiny model for a dry run."""
    from tests.runtime.conftest import SMALL, exported

    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        sys.exit("no C++ compiler: g++ (or $CXX) is not on PATH")
    source = ROOT / "tests" / "runtime" / "cuda" / "driver_on_cpu.cpp"
    library = arguments.out / "libcuda.so.1"
    flags = ("-std=c++20", "-O1", "-Wno-unknown-pragmas", "-shared", "-fPIC", "-pthread")
    command = [compiler, *flags, f"-I{ROOT / 'cpp_ext'}", f"-Wl,-soname,{library.name}"]
    subprocess.run([*command, "-x", "c++", str(source), "-o", str(library)], check=True)
    (arguments.out / "small").mkdir()
    exported(SMALL, arguments.out / "small")
    say(model=str(arguments.out / "small" / "out"))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main(words: list[str] | None = None) -> int:
    """Run one measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    kinds = parser.add_subparsers(required=True)
    for name, work in (
        ("window", measure_window), ("steps", measure_steps), ("parity", measure_parity),
        ("rtx", measure_rtx), ("rtx-try", try_rtx),
    ):  # fmt: skip
        kind = kinds.add_parser(name, help=work.__doc__)
        kind.add_argument("--model", type=Path, default=DEFAULT_MODEL)
        kind.add_argument("--persons", default="1,8,64,256,1024")
        kind.add_argument("--repeats", type=int, default=200)
        kind.set_defaults(work=work)
    kind = kinds.add_parser("batches", help=measure_batches.__doc__)
    kind.add_argument("--mocap", type=Path, required=True)
    kind.add_argument("--workers", default="1")
    kind.add_argument("--seconds", type=float, default=4.0)
    kind.add_argument("--clips", type=int, default=512)
    kind.add_argument("--frames", type=int, default=96)
    kind.set_defaults(work=measure_batches)
    kind = kinds.add_parser("score", help=measure_score.__doc__)
    kind.add_argument("checkpoint", type=Path)
    kind.add_argument("--mocap", type=Path, required=True)
    kind.add_argument("--threads", type=int, default=1)
    kind.set_defaults(work=measure_score)
    kind = kinds.add_parser("pretend", help=pretend.__doc__)
    kind.add_argument("--out", type=Path, required=True)
    kind.set_defaults(work=pretend)
    arguments = parser.parse_args(words)
    arguments.work(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
