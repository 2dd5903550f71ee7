"""Check how a serving command answers signals; repeated ones are in end_to_end/test_signals.py."""

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, cast

import pytest

from langpose_rt.cli.serving_signals import serving_signals

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Served:
    """Stands for a server, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def drain(self) -> None:
        self.asked.append("drain")

    def reload(self) -> None:
        self.asked.append("reload")


@pytest.fixture
def served() -> Iterator[Served]:
    found = Served()
    before = [signal.getsignal(number) for number in NUMBERS]
    with serving_signals(cast(Any, found), found.reload):
        yield found
    assert [signal.getsignal(number) for number in NUMBERS] == before, "they are not as they were"


@pytest.mark.parametrize(
    ("number", "asked"),
    [(signal.SIGTERM, "drain"), (signal.SIGINT, "drain"), (signal.SIGHUP, "reload")],
)
def test_a_signal_drains_or_reloads(served: Served, number: signal.Signals, asked: str) -> None:
    os.kill(os.getpid(), number)
    assert served.asked == [asked]


def test_a_terminal_that_is_gone_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    served = Served()
    with serving_signals(cast(Any, served), served.reload):
        os.kill(os.getpid(), signal.SIGHUP)
    assert served.asked == ["drain"]


def test_a_second_signal_exits_at_once(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    assert (served.asked, codes) == (["drain"], [1, 1])
