"""Faults are counted and said, logged now and then, and end nothing but what they must."""

import logging

import pytest

from langpose_rt.monitoring.announcer import Announcer
from langpose_rt.monitoring.counters import Stats
from langpose_rt.monitoring.faults import FaultReporter
from langpose_rt.server.fault_guard import FAULT_LOG_NS, FaultGuard


def test_every_fault_is_counted_and_the_log_is_not_flooded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stats, times_ns = Stats(), iter((0, 1, FAULT_LOG_NS, FAULT_LOG_NS + 1))
    guard = FaultGuard(
        FaultReporter(stats, Announcer("srv", 1)), clock=times_ns.__next__, fatal=OSError
    )
    with caplog.at_level(logging.ERROR):
        for _ in range(4):
            with guard():
                raise ZeroDivisionError("a fault")
    assert stats.internal_errors == 4
    assert len(caplog.records) == 2
    assert all(record.exc_info for record in caplog.records)


def test_what_is_fatal_and_what_is_no_fault_pass() -> None:
    stats = Stats()
    guard = FaultGuard(FaultReporter(stats, Announcer("srv", 1)), clock=lambda: 0, fatal=OSError)
    with pytest.raises(OSError, match="it is over"), guard():
        raise OSError("it is over")
    with pytest.raises(KeyboardInterrupt), guard():
        raise KeyboardInterrupt
    assert stats.internal_errors == 0
