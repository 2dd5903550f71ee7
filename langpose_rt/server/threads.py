"""Server threads: start, watch and join them; contain unexpected exceptions in their loops.

Each thread has a socket and a loop, and one that fails ends all of them. The loops are in
`server.py`.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar, runtime_checkable

from langpose_rt.config import NS_PER_S
from langpose_rt.monitoring.faults import FaultReporter

STUCK_S = 5.0
"""A thread without progress for longer is not alive."""

FAULT_LOG_NS = 10 * NS_PER_S
"""Faults are logged with a traceback at most this often; all are counted."""

log = logging.getLogger(__name__)


@runtime_checkable
class Closable(Protocol):
    """A resource that a thread owns."""

    def close(self) -> None:
        """Release the resource."""


ClosableT = TypeVar("ClosableT", bound=Closable)


class ServingThreads:
    """Starts threads and watches their progress.

    Args:
        clock: Reads steady seconds.

    Attributes:
        stopping: Set to end every loop, by the caller or by a thread that failed.
        ended: An event for every thread, by name; set once it has ended.
        failure: Exception of a thread that failed; None as long as none has.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.stopping = threading.Event()
        self.ended: defaultdict[str, threading.Event] = defaultdict(threading.Event)
        self.failure: Exception | None = None
        self._threads: list[threading.Thread] = []
        self._progress_s: dict[str, float] = {}

    def start(self, name: str, loop: Callable[[ClosableT], None], socket: ClosableT) -> None:
        """Run a loop over a socket, which is closed when the loop ends."""
        self.progressed(name)
        args = name, loop, socket
        thread = threading.Thread(target=self._serve, args=args, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def progressed(self, name: str) -> None:
        """Note that a loop has begun another round."""
        self._progress_s[name] = self._clock()

    def alive(self) -> bool:
        """Return True if every loop has made progress lately."""
        now_s = self._clock()
        return all(now_s - last_s < STUCK_S for last_s in self._progress_s.values())

    def join(self) -> None:
        """Wait for the end of all threads."""
        for thread in self._threads:
            thread.join()

    def _serve(self, name: str, loop: Callable[[ClosableT], None], socket: ClosableT) -> None:
        """Run a loop; if it fails, log the exception and stop all threads."""
        try:
            loop(socket)
        except Exception as error:  # the thread ends here, so its failure is kept and logged
            log.exception("the %s thread failed", name)
            self.failure = error
            self.stopping.set()
        finally:
            socket.close()
            self.ended[name].set()


def contain_faults(
    faults: FaultReporter, *, clock: Callable[[], int], fatal: type[Exception]
) -> Callable[[], AbstractContextManager[None]]:
    """Return a context for one part of the work that contains unexpected exceptions.

    An exception in the context is counted, reported, logged now and then, and not raised further,
    so that it costs one message or one step and the other streams go on.

    Args:
        faults: Counts and reports the exceptions.
        clock: Reads a time in ns.
        fatal: Exception that is raised further.
    """
    logged_ns: int | None = None

    @contextmanager
    def contained() -> Iterator[None]:
        nonlocal logged_ns
        try:
            yield
        except fatal:
            raise
        except Exception as error:  # whatever it is
            faults.fault(f"{type(error).__name__}: {error}"[:300])
            now_ns = clock()
            if logged_ns is None or now_ns - logged_ns > FAULT_LOG_NS:
                logged_ns = now_ns
                log.exception("a message or a step failed")

    return contained
