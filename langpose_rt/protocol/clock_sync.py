"""What a rig knows of the server's clock, having probed it: more than one way can tell.

How it is found out is the `clock` request of `control_message.py`; what the server makes of times
that are sent without it is in `clock.py`.
"""

from dataclasses import replace

import msgspec

from langpose_rt.pipeline.capture_clock import STEP_NS, Stamp
from langpose_rt.protocol.header import TimeNs, UInt, time_from_wire


class ClockSync(msgspec.Struct, frozen=True):
    """What to add to the capture clock to have the server's unix time, and how wrong that may be.

    Args:
        offset: In ns, an integer or a decimal string.
        unc: Largest error in ns.
    """

    offset: TimeNs
    unc: UInt


def sync_checked(sync: ClockSync | None, t_ns: int) -> ClockSync | None:
    """A claim about the clock of a frame captured at some time, with its offset as an integer.

    Raises:
        MessageError: bad_time, if the offset or the time that comes of it is none.
    """
    if sync is None:
        return None
    offset_ns = time_from_wire(sync.offset)
    time_from_wire(t_ns + offset_ns)
    return ClockSync(offset_ns, sync.unc)


def stamp_with_sync(stamp: Stamp, sync: ClockSync | None, t_ns: int) -> Stamp:
    """The times of a frame, with what its rig claims to know, where that can be true.

    A frame cannot have been captured after it came, and not more than a step of the clock before
    the estimate of `clock.py`, which is late by the delay only: such a claim is out of date.
    """
    if sync is None or stamp.stepped:
        return stamp
    claimed_ns = t_ns + time_from_wire(sync.offset)
    delay_ns = stamp.t_srv_ns - claimed_ns
    if not -sync.unc <= delay_ns <= STEP_NS:
        return stamp
    return replace(stamp, t_srv_ns=claimed_ns, t_unc_ns=sync.unc)
