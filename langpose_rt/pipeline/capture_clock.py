"""Capture clock of one rig: map its time stamps to the model's time and the server's time.

Nothing here reads a clock; both times of a frame are arguments.
"""

from dataclasses import dataclass, replace

from langpose_rt.config import NS_PER_S
from langpose_rt.protocol.header import time_from_wire
from langpose_rt.protocol.keypoints import ClockSync

STEP_NS = NS_PER_S
"""A change of the offset between the clocks beyond this is a step of the capture clock."""

MAX_BEHIND_NS = NS_PER_S // 10
"""A capture clock that stood still and goes on this far behind has stepped."""

_SMALLEST_ADVANCE_NS = 1_000
_MEMORY_NS = 30 * NS_PER_S
_SPREAD_SHARE = 16


@dataclass(frozen=True, slots=True)
class Stamp:
    """Times of one frame.

    Attributes:
        time_ns: Time since the stream's origin; rises with every frame.
        t_srv_ns: Capture time by the server's clock, late by the network's least delay, which
            cannot be seen one way.
        t_unc_ns: Usual deviation of the delay from the least, so how far t_srv_ns is wrong
            beyond that; begins at 0.
        stepped: The capture clock stepped, and this frame was timed by the receive clock.
    """

    time_ns: int
    t_srv_ns: int
    t_unc_ns: int
    stepped: bool


class CaptureClock:
    """Follows the offset between a rig's capture clock and the server's, for one epoch.

    A network only ever delays, so the offset is the smallest difference of the last half to whole
    minute. A frame that is merely late leaves it alone, and its capture time is as good as ever:
    only a clock that ran ahead by more than STEP_NS, or back past the frame before, has stepped.
    Frames come in the order of their numbers. The first one is the origin.
    """

    def __init__(self, t_ns: int, now_ns: int) -> None:
        self._zero_ns = t_ns
        self._t_ns, self._now_ns, self._time_ns = t_ns, now_ns, -_SMALLEST_ADVANCE_NS
        self._spread_ns = 0
        self._restart_offset(now_ns - t_ns, now_ns)

    @property
    def offset_ns(self) -> int:
        """Difference from capture times to the server's clock."""
        return min(self._least_ns, self._least_before_ns)

    def stamp(self, t_ns: int, now_ns: int) -> Stamp:
        """Return the times of the next frame.

        Args:
            t_ns: Its capture time, of any size.
            now_ns: When it was received, by the server's clock.
        """
        advance_ns, elapsed_ns = t_ns - self._t_ns, max(now_ns - self._now_ns, 0)
        beyond_ns = now_ns - t_ns - self.offset_ns
        behind_ns = self._time_ns - (t_ns - self._zero_ns)
        stepped = beyond_ns < -STEP_NS or advance_ns < 0
        stepped |= beyond_ns > STEP_NS if advance_ns == 0 else behind_ns > MAX_BEHIND_NS
        by_receive_ns = self._time_ns + max(elapsed_ns, _SMALLEST_ADVANCE_NS)
        if stepped:
            time_ns = by_receive_ns
            self._zero_ns = t_ns - time_ns
            self._restart_offset(now_ns - t_ns, now_ns)
        elif advance_ns == 0:
            time_ns = max(t_ns - self._zero_ns, by_receive_ns)
        else:
            time_ns = max(t_ns - self._zero_ns, self._time_ns + _SMALLEST_ADVANCE_NS)
        self._follow(now_ns - t_ns, now_ns)
        self._t_ns, self._now_ns, self._time_ns = t_ns, now_ns, time_ns
        return Stamp(time_ns, t_ns + self.offset_ns, self._spread_ns, stepped)

    def _restart_offset(self, offset_ns: int, now_ns: int) -> None:
        self._least_ns = self._least_before_ns = offset_ns
        self._half_since_ns = now_ns

    def _follow(self, offset_ns: int, now_ns: int) -> None:
        if now_ns - self._half_since_ns > _MEMORY_NS:
            self._least_before_ns, self._least_ns = self._least_ns, offset_ns
            self._half_since_ns = now_ns
        self._least_ns = min(self._least_ns, offset_ns)
        spread_ns = min(offset_ns - self.offset_ns, STEP_NS)
        self._spread_ns += (spread_ns - self._spread_ns) // _SPREAD_SHARE


def stamp_with_sync(stamp: Stamp, sync: ClockSync | None, t_ns: int) -> Stamp:
    """Replace the server time of a frame by its rig's own claim, where that can be true.

    A frame cannot have been captured after it came, and not more than a step of the clock before
    `CaptureClock`'s estimate, which is late by the delay only: such a claim is out of date.
    """
    if sync is None or stamp.stepped:
        return stamp
    claimed_ns = t_ns + time_from_wire(sync.offset)
    delay_ns = stamp.t_srv_ns - claimed_ns
    if not -sync.unc <= delay_ns <= STEP_NS:
        return stamp
    return replace(stamp, t_srv_ns=claimed_ns, t_unc_ns=sync.unc)
