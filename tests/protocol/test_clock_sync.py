"""What a rig may claim of the server's clock."""

import pytest

from langpose_rt.errors import MessageError
from langpose_rt.protocol.clock_sync import ClockSync, sync_checked
from langpose_rt.protocol.header import MAX_TIME_NS


def test_an_offset_may_be_digits_and_must_lead_to_a_time() -> None:
    assert sync_checked(None, 5) is None
    assert sync_checked(ClockSync("-12", 3), 5) == ClockSync(-12, 3)
    for offset in ("soon", MAX_TIME_NS + 1, MAX_TIME_NS):
        with pytest.raises(MessageError, match="bad_time"):
            sync_checked(ClockSync(offset, 3), 5)


def test_an_uncertainty_comes_with_its_offset_and_stays_as_it_was_sent() -> None:
    for uncertainty_ns in (0, 1, 10**9):
        assert sync_checked(ClockSync(0, uncertainty_ns), 5) == ClockSync(0, uncertainty_ns)


def test_an_offset_may_lead_to_the_last_moment_there_is_and_to_none_after_it() -> None:
    assert sync_checked(ClockSync(MAX_TIME_NS - 5, 3), 5) == ClockSync(MAX_TIME_NS - 5, 3)
    with pytest.raises(MessageError, match="bad_time"):
        sync_checked(ClockSync(MAX_TIME_NS - 4, 3), 5)
