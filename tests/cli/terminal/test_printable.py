"""No text from a file or the network gives a terminal a command."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langpose_rt.cli.commands import top
from langpose_rt.cli.main import main
from langpose_rt.cli.terminal.printable import printable


@given(st.text())
def test_whatever_is_printed_holds_no_control_code(text: str) -> None:
    assert printable(text).isprintable()


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_letters_of_any_language_stay(text: str) -> None:
    assert printable(text) == text


def test_the_title_of_a_window_is_not_set() -> None:
    assert printable("\x1b]0;owned\x07") == r"\x1b]0;owned\x07"


def test_events_and_servers_are_shown_escaped() -> None:
    event = {"detail": "\x1b[2J", "kind": "x\x07", "reason": "r", "count": 1, "ago_s": 0.0}
    assert top._event(event) == r"0 s ago x\x07/r: \x1b[2J"
    server = {"server": "\x1b[2J", "state": "ready", "uptime_s": 1, "persons": 0, "fps": 0,
              "p99_ms": 0}  # fmt: skip
    assert top._title(server).startswith(r"\x1b[2J ready")


def test_names_of_files_are_shown_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "no\x1b[2Jfile.npz"]) == 2
    assert r"no\x1b[2Jfile.npz does not exist" in capsys.readouterr().err
