"""`langpose-rt export`: a checkpoint becomes a model folder that serves without torch."""

import argparse
import json
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

from langpose_rt.errors import ConfigError

SUMMARY = "turn a checkpoint into a model folder (ONNX encoder and lifter, manifest with parity in mm)"
EXAMPLE = "langpose-rt export runs/live/model.safetensors --out engines/live --precision fp32,int8"

_PRECISIONS = ("fp32", "int8")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a .safetensors checkpoint")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="model folder to write")
    parser.add_argument(
        "--precision", default="fp32", metavar="LIST", help="fp32 or fp32,int8 (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the manifest as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Export, and print what was measured."""
    precisions = tuple(arguments.precision.split(","))
    if "fp32" not in precisions or set(precisions) - set(_PRECISIONS):
        raise ConfigError(f"--precision takes fp32 or fp32,int8, got {arguments.precision!r}")
    missing = [name for name in ("torch", "onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"export needs {' and '.join(missing)}; install with 'pip install \"langpose-rt[train]\"'"
        )
    from langpose_rt.engine.demo import demo_parity_clip
    from langpose_rt.engine.export import model_folder_from_checkpoint

    print(f"exporting {arguments.checkpoint} (about half a minute)", file=sys.stderr)
    manifest = model_folder_from_checkpoint(
        arguments.checkpoint,
        arguments.out,
        demo_parity_clip(),
        precisions=precisions,
        command="langpose-rt " + shlex.join(("export", arguments.checkpoint.name, "--precision", arguments.precision)),
    )
    if arguments.json:
        print(json.dumps({"folder": str(arguments.out), "products": _plain(manifest.products)}))
        return 0
    print(f"{arguments.out}: model {manifest.name}, {len(manifest.files)} files")
    for name, product in manifest.products.items():
        parity = product.parity
        print(
            f"  {name}: {parity.mean_mm:.4f} mm mean, {parity.worst_mm:.4f} mm worst joint from float32 "
            f"torch ({parity.clip}, {parity.frames} frames)"
        )
    print(f"serve it with: langpose-rt serve --model {arguments.out}")
    return 0


def _plain(products: object) -> object:
    import msgspec

    return msgspec.to_builtins(products)
