"""What a rig claims of the server's clock, and when it is believed."""

import pytest

from langpose_rt.errors import MessageError
from langpose_rt.pipeline.capture_clock import STEP_NS, CaptureClock, Stamp, stamp_with_sync
from langpose_rt.protocol.clock_sync import ClockSync, sync_checked
from langpose_rt.protocol.header import MAX_TIME_NS
from tests.fakes import MS

DELAY_NS, OFFSET_NS = 7 * MS, 37_000 * MS


def estimated(t_ns: int) -> Stamp:
    """The one-way estimate over a way that takes at least DELAY_NS, after some frames."""
    clock = CaptureClock(0, OFFSET_NS + DELAY_NS)
    for frame_ns in range(0, t_ns + 1, 20 * MS):
        stamp = clock.stamp(frame_ns, frame_ns + OFFSET_NS + DELAY_NS)
    return stamp


def test_one_way_the_least_delay_cannot_be_seen_and_a_probe_sees_it() -> None:
    t_ns = 1000 * MS
    stamp = estimated(t_ns)
    assert stamp.t_srv_ns == t_ns + OFFSET_NS + DELAY_NS
    assert stamp.t_unc_ns == 0, "it says only how the delay varies"
    better = stamp_with_sync(stamp, ClockSync(OFFSET_NS, 2 * MS), t_ns)
    assert (better.t_srv_ns, better.t_unc_ns) == (t_ns + OFFSET_NS, 2 * MS)
    assert better.time_ns == stamp.time_ns, "the model's time is the rig's alone"
    assert stamp_with_sync(stamp, None, t_ns) == stamp


@pytest.mark.parametrize(
    ("error_ns", "believed"),
    [
        (DELAY_NS + 2 * MS, True),
        (DELAY_NS + 2 * MS + 1, False),
        (DELAY_NS - STEP_NS, True),
        (DELAY_NS - STEP_NS - 1, False),
    ],
)
def test_a_claim_that_cannot_be_true_is_out_of_date(error_ns: int, believed: bool) -> None:
    stamp = estimated(1000 * MS)
    found = stamp_with_sync(stamp, ClockSync(OFFSET_NS + error_ns, 2 * MS), 1000 * MS)
    assert (found.t_unc_ns == 2 * MS) is believed
    assert (found == stamp) is not believed


def test_nothing_is_claimed_of_a_clock_that_has_just_stepped() -> None:
    stepped = Stamp(0, 100, 5, stepped=True)
    assert stamp_with_sync(stepped, ClockSync(0, 1000), 100) == stepped


def test_an_offset_may_be_digits_and_must_lead_to_a_time() -> None:
    assert sync_checked(None, 5) is None
    assert sync_checked(ClockSync("-12", 3), 5) == ClockSync(-12, 3)
    for offset in ("soon", MAX_TIME_NS + 1, MAX_TIME_NS):
        with pytest.raises(MessageError, match="bad_time"):
            sync_checked(ClockSync(offset, 3), 5)
