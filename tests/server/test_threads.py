"""Threads with a socket each: end, failure, progress; contained exceptions."""

import logging
import threading

import pytest

from langpose_rt.monitoring.announcer import Announcer
from langpose_rt.monitoring.counters import Stats
from langpose_rt.monitoring.faults import FaultReporter
from langpose_rt.server.threads import FAULT_LOG_NS, ServingThreads, contain_faults

WAIT_S = 60.0


class Door:
    """Something to close."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


def test_what_a_thread_owns_is_closed_when_its_loop_ends_and_that_is_told() -> None:
    threads, door, go = ServingThreads(lambda: 0.0), Door(), threading.Event()

    def loop(socket: Door) -> None:
        assert go.wait(WAIT_S)
        assert not socket.closed.is_set()

    threads.start("one", loop, door)
    assert threads.alive()
    assert not threads.ended["one"].is_set()
    go.set()
    threads.join()
    assert door.closed.is_set()
    assert threads.ended["one"].is_set()
    assert not threads.ended["two"].is_set()
    assert threads.failure is None
    assert not threads.stopping.is_set()


def test_a_thread_that_fails_stops_the_others_and_is_remembered() -> None:
    threads, doors = ServingThreads(lambda: 0.0), [Door(), Door()]

    def wait(_: Door) -> None:
        assert threads.stopping.wait(WAIT_S)

    def fail(_: Door) -> None:
        raise ZeroDivisionError("a fault")

    threads.start("one", wait, doors[0])
    threads.start("two", fail, doors[1])
    threads.join()
    assert isinstance(threads.failure, ZeroDivisionError)
    assert all(door.closed.is_set() for door in doors)
    assert all(event.is_set() for event in threads.ended.values())


def test_a_loop_that_does_not_turn_is_not_alive() -> None:
    now_s = [0.0]
    threads, door = ServingThreads(lambda: now_s[0]), Door()
    threads.start("one", lambda _: None, door)
    threads.join()
    now_s[0] = 4.9
    assert threads.alive()
    now_s[0] = 5.1
    assert not threads.alive()
    threads.progressed("one")
    assert threads.alive()


def test_every_fault_is_counted_and_the_log_is_not_flooded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stats, times_ns = Stats(), iter((0, 1, FAULT_LOG_NS, FAULT_LOG_NS + 1))
    contained = contain_faults(
        FaultReporter(stats, Announcer("srv", 1)), clock=times_ns.__next__, fatal=OSError
    )
    with caplog.at_level(logging.ERROR):
        for _ in range(4):
            with contained():
                raise ZeroDivisionError("a fault")
    assert stats.internal_errors == 4
    assert len(caplog.records) == 2
    assert all(record.exc_info for record in caplog.records)


def test_what_is_fatal_and_what_is_no_fault_pass() -> None:
    stats = Stats()
    contained = contain_faults(
        FaultReporter(stats, Announcer("srv", 1)), clock=lambda: 0, fatal=OSError
    )
    with pytest.raises(OSError, match="it is over"), contained():
        raise OSError("it is over")
    with pytest.raises(KeyboardInterrupt), contained():
        raise KeyboardInterrupt
    assert stats.internal_errors == 0
