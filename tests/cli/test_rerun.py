"""`rerun`: what it refuses; what it logs is tested in tests/bridges and tests/end_to_end."""

import sys
from pathlib import Path

import pytest

from tests.commands import run_here


def test_without_the_sdk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    done = run_here("rerun")
    assert done.code == 2
    assert 'pip install "langpose-rt[view]"' in done.sentence


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason='pip install "langpose-rt[view]"')
    done = run_here("rerun", "--save", tmp_path / "nowhere" / "live.rrd")
    assert done.code == 2
    assert f"cannot write {tmp_path}/nowhere/live.rrd: No such file" in done.sentence
