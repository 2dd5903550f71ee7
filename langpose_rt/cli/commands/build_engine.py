"""`langpose-rt build-engine`: build and validate FP16 TensorRT engines of a model."""

import argparse
import json
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from langpose_rt.cli.terminal.build_progress import build_progress
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from langpose_rt.engine.build_config import BuildConfig
    from langpose_rt.engine.engine_builder import RunEngine, Toolchain
    from langpose_rt.manifest import Engine, EnginePart, EngineProduct, Manifest
    from langpose_rt.runtime.backend import Backend
    from langpose_rt.runtime.gpu_info import Gpu

SUMMARY = "build FP16 TensorRT or TensorRT-RTX engines of a model, and prove them in mm"
EXAMPLE = "langpose-rt build-engine --flavor rtx --arch 8.9 --out engines"

_MEGABYTE = 1e6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    for flag, kind, default, metavar, text in (
        ("--model", Path, None, "FOLDER", "model folder (default: the one that ships)"),
        ("--flavor", str, "auto", "NAME", "auto, tensorrt or rtx (default: auto)"),
        ("--batch", str, "1,8,64,256", "LIST",
         "largest batch of every latency class (default: 1,8,64,256)"),
        ("--arch", str, None, "LIST",
         "architectures as in 8.9 or sm_89; rtx builds them without a GPU (default: this GPU's)"),
        ("--level", int, 5, "N", "how hard the builder searches, 0 to 5 (default: 5)"),
        ("--out", Path, Path("engines"), "FOLDER",
         "the engine goes into a folder in here named as the model's (default: engines)"),
    ):  # fmt: skip
        parser.add_argument(flag, type=kind, default=default, metavar=metavar, help=text)
    parser.add_argument("--force", action="store_true", help="build even what is already there")
    parser.add_argument("--json", action="store_true", help="print the engine's record as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Build the engine unless it exists, and print its validation."""
    if find_spec("onnx") is None:
        raise ConfigError("build-engine needs onnx; install with 'pip install \".[rtx]\"' or [gpu]")
    from langpose_rt.engine.engine_builder import build_engine_folder, engine_name, existing_engine
    from langpose_rt.runtime.backend import DEFAULT_MODEL
    from langpose_rt.runtime.parity import demo_parity_clip

    if arguments.out.exists() and not arguments.out.is_dir():
        raise ConfigError(f"{arguments.out} is a file; give a folder with --out")
    tools, config = _tools_and_config(arguments)
    source: Path = arguments.model or DEFAULT_MODEL
    folder = arguments.out / source.resolve().name
    name = engine_name(tools.flavor, config)
    product, reasons = existing_engine(source, folder, tools, config)
    found = product is not None and not reasons and not arguments.force
    for reason in reasons:
        print(f"{name} is built again: {reason}", file=sys.stderr)
    if product is None or not found:
        with build_progress(quiet=arguments.json) as progress:
            product = build_engine_folder(
                source, folder, tools, config, demo_parity_clip(),
                command=_command(arguments, config), progress=progress,
            )  # fmt: skip
    if arguments.json:
        print(json.dumps(_plain(folder, name, product, found=found)))
    else:
        print(_report(folder, name, product, found=found))
    return 0


def _tools_and_config(arguments: argparse.Namespace) -> "tuple[Toolchain, BuildConfig]":
    """Return toolchain and build options; every input is checked before TensorRT is used."""
    from langpose_rt.engine.build_config import (
        BuildConfig,
        batches_from_text,
        capabilities_from_text,
    )
    from langpose_rt.engine.engine_builder import Toolchain
    from langpose_rt.runtime.tensorrt_flavor import import_tensorrt, select_flavor

    gpu, no_gpu_reason = _gpu()
    flavor = select_flavor(arguments.flavor, gpu)
    targets = capabilities_from_text(arguments.arch) if arguments.arch else ()
    if gpu is None and not flavor.builds_anywhere:
        raise ConfigError(f"{flavor.title} builds on the GPU it builds for, but {no_gpu_reason}")
    if gpu is None and not targets:
        raise ConfigError(f"{no_gpu_reason}; name the architecture to build for, as in --arch 8.9")
    if gpu is not None and not targets:
        targets = (gpu.compute_capability,)
    if gpu is not None and not flavor.builds_anywhere and targets != (gpu.compute_capability,):
        raise ConfigError(
            f"{flavor.title} builds for the GPU that is here, {gpu.compute_capability}, "
            f"not for {', '.join(targets)}; leave out --arch"
        )
    for target in targets:
        flavor.check_capability(target)
    config = BuildConfig(
        batch=batches_from_text(arguments.batch), targets=targets,
        optimization_level=arguments.level,
    )  # fmt: skip
    run_engine = None if gpu is None else _run_engine(gpu)
    trt = import_tensorrt(flavor)
    return Toolchain(trt=trt, flavor=flavor, gpu=gpu, run_engine=run_engine), config


def _run_engine(gpu: "Gpu") -> "RunEngine":
    """Return a function that opens a built engine on this GPU, to measure its own parity."""
    from langpose_rt.runtime.tensorrt import engine_backend

    def run(folder: Path, manifest: "Manifest", engine: "Engine") -> "Backend":
        return engine_backend(folder, manifest, engine, gpu=gpu)

    return run


def _gpu() -> "tuple[Gpu | None, str]":
    from langpose_rt.runtime.gpu_info import probe

    try:
        return probe(), ""
    except ConfigError as error:
        return None, str(error)


def _command(arguments: argparse.Namespace, config: "BuildConfig") -> str:
    """Return the command line for the record, with the model's name instead of its path."""
    words = ["build-engine", "--flavor", arguments.flavor, "--batch", arguments.batch]
    words += ["--arch", ",".join(config.targets)] if arguments.arch else []
    words += ["--model", arguments.model.resolve().name] if arguments.model else []
    return "langpose-rt " + shlex.join([*words, "--level", str(arguments.level)])


def _report(folder: Path, name: str, product: "EngineProduct", *, found: bool) -> str:
    from langpose_rt.runtime.tensorrt_flavor import FLAVORS

    engine, parity = product.engine, product.parity
    batches = ", ".join(
        str(p.largest) if p.smallest == p.largest else f"{p.smallest}-{p.largest}"
        for p in engine.profiles
    )
    again = "; it was there already, --force builds it again" if found else ""
    title = FLAVORS[engine.flavor].title
    targets = ", ".join(engine.targets)
    measured = f"{parity.mean_mm:.3f} mm mean, {parity.worst_mm:.3f} mm worst joint"
    where = f"{parity.reference} ({parity.clip}, {parity.frames} frames)"
    lines = (
        f"{folder}: engine {name}, {title} {engine.version}, compute capability {targets}{again}",
        f"  {'':<9}{'size':>9}{'build':>9}{'half':>7}{'in engine':>11}",
        _row("encoder", engine.encoder),
        _row("lifter", engine.lifter),
        f"  batches  {batches}",
        f"  parity   {measured} from {where}",
        f"           measured on {parity.evaluator}",
    )
    return "\n".join(lines)


def _row(name: str, part: "EnginePart") -> str:
    inside = "not seen" if part.engine_half is None else f"{part.engine_half:.0%}"
    return (
        f"  {name:<9}{part.size_bytes / _MEGABYTE:>6.1f} MB{part.build_s:>7.1f} s"
        f"{part.network_half:>7.0%}{inside:>11}"
    )


def _plain(folder: Path, name: str, product: "EngineProduct", *, found: bool) -> dict[str, object]:
    import msgspec

    record: dict[str, object] = msgspec.to_builtins(product)
    return {"folder": str(folder), "name": name, "was_there": found, **record}
