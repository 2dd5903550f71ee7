"""Log output: text or JSON lines, rate-limited, written by a thread that never blocks a caller.

`log_repeats.py` counts and limits repeated records.

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
from typing import Any, Protocol, runtime_checkable

from langpose_rt.cli.terminal.log_repeats import LogRepeats
from langpose_rt.cli.terminal.printable import printable

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")

MAX_WAITING_MESSAGES = 1000
"""Queue length for a stream that blocks; further records are dropped and counted."""

_POLL_S = 1.0
_CLOSE_S = 1.0
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


@runtime_checkable
class Sink(Protocol):
    """Text stream such as `sys.stderr`."""

    def write(self, text: str, /) -> object:
        """Write text."""

    def flush(self) -> object:
        """Flush the stream."""


class TextFormatter(logging.Formatter):
    """Formatter of readable lines; unprintable characters of a message are escaped."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - of the base
        """Return the line without its traceback."""
        fields = fields_of_record(record)
        about = " ".join(
            str(fields[name]) for name in ("kind", "reason", "stream") if name in fields
        )
        count, over_s = fields.get("count", 1), fields.get("over_s")
        often = "" if count == 1 else f" ({count} times)"
        if over_s is not None:
            often = f" ({count} more in {over_s:.0f} s)"
        line = super().formatMessage(record) + (f" [{about}]" if about else "") + often
        return printable(line)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - of the base
        """Return the traceback; what an exception says may come from the network."""
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


class JsonFormatter(logging.Formatter):
    """Formatter of JSON lines: time, level, logger, message, and every field of the record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the JSON line."""
        time_utc = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        entry = {
            "time": time_utc.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry | fields_of_record(record), default=str)


def fields_of_record(record: logging.LogRecord) -> dict[str, object]:
    """Return the fields given with ``extra=``, without empty strings."""
    own = vars(record).items()
    return {name: value for name, value in own if name not in _STANDARD and value != ""}


class LogWriter(logging.Handler):
    """Log handler that writes in its own thread, so that a blocked stream blocks no caller.

    Args:
        stream: Stream of the lines.
    """

    def __init__(self, stream: Sink) -> None:
        super().__init__()
        self._stream, self._repeats = stream, LogRepeats()
        self._records: queue.Queue[logging.LogRecord | None] = queue.Queue(MAX_WAITING_MESSAGES)
        self._lost = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record for the thread."""
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        """Write the queued records, for two seconds at most; may be called twice."""
        with contextlib.suppress(queue.Full):
            self._records.put(None, timeout=_CLOSE_S)
        self._thread.join(_CLOSE_S)
        super().close()

    def _write(self) -> None:
        running = True
        while running:
            records: list[logging.LogRecord] = []
            with contextlib.suppress(queue.Empty):
                record = self._records.get(timeout=_POLL_S)
                running = record is not None
                records += self._repeats.put(record, time.monotonic()) if record else []
            records += self._repeats.due(time.monotonic(), at_once=not running)
            for ready in records + self._loss():
                with contextlib.suppress(Exception):  # a full disk, a closed pipe, a bad record
                    self._stream.write(self.format(ready) + "\n")
                    self._stream.flush()

    def _loss(self) -> list[logging.LogRecord]:
        self.acquire()  # `emit` runs with this lock, too
        lost, self._lost = self._lost, 0
        self.release()
        if not lost:
            return []
        values = {"name": __name__, "levelname": "WARNING", "msg": "log lines were lost"}
        return [logging.makeLogRecord(values | {"count": lost})]


@contextlib.contextmanager
def logged(level: str, style: str) -> Iterator[None]:
    """Log to stderr while the block runs.

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
