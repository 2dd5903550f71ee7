"""Rate limiter for repeated log records."""

import logging
from dataclasses import dataclass
from typing import Any

REPEAT_S = 10.0
"""Records of the same kind are logged at most once in this time."""

MOST_KINDS = 64
"""Kinds distinguished at once; further ones are merged by logger and level."""


@dataclass(slots=True)
class _Kind:
    """State of a kind of record: time of the last line, and the records hidden since."""

    logged_s: float
    hidden: int = 0
    newest: logging.LogRecord | None = None


class LogRepeats:
    """Rate limiter of records by kind; reads no clock.

    Records are of the same kind if logger, level and unformatted message are equal, and the fields
    ``kind``, ``stream`` and ``reason`` where they have them.

    """

    def __init__(self) -> None:
        self._kinds: dict[tuple[Any, ...], _Kind] = {}

    def put(self, record: logging.LogRecord, now_s: float) -> list[logging.LogRecord]:
        """Return the record if it is to be written now; otherwise count it.

        Args:
            record: The record; its field ``count``, if it has one, is its number of occurrences.
            now_s: Monotonic time.
        """
        key = _key_of(record)
        if key not in self._kinds and len(self._kinds) >= MOST_KINDS:
            key = key[:2]
        kind = self._kinds.get(key)
        if kind is None:
            self._kinds[key] = _Kind(now_s)
            return [record]
        kind.hidden += getattr(record, "count", 1)
        kind.newest = record
        return []

    def due(self, now_s: float, *, at_once: bool = False) -> list[logging.LogRecord]:
        """Return records that stand for hidden ones, once their time is over.

        Args:
            now_s: Monotonic time.
            at_once: Return all of them, at the end of the log.

        Returns:
            The newest of each kind, with the fields ``count`` and ``over_s``.
        """
        ready = []
        for key, kind in list(self._kinds.items()):
            if not at_once and now_s - kind.logged_s < REPEAT_S:
                continue
            if kind.newest is None:
                del self._kinds[key]
                continue
            kind.newest.count, kind.newest.over_s = kind.hidden, round(now_s - kind.logged_s, 1)
            ready.append(kind.newest)
            self._kinds[key] = _Kind(now_s)
        return ready


def _key_of(record: logging.LogRecord) -> tuple[Any, ...]:
    about = (getattr(record, name, "") for name in ("kind", "stream", "reason"))
    return record.name, record.levelno, record.msg, *about
