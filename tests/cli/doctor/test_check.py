"""Check results: exceptions become results, and private paths are removed."""

from pathlib import Path

import pytest

from langpose_rt.cli.doctor.check import Check, guarded
from langpose_rt.errors import ModelError


def raising(error: Exception) -> list[Check]:
    raise error


@pytest.mark.parametrize(
    ("error", "found", "advice"),
    [
        (ModelError("no model here; export one"), "no model here; export one", ""),
        (
            ModuleNotFoundError("No module named 'zmq'", name="zmq"),
            "needs zmq, which does not load: No module named 'zmq'",
            "the line 'packages' says what to install",
        ),
        (
            ZeroDivisionError("division by\nzero"),
            "the check itself failed: ZeroDivisionError: division by zero",
            "this is a mistake of the doctor; please report this line",
        ),
    ],
)
def test_a_check_that_raises_is_a_line_that_failed(
    error: Exception, found: str, advice: str
) -> None:
    (line,) = guarded("thing", lambda: raising(error))
    assert line == Check(name="thing", verdict="fail", found=found, advice=advice)


def test_no_line_says_where_this_person_keeps_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/jane")
    found = Check(name="a", verdict="ok", found="/home/jane/model", advice=f"cd {Path.cwd()}/x")
    (line,) = guarded("a", lambda: [found])
    assert (line.found, line.advice) == ("~/model", "cd ./x")
