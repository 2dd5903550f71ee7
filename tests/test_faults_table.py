"""The tables of faults in the documents: every row names a test, and every test named is there."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "reference" / "faults.md"

_TEST = re.compile(r"`(?:tests/)?([\w/]+\.py)::(test_\w+)`")
_RULE = re.compile(r"^\|(?:-+\|)+$")


def rows_of(page: str) -> list[str]:
    """Return the rows of every table, without the heads."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    heads = {number for number, line in enumerate(lines) if _RULE.match(line)}
    heads |= {number - 1 for number in heads}
    return [line for number, line in enumerate(lines) if number not in heads]


def names_in(path: Path) -> set[str]:
    """Return the names of the tests in a file; none if there is no such file."""
    if not path.is_file():
        return set()
    found = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.name for node in found if isinstance(node, ast.FunctionDef)}


def unproved(page: str) -> list[str]:
    """Return what each row lacks: a test, or one of those it names."""
    lacking = []
    for row in rows_of(page):
        named = _TEST.findall(row)
        if not named:
            lacking.append(f"no test: {row[:60]}")
        for file, test in named:
            if test not in names_in(TESTS / file):
                lacking.append(f"not there: {file}::{test}")
    return lacking


def test_every_fault_is_proved_by_a_test() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(rows_of(page)) > 20
    assert unproved(page) == []


def test_a_row_without_a_test_and_a_test_that_is_gone_are_found() -> None:
    table = (
        "## One\n\n| what | happens | proved by |\n|---|---|---|\n"
        "| a | b | `tests/test_mirror.py::test_a_test_file_is_about_one_source_file` |\n"
        "\n## Two\n\n| what | happens | proved by |\n|---|---|---|\n"
        "| c | d | nothing |\n"
        "| e | f | `test_mirror.py::test_that_nobody_wrote`, `gone.py::test_x` |\n"
    )
    assert unproved(table) == [
        "no test: | c | d | nothing |",
        "not there: test_mirror.py::test_that_nobody_wrote",
        "not there: gone.py::test_x",
    ]
