"""Progress of a build: bars for a person, lines for a log, nothing for a program."""

import contextlib
import io

from langpose_rt.cli.terminal.build_progress import build_progress


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def watched(stream: io.StringIO, *, quiet: bool = False) -> str:
    with contextlib.redirect_stderr(stream), build_progress(quiet=quiet) as report:
        for doing in ("encoder: building engine", "parity"):
            for done in range(3):
                report(doing, done, 2)
    return stream.getvalue()


def test_a_log_gets_one_line_per_task() -> None:
    assert watched(io.StringIO()) == "encoder: building engine\nparity\n"


def test_a_terminal_sees_how_far_every_task_is() -> None:
    shown = watched(Terminal())
    assert "encoder: building engine" in shown
    assert "100%" in shown


def test_a_program_gets_nothing() -> None:
    assert watched(io.StringIO(), quiet=True) == ""
