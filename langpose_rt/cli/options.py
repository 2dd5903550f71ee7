"""Flags from configuration dataclasses: a field, its default and its explanation are written once.

The help of a flag is the field's entry under ``Args:`` in the docstring of its class.
"""

import argparse
import inspect
import re
import types
from collections.abc import Collection
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

ConfigT = TypeVar("ConfigT")


def add_config_arguments(
    parser: argparse.ArgumentParser, config: type[Any], *, leave_out: Collection[str] = ()
) -> None:
    """Declare one flag per field of a configuration dataclass."""
    texts = _explanations(config)
    types_of_fields = get_type_hints(config)
    for field in fields(config):
        if field.name not in leave_out:
            _add_flag(parser, field, types_of_fields[field.name], texts.get(field.name, ""))


def config_from_arguments(config: type[ConfigT], arguments: argparse.Namespace, **given: Any) -> ConfigT:
    """The configuration the flags describe.

    Args:
        config: Its dataclass.
        arguments: Parsed flags.
        given: Values that are not flags of this command.

    Raises:
        ConfigError: If the configuration refuses a value.
    """
    names = {field.name for field in fields(config)}  # type: ignore[arg-type]
    return config(**{k: v for k, v in vars(arguments).items() if k in names} | given)


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that open a backend."""
    group = parser.add_argument_group("model")
    group.add_argument("--model", type=Path, metavar="FOLDER", help="model folder (default: the one that ships)")
    group.add_argument("--backend", default="auto", help="auto, onnx or torch (default: %(default)s)")
    group.add_argument("--precision", default="fp32", help="fp32, or int8 where exported (default: %(default)s)")
    group.add_argument("--threads", type=int, default=1, help="threads of one step (default: %(default)s)")


def _add_flag(parser: argparse.ArgumentParser, field: Field[Any], kind: Any, text: str) -> None:
    name = "--" + field.name.replace("_", "-")
    default = None if field.default is MISSING else field.default
    if kind is bool:
        parser.add_argument(name, action="store_true", default=default, help=text)
        return
    options: dict[str, Any] = {"default": default}
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is Literal:
        options["choices"] = get_args(kind)
    else:
        options |= {"type": kind, "metavar": _METAVARS.get(kind, "VALUE")}
    shown = "" if default is None else f" (default: {default})"
    parser.add_argument(name, help=(text + shown).replace("%", "%%"), **options)


_METAVARS = {int: "N", float: "X", str: "NAME", Path: "FILE"}


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
