"""The threads of a server: each has a socket and a loop, and one that fails ends all of them.

What a loop does is `server.py`'s business.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

STUCK_S = 5.0
"""A thread that has not turned for longer is not alive."""

log = logging.getLogger(__name__)


@runtime_checkable
class Closable(Protocol):
    """What a thread owns."""

    def close(self) -> None:
        """Give it back."""


ClosableT = TypeVar("ClosableT", bound=Closable)


class ServingThreads:
    """Starts threads and knows how they are.

    Args:
        clock: Reads steady seconds.

    Attributes:
        stopping: Set when every loop is to end, by the caller or by a thread that failed.
        ended: An event for every thread, by name; set once it has ended.
        failure: What a thread failed of; None as long as none has.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.stopping = threading.Event()
        self.ended: defaultdict[str, threading.Event] = defaultdict(threading.Event)
        self.failure: Exception | None = None
        self._threads: list[threading.Thread] = []
        self._turned_s: dict[str, float] = {}

    def start(self, name: str, loop: Callable[[ClosableT], None], socket: ClosableT) -> None:
        """Run a loop over a socket, which is closed when the loop ends."""
        self.turned(name)
        args = name, loop, socket
        thread = threading.Thread(target=self._serve, args=args, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def turned(self, name: str) -> None:
        """A loop has come round."""
        self._turned_s[name] = self._clock()

    def alive(self) -> bool:
        """Whether every loop has turned lately."""
        now_s = self._clock()
        return all(now_s - turned_s < STUCK_S for turned_s in self._turned_s.values())

    def join(self) -> None:
        """Wait for the end of all."""
        for thread in self._threads:
            thread.join()

    def _serve(self, name: str, loop: Callable[[ClosableT], None], socket: ClosableT) -> None:
        """A serving thread: its loop, and what happens when that fails."""
        try:
            loop(socket)
        except Exception as error:  # the thread ends here, so somebody must be told
            log.exception("the %s thread failed", name)
            self.failure = error
            self.stopping.set()
        finally:
            socket.close()
            self.ended[name].set()
