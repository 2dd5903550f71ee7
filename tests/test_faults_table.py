"""The table of faults in the README: every row names a test, and every test named is there."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
README = TESTS.parent / "README.md"

_SECTION = re.compile(r"^## When things go wrong\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_TEST = re.compile(r"`(?:tests/)?([\w/]+\.py)::(test_\w+)`")


def rows_of(readme: str) -> list[str]:
    """Rows of the table, without its head."""
    section = _SECTION.search(readme)
    assert section is not None, "the README has no section on faults"
    return [line for line in section[1].splitlines() if line.startswith("|")][2:]


def names_in(path: Path) -> set[str]:
    """Names of the tests in a file; none if there is no such file."""
    if not path.is_file():
        return set()
    found = ast.walk(ast.parse(path.read_text()))
    return {node.name for node in found if isinstance(node, ast.FunctionDef)}


def unproved(readme: str) -> list[str]:
    """What each row lacks: a test, or one of those it names."""
    lacking = []
    for row in rows_of(readme):
        named = _TEST.findall(row)
        if not named:
            lacking.append(f"no test: {row[:60]}")
        for file, test in named:
            if test not in names_in(TESTS / file):
                lacking.append(f"not there: {file}::{test}")
    return lacking


def test_every_row_of_the_readme_is_proved_by_a_test() -> None:
    readme = README.read_text()
    if "::test_" not in "".join(rows_of(readme)):
        pytest.skip("the README's table of faults does not name its tests yet")
    assert unproved(readme) == []


def test_a_row_without_a_test_and_a_test_that_is_gone_are_found() -> None:
    table = (
        "## When things go wrong\n\n| what | happens | proved by |\n|---|---|---|\n"
        "| a | b | `tests/test_mirror.py::test_a_test_file_is_about_one_source_file` |\n"
        "| c | d | nothing |\n"
        "| e | f | `test_mirror.py::test_that_nobody_wrote`, `gone.py::test_x` |\n"
        "\n## Next\n| g |\n"
    )
    assert unproved(table) == [
        "no test: | c | d | nothing |",
        "not there: test_mirror.py::test_that_nobody_wrote",
        "not there: gone.py::test_x",
    ]
