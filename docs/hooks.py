"""MkDocs hooks: pages that are generated from the package while the site is built.

<!-- commands -->          the help text of every command of `langpose-rt`
<!-- docstring MODULE -->  the docstring of a module, its underlined titles as headings
<!-- file PATH -->         a Python file of the repository
<!-- config CLASS -->      a configuration dataclass: its docstring, and a table of its fields
"""

import argparse
import dataclasses
import html
import importlib
import inspect
import os
import re
import textwrap
import typing
from pathlib import Path
from typing import Any
from unittest.mock import patch

from langpose_rt.cli.main import COMMANDS, build_parser

COLUMNS = 96
"""Width of the help texts, in characters."""

ROOT = Path(__file__).parent.parent

_FILE = re.compile(r"<!-- file ([\w./]+\.py) -->")
_DOCSTRING = re.compile(r"<!-- docstring ([\w.]+) -->")
_CONFIG = re.compile(r"<!-- config ([\w.]+) -->")
_TITLE = re.compile(r"^(.+)\n=+$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the markers of one page."""
    if "<!-- commands -->" in markdown:
        markdown = markdown.replace("<!-- commands -->", commands_as_markdown())
    markdown = _CONFIG.sub(lambda found: config_as_markdown(found[1]), markdown)
    markdown = _FILE.sub(lambda found: file_as_markdown(ROOT / found[1]), markdown)
    return _DOCSTRING.sub(lambda found: docstring_as_markdown(found[1]), markdown)


def commands_as_markdown() -> str:
    """Return the help text of every command under a heading of its name."""
    with patch.dict(os.environ, COLUMNS=str(COLUMNS)):
        return "\n\n".join(_help_of(name) for name in COMMANDS)


def _help_of(name: str) -> str:
    command = _subcommands(build_parser(name))[name]
    parts = [f"## {name}\n\n```text\n{command.format_help().rstrip()}\n```"]
    for action, parser in _subcommands(command).items():
        parts.append(f"### {name} {action}\n\n```text\n{parser.format_help().rstrip()}\n```")
    return "\n\n".join(parts)


def docstring_as_markdown(module: str) -> str:
    """Return the docstring of a module: titles as headings, indented lines as code blocks."""
    text = _TITLE.sub(r"## \1\n", inspect.getdoc(importlib.import_module(module)) or "")
    return "\n\n".join(
        f"```text\n{textwrap.dedent(part)}\n```" if indented else _escaped(part)
        for indented, part in _parts(text)
    )


def config_as_markdown(name: str) -> str:
    """Return a configuration dataclass as a heading, its docstring and a table of its fields."""
    module, _, class_name = name.rpartition(".")
    config = getattr(importlib.import_module(module), class_name)
    summary, *sections = (inspect.getdoc(config) or "").split("\n\n")
    lines = [f"### {class_name}", "", summary, "", "| field | type | default | meaning |"]
    lines.append("|---|---|---|---|")
    for field in dataclasses.fields(config):
        help_text = _escaped(field.metadata.get("help", "see below")).replace("|", "\\|")
        plain = isinstance(field.type, type) and not typing.get_args(field.type)
        kind = field.type.__name__ if plain else str(field.type)
        kind = kind.replace("typing.", "").replace("pathlib.", "").replace("|", "\\|")
        lines.append(f"| `{field.name}` | `{kind}` | {_default_of(field)} | {help_text} |")
    return "\n".join([*lines, *("\n" + _escaped(" ".join(part.split())) for part in sections)])


def _default_of(field: "dataclasses.Field[Any]") -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!r}`"
    return "" if field.default_factory is dataclasses.MISSING else "its own"


def file_as_markdown(path: Path) -> str:
    """Return a Python file as a code block."""
    return f"```python\n{path.read_text(encoding='utf-8')}```"


def _parts(text: str) -> list[tuple[bool, str]]:
    """Split into runs of indented and other lines; a blank line belongs to the run it is in."""
    parts: list[tuple[bool, list[str]]] = []
    for line in text.splitlines():
        indented = line[:1].isspace()
        if not parts or (line.strip() and indented is not parts[-1][0]):
            parts.append((indented, []))
        parts[-1][1].append(line)
    return [(indented, "\n".join(lines).strip("\n")) for indented, lines in parts]


def _escaped(prose: str) -> str:
    """Return prose in which Markdown and HTML see no marks but those of code."""
    pieces = prose.split("`")  # every second piece is code
    pieces[::2] = [re.sub(r"([*_])", r"\\\1", html.escape(p, quote=False)) for p in pieces[::2]]
    return "`".join(pieces)


def _subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:  # argparse has no public way to list them
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}
