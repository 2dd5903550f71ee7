"""What is said again and again is logged once in a while, with how often it was."""

import logging
from dataclasses import dataclass
from typing import Any

REPEAT_S = 10.0
"""The same thing is logged at most once in this time."""

MOST_KINDS = 64
"""Things told apart at once; further ones are logged together, by logger and level."""


@dataclass(slots=True)
class _Kind:
    """One thing that is said: when it was logged last, and what was not since."""

    said_s: float
    hidden: int = 0
    newest: logging.LogRecord | None = None


class LogRepeats:
    """Decides which records are written, and when; reads no clock.

    Two records say the same if logger, level and unformatted message are, and the fields ``kind``,
    ``stream`` and ``reason`` where they have them.
    """

    def __init__(self) -> None:
        self._kinds: dict[tuple[Any, ...], _Kind] = {}

    def put(self, record: logging.LogRecord, now_s: float) -> list[logging.LogRecord]:
        """The record if it is to be written now; otherwise it is counted.

        Args:
            record: Its field ``count``, if it has one, is how often it happened.
            now_s: Seconds of any clock that rises.
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
        """Records that stand for those that were hidden, once their time is over.

        Args:
            now_s: Seconds of the same clock.
            at_once: Now, because nothing comes after.

        Returns:
            The newest of each kind, with the fields ``count`` and ``over_s``.
        """
        said = []
        for key, kind in list(self._kinds.items()):
            if not at_once and now_s - kind.said_s < REPEAT_S:
                continue
            if kind.newest is None:
                del self._kinds[key]
                continue
            kind.newest.count, kind.newest.over_s = kind.hidden, round(now_s - kind.said_s, 1)
            said.append(kind.newest)
            self._kinds[key] = _Kind(now_s)
        return said


def _key_of(record: logging.LogRecord) -> tuple[Any, ...]:
    about = (getattr(record, name, "") for name in ("kind", "stream", "reason"))
    return record.name, record.levelno, record.msg, *about
