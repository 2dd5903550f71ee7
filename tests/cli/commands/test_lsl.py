"""`lsl`: what it refuses; that it sends is tested in tests/end_to_end/test_bridges.py."""

import sys

import pytest

from tests.commands import run_here


@pytest.mark.parametrize("rate_hz", ["-1", "nan", "2000"])
def test_a_rate_that_cannot_be_is_one_sentence(rate_hz: str) -> None:
    done = run_here("lsl", "--rate-hz", rate_hz)
    assert done.code == 2
    assert f"--rate-hz is {rate_hz}; expected 0 to 1000" in done.sentence


def test_without_pylsl_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pylsl", None)
    done = run_here("lsl")
    assert done.code == 2
    assert 'pip install ".[bridges]"' in done.sentence
