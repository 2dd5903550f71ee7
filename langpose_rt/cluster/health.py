"""Health of one lifter, from the requests it answers; no socket and no clock."""

from dataclasses import dataclass

PING_NS = 100_000_000
"""Time between two requests."""

STATUS_EVERY = 5
"""Of so many requests one asks for the status."""

STEADY_NS = 2_000_000_000
"""A lifter that was lost takes part again once it has answered for so long."""


@dataclass(slots=True, eq=False)
class Health:
    """Says when a lifter is asked, and if it counts as live.

    Args:
        timeout_ns: A lifter that has answered nothing for longer is lost.

    Attributes:
        live: It takes part.
    """

    timeout_ns: int
    live: bool = False
    asked: int = 0
    _asked_ns: int | None = None
    _heard_ns: int | None = None
    _steady_ns: int | None = None
    _was_lost: bool = False

    def due(self, now_ns: int) -> bool:
        """Return True if it is to be asked now; counts the requests."""
        if self._asked_ns is not None and now_ns - self._asked_ns < PING_NS:
            return False
        self._asked_ns = now_ns
        self.asked += 1
        return True

    def heard(self, now_ns: int) -> bool:
        """Note an answer; return True if it takes part from now on."""
        if self._heard_ns is None or now_ns - self._heard_ns > self.timeout_ns:
            self._steady_ns = now_ns
        self._heard_ns = now_ns
        steady_ns = now_ns - (self._steady_ns or now_ns)
        if self.live or (self._was_lost and steady_ns < STEADY_NS):
            return False
        self.live = True
        return True

    def is_lost(self, now_ns: int) -> bool:
        """Return True, once, if a live lifter has been silent for too long."""
        if not self.live or self._heard_ns is None or now_ns - self._heard_ns <= self.timeout_ns:
            return False
        self.live, self._was_lost = False, True
        return True

    def restarted(self) -> None:
        """Begin again: another process has its name now."""
        self.live = self._was_lost = False
        self._asked_ns = self._heard_ns = self._steady_ns = None
