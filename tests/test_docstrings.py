"""First lines of docstrings: what a thing is or does, in words a newcomer understands."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path.relative_to(ROOT)
    for folder in ("langpose_rt", "training")
    for path in (ROOT / folder).rglob("*.py")
)
RIDDLES = re.compile(
    r"(What|Who|Whose|Whether|How|Where|When|Which|Told|That|Everybody|Nobody|Somebody)\b"
)


def riddles(source: str) -> list[str]:
    """First lines of the docstrings in a source that begin as a riddle."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            first = (ast.get_docstring(node) or "").partition("\n")[0]
            if RIDDLES.match(first):
                found.append(first)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_no_docstring_begins_as_a_riddle(path: Path) -> None:
    assert riddles((ROOT / path).read_text()) == []


def test_a_riddle_is_found() -> None:
    assert riddles('"""Who is told of it."""\ndef f():\n    """Return 1."""\n') == [
        "Who is told of it."
    ]
