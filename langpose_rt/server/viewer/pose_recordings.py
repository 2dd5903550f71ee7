"""Recordings that pages save: what the server publishes, as the bytes of an MCAP file.

The file is that of `langpose-rt record`. It is written into the answer of the page's own request
and never to a disk of the server, so that a page changes nothing there.
"""

import secrets
import threading
from collections.abc import Generator, Sequence
from io import BytesIO

import langpose_rt
from langpose_rt.formats.recording import Entry, RecordingWriter
from langpose_rt.recording.recorder import published_entry
from langpose_rt.server.viewer.listeners import Listeners

MAX_WAITING_BYTES = 16 << 20
"""Messages that wait for a page that reads slowly; beyond it the recording ends."""

FLUSH_S = 0.25
"""Time between two pieces of the file."""


class PoseRecordings(Listeners):
    """Queues of the pages that record.

    Args:
        most: Pages at once.
    """

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._pages: dict[str, _Page] = {}

    def offer(self, parts: Sequence[bytes], now_ns: int) -> None:
        """Queue a published message for every page that records."""
        with self._lock:
            for page in self._pages.values():
                page.put(parts, now_ns)

    def end(self, token: str | None = None) -> bool:
        """End the recording of this token in order, or all; return False if there is none."""
        with self._lock:
            pages = [page for name, page in self._pages.items() if token in (None, name)]
        for page in pages:
            page.ending.set()
        return bool(pages)

    def open(self) -> "tuple[str, Generator[bytes, None, None]]":
        """Return the token of a new recording, and the pieces of its file until it is ended.

        Raises:
            ConfigError: If mcap is not installed.
        """
        token, page = secrets.token_hex(8), _Page()
        file = _Outbox()
        writer = RecordingWriter(file, {"version": langpose_rt.__version__})
        return token, self._pieces(token, page, file, writer)

    def _pieces(
        self, token: str, page: "_Page", file: "_Outbox", writer: RecordingWriter
    ) -> Generator[bytes, None, None]:
        with self._lock:
            self._pages[token] = page
        try:
            ending = False
            while not ending:
                yield file.take()
                ending = page.ending.wait(FLUSH_S)
                for entry in page.take():
                    writer.add(entry)
                writer.flush()
            writer.finish()
            yield file.take()
        finally:
            with self._lock:
                del self._pages[token]


class _Page:
    """Messages that wait to be written into one recording; filled by another thread."""

    def __init__(self) -> None:
        self.ending = threading.Event()
        self._waiting: list[tuple[Sequence[bytes], int]] = []
        self._waiting_bytes = 0
        self._lock = threading.Lock()

    def put(self, parts: Sequence[bytes], now_ns: int) -> None:
        """Queue a message, or end the recording if too much waits already."""
        with self._lock:
            self._waiting_bytes += sum(map(len, parts))
            if self._waiting_bytes > MAX_WAITING_BYTES:
                self.ending.set()
            if not self.ending.is_set():
                self._waiting.append((parts, now_ns))

    def take(self) -> list[Entry]:
        """Return what waits, and forget it."""
        with self._lock:
            waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        return [published_entry(parts, now_ns) for parts, now_ns in waiting]


class _Outbox(BytesIO):
    """File whose bytes are taken away as they are written; it stays open when its writer ends."""

    def __init__(self) -> None:
        super().__init__()
        self._taken = 0

    def tell(self) -> int:
        """Return the number of bytes written, taken or not."""
        return self._taken + super().tell()

    def close(self) -> None:
        """Do nothing: the last bytes are still to be taken."""

    def take(self) -> bytes:
        """Return what was written since the last call."""
        data = self.getvalue()
        self._taken += len(data)
        self.seek(0)
        self.truncate()
        return data
