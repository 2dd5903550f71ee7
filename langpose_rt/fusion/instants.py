"""Choose the instants that are fused, and when each has waited long enough.

An instant is the capture time of a frame that is newer than the last instant by most of a frame of
the fastest camera; so the instants follow whichever camera leads, and survive its end. An instant
is due when every awake camera has reached it, or when it has waited for as long as it may.
"""

from collections import deque
from collections.abc import Sequence

from langpose_rt.config import NS_PER_S

ASLEEP_NS = NS_PER_S // 2
"""A camera without a frame for this long is not waited for."""

MOST_WAITING = 256

_SHARE_OF_PERIOD = 0.75
_SMOOTHING = 0.1
_USUAL_PERIOD_NS = NS_PER_S / 60
_SAME_NS = 1_000_000


class InstantSchedule:
    """Instants of one volume.

    Args:
        cameras: How many cameras there are.
        wait_ns: How long an instant waits for cameras that are behind.
        shortest_period_ns: Instants are no nearer together than this.
    """

    def __init__(self, cameras: int, wait_ns: int, shortest_period_ns: int = 0) -> None:
        self._wait_ns, self._shortest_ns = wait_ns, shortest_period_ns
        self._newest_ns: list[int | None] = [None] * cameras
        self._heard_ns = [0] * cameras
        self._period_ns = [_USUAL_PERIOD_NS] * cameras
        self._waiting: deque[tuple[int, int]] = deque()
        self._last_ns: int | None = None

    def add(self, camera: int, t_ns: int, now_ns: int) -> None:
        """Note a frame: its capture time and when it came."""
        before = self._newest_ns[camera]
        if before is not None and t_ns - before <= ASLEEP_NS:
            self._period_ns[camera] += _SMOOTHING * ((t_ns - before) - self._period_ns[camera])
        self._newest_ns[camera], self._heard_ns[camera] = t_ns, now_ns
        period_ns = max(self._fastest_ns(now_ns) * _SHARE_OF_PERIOD, self._shortest_ns)
        if self._last_ns is None or t_ns - self._last_ns >= period_ns:
            self._waiting.append((t_ns, now_ns))
            self._last_ns = t_ns
            if len(self._waiting) > MOST_WAITING:
                self._waiting.popleft()

    def rearrange(self, columns: Sequence[int]) -> None:
        """Go on with other cameras: for each its place among the present ones, -1 for a new one."""
        self._newest_ns = [self._newest_ns[c] if c >= 0 else None for c in columns]
        self._heard_ns = [self._heard_ns[c] if c >= 0 else 0 for c in columns]
        self._period_ns = [self._period_ns[c] if c >= 0 else _USUAL_PERIOD_NS for c in columns]

    def awake(self, now_ns: int) -> list[bool]:
        """Tell which cameras had a frame lately."""
        return [
            newest is not None and now_ns - heard <= ASLEEP_NS
            for newest, heard in zip(self._newest_ns, self._heard_ns, strict=True)
        ]

    def due(self, now_ns: int, *, all_of_them: bool = False) -> list[int]:
        """Take the instants out that need not wait any longer, the oldest first."""
        awake = self.awake(now_ns)
        reached = [
            newest
            for newest, there in zip(self._newest_ns, awake, strict=True)
            if there and newest is not None
        ]
        slowest_ns = min(reached, default=0) + _SAME_NS
        ready = []
        while self._waiting:
            t_ns, came_ns = self._waiting[0]
            if not (all_of_them or t_ns <= slowest_ns or now_ns - came_ns >= self._wait_ns):
                break
            ready.append(t_ns)
            self._waiting.popleft()
        return ready

    def next_due_ns(self) -> int | None:
        """Return the deadline of the oldest waiting instant; None if none waits."""
        return self._waiting[0][1] + self._wait_ns if self._waiting else None

    def _fastest_ns(self, now_ns: int) -> float:
        awake = self.awake(now_ns)
        return min(
            (period for period, there in zip(self._period_ns, awake, strict=True) if there),
            default=_USUAL_PERIOD_NS,
        )
