"""A fault of this program costs one message or one step, and is said; it ends nothing."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from langpose_rt.config import NS_PER_S
from langpose_rt.monitoring.faults import FaultReporter

FAULT_LOG_NS = 10 * NS_PER_S
"""Faults are logged with a traceback at most this often; all are counted."""

log = logging.getLogger(__name__)


class FaultGuard:
    """Goes around each part of the work: whatever is raised there, the other streams go on.

    Args:
        incidents: Where faults are counted and said.
        clock: Reads a time in ns.
        fatal: An exception after which there is no going on.
    """

    def __init__(
        self, faults: FaultReporter, *, clock: Callable[[], int], fatal: type[Exception]
    ) -> None:
        self._faults, self._clock, self._fatal = faults, clock, fatal
        self._logged_ns: int | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """One part of the work."""
        try:
            yield
        except self._fatal:
            raise
        except Exception as error:  # whatever it is
            self._faults.fault(f"{type(error).__name__}: {error}"[:300])
            now_ns = self._clock()
            if self._logged_ns is None or now_ns - self._logged_ns > FAULT_LOG_NS:
                self._logged_ns = now_ns
                log.exception("a message or a step failed")
