"""Listeners of a feed, and the newest message of every topic that is kept while there are any."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

MOST_TOPICS = 1024
"""Topics that are kept; a new one beyond them takes the place of the one heard longest ago."""


class Listeners:
    """Pages that listen to a feed, at most so many at once.

    Args:
        most: Pages at once.
    """

    def __init__(self, most: int) -> None:
        self._slots = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self.count = 0

    @contextmanager
    def slot(self) -> Iterator[bool]:
        """Count a page for the block; give False if there are too many already."""
        if not self._slots.acquire(blocking=False):
            yield False
            return
        with self._lock:
            self.count += 1
        try:
            yield True
        finally:
            with self._lock:
                self.count -= 1
                if not self.count:
                    self._last_left()
            self._slots.release()

    def _last_left(self) -> None:
        """Release what was kept for the pages; called under the lock."""


class NewestMessages(Listeners):
    """Newest message of every topic, kept only while a page listens.

    Args:
        prefix: Beginning of the topics.
        most: Pages at once.
    """

    def __init__(self, prefix: bytes, most: int) -> None:
        super().__init__(most)
        self._prefix = prefix
        self._newest: dict[bytes, Sequence[bytes]] = {}

    def offer(self, parts: Sequence[bytes]) -> None:
        """Store a message of these topics, if there are listeners."""
        with self._lock:
            if self.count and parts[0].startswith(self._prefix):
                self._newest.pop(parts[0], None)
                self._newest[parts[0]] = parts
                if len(self._newest) > MOST_TOPICS:
                    del self._newest[next(iter(self._newest))]

    def all(self) -> dict[bytes, Sequence[bytes]]:
        """Return the newest message of every topic."""
        with self._lock:
            return dict(self._newest)

    def _last_left(self) -> None:
        self._newest.clear()
