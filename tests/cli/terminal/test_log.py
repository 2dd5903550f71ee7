"""Log lines, and a writer that never blocks a caller."""

import io
import json
import logging
import re
import sys
import threading

import pytest

from langpose_rt.cli.terminal.log import (
    MAX_WAITING_MESSAGES,
    JsonFormatter,
    LogWriter,
    TextFormatter,
    logged,
)

LOG = logging.getLogger("langpose_rt.test")


def record(message: str, **fields: object) -> logging.LogRecord:
    given = {"name": "a.b", "levelname": "WARNING", "msg": message, "created": 1_000_000_000.25}
    return logging.makeLogRecord(given | fields)


def test_a_line_for_a_person_says_what_about_whom_and_how_often() -> None:
    said = record("no", kind="reject", reason="bad_topic", stream="kp2d/a/b/", count=37, over_s=9.9)
    line = TextFormatter().format(said)
    assert line.endswith(" WARNING a.b: no [reject bad_topic kp2d/a/b/] (37 more in 10 s)")
    assert TextFormatter().format(record("no", kind="drain", stream="")).endswith(": no [drain]")


def test_what_a_rig_sent_cannot_break_a_line_or_colour_a_terminal() -> None:
    line = TextFormatter().format(record("got \x1b[31mred\nand more"))
    assert line.endswith("got \\x1b[31mred\\nand more")


def test_a_line_for_a_program_is_one_object_with_every_field() -> None:
    said = json.loads(JsonFormatter().format(record("got\n%s", args=("x",), stream="", count=3)))
    assert said == {
        "time": "2001-09-09T01:46:40.250+00:00",
        "level": "warning",
        "logger": "a.b",
        "message": "got\nx",
        "count": 3,
    }


def test_a_traceback_is_part_of_the_object() -> None:
    try:
        raise ValueError("inside")
    except ValueError:
        line = JsonFormatter().format(record("outside", exc_info=sys.exc_info()))
    assert "\n" not in line
    assert "ValueError: inside" in json.loads(line)["traceback"]


def test_a_traceback_cannot_colour_a_terminal() -> None:
    try:
        raise ValueError("\x1b[31m red")
    except ValueError:
        record = logging.getLogger("x").makeRecord(
            "x", logging.ERROR, "f", 1, "failed", (), sys.exc_info()
        )
    text = TextFormatter().format(record)
    assert "\x1b" not in text
    assert text.splitlines()[-1] == r"ValueError: \x1b[31m red"


def test_a_thousand_complaints_are_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with logged("info", "json"):
        for number in range(900):
            LOG.warning("got %s", number, extra={"reason": "bad_header"})
        LOG.debug("not said")
    first, rest = map(json.loads, stream.getvalue().splitlines())
    assert (first["message"], first["reason"]) == ("got 0", "bad_header")
    assert (rest["message"], rest["count"]) == ("got 899", 899)


class Stuck(io.StringIO):
    """A pipe whose reader is asleep."""

    def __init__(self) -> None:
        super().__init__()
        self.awake = threading.Event()

    def write(self, text: str) -> int:
        assert self.awake.wait(20)
        return super().write(text)


def test_a_reader_that_does_not_read_holds_nobody_up_and_losses_are_counted() -> None:
    stream = Stuck()
    handler = LogWriter(stream)
    handler.setFormatter(TextFormatter())
    for number in range(MAX_WAITING_MESSAGES + 50):
        handler.handle(record(f"{number}"))
    stream.awake.set()
    handler.close()
    losses = [line for line in stream.getvalue().splitlines() if "log lines were lost" in line]
    counts = [re.search(r"\((\d+) times\)", line) for line in losses]
    lost = sum(int(count[1]) if count else 1 for count in counts)
    assert 49 <= lost <= 50, "one may have been on its way out"


def test_a_stream_that_cannot_be_written_ends_nothing() -> None:
    stream = io.StringIO()
    stream.close()
    handler = LogWriter(stream)
    handler.handle(record("lost"))
    handler.close()
    handler.close()
    assert not handler._thread.is_alive()


def test_the_loggers_are_as_they_were_afterwards() -> None:
    package, root = logging.getLogger("langpose_rt"), logging.getLogger()
    before = package.level, list(root.handlers), threading.active_count()
    with logged("debug", "text"):
        assert package.level == logging.DEBUG
    assert (package.level, list(root.handlers), threading.active_count()) == before
