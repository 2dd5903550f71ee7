"""Command-line flags from configuration dataclasses, and the flags that open a backend.

A field of a configuration is a flag: its default is the flag's default, and ``metadata["help"]`` is
its help text. A text about a field whose default is None says itself what the default means.
"""

import argparse
import logging
import os
import types
from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from langpose_rt.runtime.backend import Backend

ConfigT = TypeVar("ConfigT")

MOST_THREADS = 256

log = logging.getLogger(__name__)
_METAVARS = {int: "N", float: "X", str: "NAME", Path: "PATH"}


def add_config_arguments(
    parser: "argparse._ActionsContainer",
    config: type[Any],
    *,
    leave_out: Collection[str] = (),
    unset: bool = False,
) -> None:
    """Declare one flag per field of a configuration dataclass and of the dataclasses in it.

    Args:
        parser: Parser or group that gets the flags.
        config: The dataclass; the fields of all nested dataclasses have different names.
        leave_out: Fields that are not flags of this command.
        unset: A flag that is not given is None instead of the default, so that a preset's value
            stays.
    """
    types_of_fields = get_type_hints(config)
    for field in fields(config):
        kind = types_of_fields[field.name]
        if field.name in leave_out:
            continue
        if isinstance(kind, type) and is_dataclass(kind):
            add_config_arguments(parser, kind, leave_out=leave_out, unset=unset)
        else:
            _add_flag(parser, field, kind, unset=unset)


def config_from_arguments(
    config: type[ConfigT], arguments: argparse.Namespace, **values: Any
) -> ConfigT:
    """Build the configuration that the flags describe.

    Args:
        config: Its dataclass; a nested dataclass is built from the flags too.
        arguments: Parsed flags.
        values: Values that are not flags of this command.

    Raises:
        ConfigError: If the configuration rejects a value.
    """
    types_of_fields = get_type_hints(config)
    chosen: dict[str, Any] = {}
    for name in (field.name for field in fields(config)):  # type: ignore[arg-type]
        if name in values:
            chosen[name] = values[name]
        elif is_dataclass(kind := types_of_fields[name]):
            chosen[name] = config_from_arguments(kind, arguments)  # type: ignore[arg-type]
        elif hasattr(arguments, name):
            value = getattr(arguments, name)
            chosen[name] = tuple(value) if isinstance(value, list) else value
    return config(**chosen)


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that open a backend."""
    group = parser.add_argument_group("model")
    for flag, kind, default, metavar, text in (
        ("--model", Path, None, "FOLDER", "model folder (default: the one that ships)"),
        (
            "--backend",
            str,
            "auto",
            "NAME",
            "auto, tensorrt, tensorrt-rtx, native, onnx or torch (default: auto)",
        ),
        ("--precision", str, "auto", "NAME", "fp32, or fp16 for engines (default: the backend's)"),
        ("--threads", int, 1, "N", "CPU threads of onnx or torch (default: 1)"),
    ):
        group.add_argument(flag, type=kind, default=default, metavar=metavar, help=text)


def backend_from_arguments(
    arguments: argparse.Namespace,
    *,
    slots: int,
    folder: Path | None = None,
    failing: str | None = None,
    report: Callable[[str], None] | None = None,
) -> "Backend":
    """Open the backend that the flags describe.

    Args:
        arguments: Parsed flags, of `add_model_arguments` at least.
        slots: Number of person slots.
        folder: Model folder instead of the one of the flags.
        failing: Name of the backend that keeps failing, if one does. The CPU replaces a GPU
            backend: a CUDA context that has failed stays failed for the life of the process.
        report: Called with one line that names the backend ``auto`` selected and the reason.

    Raises:
        ConfigError: If an option is wrong or the library is not installed.
        ModelError: If the model folder is missing or damaged.
    """
    from langpose_rt.runtime.backend import GPU_BACKENDS
    from langpose_rt.runtime.registry import open_backend

    degraded = failing in GPU_BACKENDS
    if not 1 <= arguments.threads <= MOST_THREADS:
        raise ConfigError(f"--threads is {arguments.threads}; expected 1 to {MOST_THREADS}")
    try:
        return open_backend(
            folder or arguments.model,
            "onnx" if degraded else arguments.backend,
            slots=slots,
            threads=arguments.threads,
            precision="auto" if degraded else arguments.precision,
            report=report or log.debug,
        )
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--backend {arguments.backend} needs {error.name}, which is not installed; "
            "install with 'pip install \".[train]\"' or choose --backend onnx"
        ) from None


def model_flags(arguments: argparse.Namespace) -> list[str]:
    """Return the flags of `add_model_arguments` as text, for a server in a child process."""
    flags = ["--backend", arguments.backend, "--precision", arguments.precision]
    flags += ["--threads", str(arguments.threads)]
    return flags + (["--model", str(arguments.model)] if arguments.model else [])


def add_up_argument(parser: "argparse._ActionsContainer") -> None:
    """Declare --up, the up axis of the world of a calibration."""
    parser.add_argument(
        "--up",
        choices=("x", "y", "z", "-x", "-y", "-z"),
        help="which way is up in the world of --cameras (default: z if the cameras look like it)",
    )


def add_gravity_arguments(parser: "argparse._ActionsContainer") -> None:
    """Declare --gravity and --camera-pitch-deg, for commands that read files."""
    from langpose_rt.geometry.level_axes import CAMERA_PITCH_HELP, GRAVITY_HELP

    parser.add_argument("--gravity", metavar="X,Y,Z", help=GRAVITY_HELP)
    parser.add_argument("--camera-pitch-deg", type=float, metavar="X", help=CAMERA_PITCH_HELP)


def check_writable(path: Path, what: str, option: str = "--out") -> None:
    """Check that a file can be written, before the work that produces it.

    Raises:
        ConfigError: If it is a folder, or its folder is missing or not writable.
    """
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; give the name of the {what} with {option}")
    if not path.parent.is_dir():
        raise ConfigError(
            f"there is no folder {path.parent} for the {what}; choose another {option}"
        )
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ConfigError(f"{path} cannot be written; choose another {option} for the {what}")


def check_not_input(out: Path, source: Path) -> None:
    """Refuse an output file that is the input file.

    Raises:
        ConfigError: If both paths are the same file.
    """
    if out.exists() and source.exists() and out.samefile(source):
        raise ConfigError(f"{out} is the file that is read; choose another -o")


def _add_flag(
    parser: "argparse._ActionsContainer", field: Field[Any], kind: Any, *, unset: bool
) -> None:
    default = None if field.default is MISSING else field.default
    options: dict[str, Any] = {"default": None if unset else default}
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is tuple:
        options, default = {"action": "append", "default": []}, None
        kind = get_args(kind)[0]
    if kind is bool:
        options |= {"type": _boolean, "nargs": "?", "const": True, "metavar": "BOOL"}
        default = str(default).lower() if default or unset else None
    elif get_origin(kind) is Literal:
        options["choices"] = get_args(kind)
    else:
        options |= {
            "type": kind,
            "metavar": field.metadata.get("metavar", _METAVARS.get(kind, "VALUE")),
        }
    text = field.metadata.get("help", "")
    text += "" if default is None else f" (default: {default})"
    name = "--" + field.name.replace("_", "-")
    parser.add_argument(name, help=text.strip().replace("%", "%%"), **options)


def _boolean(text: str) -> bool:
    values = {"true": True, "1": True, "false": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"expected true or false, got {text}")
    return values[text.lower()]
