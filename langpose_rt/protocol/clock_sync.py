"""What a rig knows of the server's clock, having probed it: more than one way can tell.

The `clock` request of `langpose_rt.protocol.control` measures it.
"""

import msgspec

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
