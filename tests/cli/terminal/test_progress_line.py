"""Progress line: rewritten on a terminal, repeated at intervals elsewhere."""

import sys

import pytest

from langpose_rt.cli.terminal import progress_line
from langpose_rt.cli.terminal.progress_line import ProgressLine, counted


class Clock:
    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.mark.parametrize(
    ("terminal", "expected"), [(True, "\r\x1b[K0.6\r\x1b[K1.2\r\x1b[K10.2\n"), (False, "10.2\n")]
)
def test_a_line_is_shown_when_it_is_time(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    terminal: bool,
    expected: str,
) -> None:
    clock = Clock()
    monkeypatch.setattr(progress_line, "time", clock)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    line = ProgressLine()
    for clock.now_s in (0.1, 0.6, 0.7, 1.2, 10.2):
        line.show(lambda: f"{clock.now_s:g}")
    line.close()
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(("total", "shown"), [(40, "lifting: 20 of 40\n"), (0, "lifting: 20\n")])
def test_counted_work_has_plain_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], total: int, shown: str
) -> None:
    clock = Clock()
    monkeypatch.setattr(progress_line, "time", clock)
    with counted("lifting", total) as report:
        for clock.now_s in range(11):
            report(2 * clock.now_s)
    assert capsys.readouterr().err == shown


def test_counted_work_has_a_bar_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with counted("lifting", 40) as report:
        report(20)
    assert "lifting" in capsys.readouterr().err
