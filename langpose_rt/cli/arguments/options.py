"""Flags from configuration dataclasses: a field, its default and its explanation are written once.

The help of a flag is the field's entry under ``Args:`` in the docstring of its class. The flags of
the model are here too: they mean the same in every command that opens one.
"""

import argparse
import inspect
import logging
import os
import re
import types
from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, fields
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
    parser: "argparse._ActionsContainer", config: type[Any], *, leave_out: Collection[str] = ()
) -> None:
    """Declare one flag per field of a configuration dataclass."""
    texts = _explanations(config)
    types_of_fields = get_type_hints(config)
    for field in fields(config):
        if field.name not in leave_out:
            _add_flag(parser, field, types_of_fields[field.name], texts.get(field.name, ""))


def config_from_arguments(
    config: type[ConfigT], arguments: argparse.Namespace, **given: Any
) -> ConfigT:
    """The configuration the flags describe.

    Args:
        config: Its dataclass.
        arguments: Parsed flags.
        given: Values that are not flags of this command.

    Raises:
        ConfigError: If the configuration refuses a value.
    """
    names = {field.name for field in fields(config)}  # type: ignore[arg-type]
    values = {k: v for k, v in vars(arguments).items() if k in names} | given
    return config(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


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
            "auto, tensorrt, tensorrt-rtx, onnx or torch (default: auto)",
        ),
        ("--precision", str, "auto", "NAME", "fp32, or fp16 for engines (default: the backend's)"),
        ("--threads", int, 1, "N", "CPU threads of the model (default: 1)"),
    ):
        group.add_argument(flag, type=kind, default=default, metavar=metavar, help=text)


def backend_from_arguments(
    arguments: argparse.Namespace,
    *,
    slots: int,
    folder: Path | None = None,
    failing: str | None = None,
    say: Callable[[str], None] | None = None,
) -> "Backend":
    """The backend the flags describe.

    Args:
        arguments: Parsed flags, of `add_model_arguments` at least.
        slots: Persons to remember at once.
        folder: Another model than the one of the flags.
        failing: A backend that has been answering and cannot go on. If it is one of a GPU, the CPU
            stands in: a CUDA context that has failed stays so for the life of the process.
        say: Told in one line what ``auto`` is, and why; None is nobody.

    Raises:
        ConfigError: If an option is wrong, the library is not installed, or the model is not whole.
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
            say=say or log.debug,
        )
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--backend {arguments.backend} needs {error.name}, which is not installed; "
            "install with 'pip install \"langpose-rt[train]\"' or choose --backend onnx"
        ) from None


def model_flags(arguments: argparse.Namespace) -> list[str]:
    """The flags of `add_model_arguments` again, for a server in a process of its own."""
    flags = ["--backend", arguments.backend, "--precision", arguments.precision]
    flags += ["--threads", str(arguments.threads)]
    return flags + (["--model", str(arguments.model)] if arguments.model else [])


def add_up_argument(parser: "argparse._ActionsContainer") -> None:
    """Declare which way is up in the world of a calibration."""
    parser.add_argument(
        "--up",
        choices=("x", "y", "z", "-x", "-y", "-z"),
        help="which way is up in the world of --cameras (default: z if the cameras look like it)",
    )


def check_writable(path: Path, what: str, option: str = "--out") -> None:
    """Refuse a file that cannot be written, before the work it is meant for.

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
    """Refuse to write over what is read.

    Raises:
        ConfigError: If both are one file.
    """
    if out.exists() and source.exists() and out.samefile(source):
        raise ConfigError(f"{out} is the file that is read; choose another -o")


def _add_flag(
    parser: "argparse._ActionsContainer", field: Field[Any], kind: Any, text: str
) -> None:
    name = "--" + field.name.replace("_", "-")
    default = None if field.default is MISSING else field.default
    if kind is bool:
        parser.add_argument(name, action="store_true", default=default, help=_help(text, None))
        return
    options: dict[str, Any] = {"default": default}
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is tuple:
        options, default = {"action": "append", "default": []}, None
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        options["choices"] = get_args(kind)
    else:
        options |= {"type": kind, "metavar": _METAVARS.get(kind, "VALUE")}
    parser.add_argument(name, help=_help(text, default), **options)


def _help(text: str, default: object) -> str:
    """The text of a field in the words of a command line, which knows no None."""
    text = text[:1].lower() + text[1:]
    if default is None:
        return text.replace("None ", "left out: ").replace("%", "%%")
    text = re.sub(r"[,;] None [^,;]*", "", text)
    return f"{text} (default: {default})".replace("%", "%%")


def _explanations(config: type[Any]) -> dict[str, str]:
    """Field name to its text in the docstring's Args section."""
    _, _, section = inspect.cleandoc(config.__doc__ or "").partition("Args:\n")
    section = re.split(r"\n(?=\S)", section)[0]
    entries = re.split(r"\n {4}(?=\w)", "\n" + section)
    parted = (entry.partition(":") for entry in entries if ":" in entry)
    return {
        name: re.sub(r"``", "", " ".join(text.split())).removesuffix(".")
        for names, _, text in parted
        for name in re.split(r",\s*", names.strip())
    }
