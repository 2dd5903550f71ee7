"""The documents are true: lengths, links, paths, module names, commands and options."""

import argparse
import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import io
import itertools
import pkgutil
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from langpose_rt.cli.main import COMMANDS, build_parser
from langpose_rt.config import ModelConfig
from langpose_rt.engine.build_config import BuildConfig
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.server.config import ServerConfig
from tests.commands import COMMAND, ENVIRONMENT, ROOT

LONGEST_RUN_S = 400
MOST_LINES = {"README.md": 180, "training/README.md": 120}
MOST_DECISION_LINES = 25

_CODE_BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_RUN_BLOCK = re.compile(r"^<!-- runs -->\n```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_MODULE = re.compile(r"langpose_rt(?:\.[A-Za-z_]\w*)+")
_PATH = re.compile(r"(?:langpose_rt|training|tests|cpp_ext|docs)/[\w./-]*")
_PYTHON_M = re.compile(r"python3? -m ([\w.]+)")
_OPTION = re.compile(r"(--[a-z][a-z0-9-]*)(?:[ =].*)?")
_QUOTED_OPTION = re.compile(r'"(--[a-z][a-z0-9-]*)"')
_FIELD = re.compile(r"^    (\w+): ", re.MULTILINE)
_PROMPT = re.compile(r"^(?:server|rig)\$ +")


class Place(NamedTuple):
    """Something a document shows, and where."""

    document: str
    text: str


def documents() -> list[Path]:
    found = itertools.chain(
        [ROOT / "README.md"],
        (ROOT / "docs").rglob("*.md"),
        (ROOT / name / "README.md" for name in ("training", "engines", "cpp_ext")),
        (ROOT / "langpose_rt").rglob("README.md"),
    )
    return sorted(found)


def name_of(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[str]:
    return [content for _, content in _CODE_BLOCK.findall(text)]


def spans(text: str) -> list[str]:
    return _CODE_SPAN.findall(_CODE_BLOCK.sub("", text))


def shown(document: Path) -> Iterator[Place]:
    """Every code span and every line of a code block; lines that go on are joined."""
    text = document.read_text(encoding="utf-8")
    for span in spans(text):
        yield Place(name_of(document), span)
    for block in blocks(text):
        for line in block.replace("\\\n", " ").splitlines():
            yield Place(name_of(document), line.strip())


def everything_shown() -> list[Place]:
    return [place for document in documents() for place in shown(document)]


def ids_of(place: Place) -> str:
    return f"{place.document}: {place.text}"


def command_lines(text: str) -> Iterator[list[str]]:
    """The words of every `langpose-rt` command in a line, after the name of the program."""
    for part in re.split(r" && ", _PROMPT.sub("", text)):
        if part.startswith("langpose-rt "):
            yield shlex.split(part, comments=True)[1:]
        elif inside := re.search(rf" langpose-rt ((?:{'|'.join(COMMANDS)})\b.*)$", part):
            yield shlex.split(inside[1], comments=True)


def complaint(words: list[str]) -> str:
    """What the parser says of a command line; nothing if it is right."""
    chosen = next((word for word in words if word in COMMANDS), None)
    if words == [chosen]:
        return ""  # the name of a command in a sentence
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            build_parser(chosen).parse_args(words)
        except SystemExit:
            return said.getvalue()
    return ""


def options_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from options_of(command)


@functools.cache
def known_options() -> frozenset[str]:
    """Every option of the commands, the scripts, and the trainer: flags and fields of configs."""
    folders = (ROOT / "training", ROOT / "tests" / "gpu")
    sources = [path.read_text("utf-8") for folder in folders for path in folder.rglob("*.py")]
    trainer = {option for text in sources for option in _QUOTED_OPTION.findall(text)}
    fields = {name for text in sources for name in _FIELD.findall(text)}
    commands = {option for name in COMMANDS for option in options_of(build_parser(name))}
    return frozenset(commands | trainer | {f"--{name.replace('_', '-')}" for name in fields})


@functools.cache
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", MOST_LINES)
def test_a_readme_stays_short(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES[name]


def test_a_decision_is_one_short_page_of_three_paragraphs() -> None:
    pages = set((ROOT / "docs/development/decisions").glob("*.md"))
    pages.remove(ROOT / "docs/development/decisions/index.md")
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= MOST_DECISION_LINES, page.name
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE) == [
            "Context", "Decision", "Consequence",
        ], page.name  # fmt: skip


@pytest.mark.parametrize("document", documents(), ids=name_of)
def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    text = _CODE_BLOCK.sub("", document.read_text(encoding="utf-8"))
    for target in _LINK.findall(text):
        if "://" not in target and not target.startswith(("#", "mailto:")):
            assert (document.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize(
    ("word", "explained"),
    [("MPJPE", "mean distance of a joint"), ("sigma", "standard deviation"),
     ("p99", "of a hundred"), ("shed", "left out"), ("epoch", "starts? of a publisher")],
)  # fmt: skip
def test_a_page_explains_its_words_or_links_to_the_glossary(word: str, explained: str) -> None:
    found = 0
    for document in documents():
        text = document.read_text(encoding="utf-8")
        prose = " ".join(_CODE_SPAN.sub("", _CODE_BLOCK.sub("", text)).split())
        if "docs" in document.parts and "decisions" in document.parts:
            continue
        if re.search(rf"\b{word}s?\b", prose):
            found += 1
            linked = "glossary.md" in text and document.name != "README.md"
            assert linked or re.search(explained, prose), name_of(document)
    assert found


def test_every_path_that_is_named_exists() -> None:
    places = [place for place in everything_shown() if _PATH.fullmatch(place.text)]
    assert len(places) > 20
    assert [place for place in places if not (ROOT / place.text).exists()] == []


def test_every_module_that_is_named_can_be_imported() -> None:
    places = [place for place in everything_shown() if _MODULE.fullmatch(place.text)]
    assert len(places) > 20
    missing = []
    for place in places:
        try:
            pkgutil.resolve_name(place.text)
        except (ImportError, AttributeError):
            missing.append(ids_of(place))
    assert missing == []


def test_every_example_imports_names_that_exist() -> None:
    imports = re.compile(r"^from (langpose_rt[\w.]*) import (.+)$", re.MULTILINE)
    found = [
        (module, name.strip())
        for document in documents()
        for block in blocks(document.read_text(encoding="utf-8"))
        for module, names in imports.findall(block)
        for name in names.split(",")
    ]
    assert len(found) > 3
    for module, name in found:
        assert hasattr(importlib.import_module(module), name), f"{module} has no {name}"


def test_every_python_program_that_is_shown_exists() -> None:
    names = {name for place in everything_shown() for name in _PYTHON_M.findall(place.text)}
    assert len(names) > 10
    outside = {"venv", "pip"}
    assert [n for n in sorted(names - outside) if importlib.util.find_spec(n) is None] == []


def test_every_command_line_that_is_shown_is_understood() -> None:
    found = [(place, words) for place in everything_shown() for words in command_lines(place.text)]
    assert len(found) > 40
    wrong = [(ids_of(place), said) for place, words in found if (said := complaint(words))]
    assert wrong == []


def test_every_option_that_is_named_exists() -> None:
    found = {
        (place.document, option[1])
        for document in documents()
        for place in (
            Place(name_of(document), span) for span in spans(document.read_text(encoding="utf-8"))
        )
        if (option := _OPTION.fullmatch(place.text))
    }
    assert len(found) > 20
    assert sorted((d, option) for d, option in found if option not in known_options()) == []


def test_what_is_wrong_is_found() -> None:
    assert "unknown" not in complaint(["serve", "--port", "1"])
    assert complaint(["serve", "--no-such-option"])
    assert complaint(["no-such-command", "FILE"])
    assert complaint(["control", "no-such-operation"])
    assert list(command_lines("server$ langpose-rt keys new a  # why")) == [["keys", "new", "a"]]
    assert list(command_lines("pip install . && langpose-rt demo")) == [["demo"]]
    assert list(command_lines("docker run langpose-rt serve --port 1")) == [
        ["serve", "--port", "1"]
    ]
    assert "--no-such-option" not in known_options()


def runs() -> list[tuple[str, str]]:
    return [
        (name_of(document), block)
        for document in documents()
        for block in _RUN_BLOCK.findall(document.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(("document", "block"), runs(), ids=[name for name, _ in runs()])
def test_commands_marked_to_run_run(document: str, block: str, tmp_path: Path) -> None:
    for name in ("langpose_rt", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    for line in block.splitlines():
        (words,) = command_lines(line)
        done = subprocess.run(
            [*COMMAND, *words], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True,
            check=False, timeout=LONGEST_RUN_S,
        )  # fmt: skip
        assert done.returncode == 0, f"{document}: {line}\n{done.stdout}{done.stderr}"


def test_some_commands_are_marked_to_run() -> None:
    assert {"docs/getting-started.md", "docs/benchmarks/accuracy.md"} <= {
        name for name, _ in runs()
    }


def test_the_page_of_commands_shows_the_help_of_every_command() -> None:
    page = hooks().on_page_markdown("<!-- commands -->")
    for name in COMMANDS:
        assert f"\n## {name}\n" in f"\n{page}"
        assert f"usage: langpose-rt {name} " in page
    assert "\n### keys new\n" in page


def test_the_page_of_the_configuration_explains_every_field() -> None:
    page = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    shown = hooks().on_page_markdown(page)
    for config in (PipelineConfig, ServerConfig, ModelConfig, BuildConfig):
        assert f"### {config.__name__}\n" in shown
        for field in dataclasses.fields(config):
            row = next(line for line in shown.splitlines() if line.startswith(f"| `{field.name}` "))
            assert len(row.rsplit("|", 2)[1].split()) >= 2, row


def test_a_guide_shows_the_very_example() -> None:
    guide = (ROOT / "docs" / "guides" / "rigs.md").read_text(encoding="utf-8")
    example = (ROOT / "langpose_rt/assets/examples/rig.py").read_text(encoding="utf-8")
    assert f"```python\n{example}```" in hooks().on_page_markdown(guide)


def test_a_docstring_becomes_a_page_without_losing_a_word() -> None:
    page = hooks().on_page_markdown("<!-- docstring langpose_rt.protocol.messages -->")
    module = importlib.import_module("langpose_rt.protocol.messages")
    words = re.findall(r"\w+", module.__doc__ or "")
    written = re.sub(r"\\([*_])", r"\1", page.replace("```text", "")).replace("&lt;", "<")
    assert re.findall(r"\w+", written.replace("&gt;", ">")) == words
    assert "\n## Transport\n" in page
