"""`langpose-rt export`: export a checkpoint to a model folder that serves without torch."""

import argparse
import json
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from langpose_rt.manifest import Manifest

SUMMARY = "turn a checkpoint into a model folder that serves without torch"
EXAMPLE = "langpose-rt export model.safetensors --out engines/live"

_NEEDS = ("torch", "onnx", "onnxscript", "safetensors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="a .safetensors checkpoint"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="model folder to write"
    )
    parser.add_argument(
        "--mirrored", choices=("true", "false"),
        help="answer with the mirror image too: nearer to the truth for up to twice the work "
        "(default: as the checkpoint says)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the products as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Export the checkpoint and print the measured parity."""
    if not arguments.checkpoint.is_file():
        raise ConfigError(f"no checkpoint at {arguments.checkpoint}; expected a .safetensors file")
    if arguments.out.exists() and not arguments.out.is_dir():
        raise ConfigError(f"{arguments.out} is a file; give a folder with --out")
    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"export needs {' and '.join(missing)}; install with 'pip install \".[train]\"'"
        )
    manifest = _exported(arguments)
    if arguments.json:
        print(json.dumps({"folder": str(arguments.out), "products": _plain(manifest)}))
    else:
        print(_report(arguments.out, manifest))
    return 0


def _exported(arguments: argparse.Namespace) -> "Manifest":
    from langpose_rt.engine.onnx_export import model_folder_from_checkpoint
    from langpose_rt.runtime.parity import demo_parity_clip

    words = ["export", arguments.checkpoint.name]
    mirrored = None
    if arguments.mirrored:
        mirrored = arguments.mirrored == "true"
        words += ["--mirrored", arguments.mirrored]
    if sys.stderr.isatty():
        print("exporting takes about half a minute", file=sys.stderr)
    return model_folder_from_checkpoint(
        arguments.checkpoint,
        arguments.out,
        demo_parity_clip(),
        command="langpose-rt " + shlex.join(words),
        mirrored=mirrored,
    )


def _report(folder: Path, manifest: "Manifest") -> str:
    lines = [f"{folder}: model {manifest.name}, {len(manifest.files)} files"]
    for name, product in manifest.products.items():
        parity = product.parity
        lines.append(
            f"  {name}: {parity.mean_mm:.4f} mm mean, {parity.worst_mm:.4f} mm worst joint from "
            f"float32 torch ({parity.clip}, {parity.frames} frames)"
        )
    return "\n".join((*lines, f"serve it with: langpose-rt serve --model {folder}"))


def _plain(manifest: "Manifest") -> object:
    import msgspec

    return msgspec.to_builtins(manifest.products)
