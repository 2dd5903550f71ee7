"""`rerun`: what it refuses; what it logs is tested in tests/bridges and tests/end_to_end."""

import sys
from pathlib import Path

import pytest

from tests.commands import run_here


def test_without_the_sdk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    done = run_here("rerun")
    assert done.code == 2
    assert 'pip install ".[view]"' in done.sentence


def test_a_file_that_is_there_or_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    there = tmp_path / "live.rrd"
    there.touch()
    for file, why in (
        (there, "exists; choose another name or say --force"),
        (tmp_path / "nowhere" / "live.rrd", f"there is no folder {tmp_path}/nowhere"),
        (tmp_path, "is a folder"),
    ):
        done = run_here("rerun", "--save", file)
        assert done.code == 2
        assert why in done.sentence
