"""What is logged: for a person or for a program, never a flood, never in the way.

What repeats is counted, in `log_repeats.py`. What is worth a line is the business of who logs it.
"""

import contextlib
import datetime
import json
import logging
import queue
import sys
import threading
import time
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from langpose_rt.cli.terminal.log_repeats import LogRepeats

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")

MAX_WAITING_MESSAGES = 1000
"""Records held for a reader that does not read; further ones are lost, and counted."""

_LOOK_S = 1.0
_CLOSE_S = 1.0
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


@runtime_checkable
class Sink(Protocol):
    """Where lines can be written, such as `sys.stderr`."""

    def write(self, text: str, /) -> object:
        """Take some text."""

    def flush(self) -> object:
        """Let it out."""


class TextFormatter(logging.Formatter):
    """One line for a person; what a rig sent cannot break it or colour a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - of the base
        """The line without its traceback."""
        fields = fields_of_record(record)
        about = " ".join(
            str(fields[name]) for name in ("kind", "reason", "stream") if name in fields
        )
        count, over_s = fields.get("count", 1), fields.get("over_s")
        often = "" if count == 1 else f" ({count} times)"
        if over_s is not None:
            often = f" ({count} more in {over_s:.0f} s)"
        line = super().formatMessage(record) + (f" [{about}]" if about else "") + often
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and every field of the record."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        time_utc = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        said = {
            "time": time_utc.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said | fields_of_record(record), default=str)


def fields_of_record(record: logging.LogRecord) -> dict[str, object]:
    """What was given with ``extra=``; empty words are left out."""
    own = vars(record).items()
    return {name: value for name, value in own if name not in _STANDARD and value != ""}


class LogWriter(logging.Handler):
    """Writes in a thread of its own: a terminal, pipe or disk that is stuck holds nobody up.

    Args:
        stream: Where the lines go.
    """

    def __init__(self, stream: Sink) -> None:
        super().__init__()
        self._stream, self._repeats = stream, LogRepeats()
        self._records: queue.Queue[logging.LogRecord | None] = queue.Queue(MAX_WAITING_MESSAGES)
        self._lost = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record to the thread."""
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        """Write what waits, for two seconds at most; twice is harmless."""
        with contextlib.suppress(queue.Full):
            self._records.put(None, timeout=_CLOSE_S)
        self._thread.join(_CLOSE_S)
        super().close()

    def _write(self) -> None:
        going = True
        while going:
            records: list[logging.LogRecord] = []
            with contextlib.suppress(queue.Empty):
                record = self._records.get(timeout=_LOOK_S)
                going = record is not None
                records += self._repeats.put(record, time.monotonic()) if record else []
            records += self._repeats.due(time.monotonic(), at_once=not going)
            for said in records + self._loss():
                with contextlib.suppress(Exception):  # a full disk, a closed pipe, a bad record
                    self._stream.write(self.format(said) + "\n")
                    self._stream.flush()

    def _loss(self) -> list[logging.LogRecord]:
        if not self._lost:
            return []
        lost, self._lost = self._lost, 0
        said = {"name": __name__, "levelname": "WARNING", "msg": "log lines were lost"}
        return [logging.makeLogRecord(said | {"count": lost})]


@contextlib.contextmanager
def logged(level: str, style: str) -> Iterator[None]:
    """Log to the standard error while the block runs.

    Args:
        level: One of LEVELS, for this package; others' warnings are logged always.
        style: One of FORMATS.
    """
    package, root = logging.getLogger("langpose_rt"), logging.getLogger()
    writer, level_before = LogWriter(sys.stderr), package.level
    writer.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    package.setLevel(level.upper())
    root.addHandler(writer)
    try:
        yield
    finally:
        root.removeHandler(writer)
        package.setLevel(level_before)
        writer.close()
