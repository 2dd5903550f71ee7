"""Notification lines as tables of (second, server); real sockets are in end_to_end."""

from dataclasses import replace

import pytest

from langpose_rt.server.systemd import STATUS_S, Supervision, watchdog_s
from tests.monitoring.test_snapshot import empty_snapshot

READY = empty_snapshot()
STARTING, DEGRADED, DRAINING = (
    replace(READY, state=state) for state in ("starting", "degraded", "draining")
)


def said(supervision: Supervision, *looks: tuple[float, object, bool]) -> list[list[str]]:
    """Names of the lines, at every look."""
    lines = (supervision.lines(now, alive, at_s) for at_s, now, alive in looks)  # type: ignore[arg-type]
    return [[line.partition(":")[0] for line in look] for look in lines]


def test_ready_is_said_once_the_server_is_and_stopping_once_it_drains() -> None:
    assert said(
        Supervision(None), (0.0, STARTING, False), (0.1, STARTING, True), (0.2, READY, True),
        (0.3, READY, True), (0.4, DRAINING, True),
    ) == [["STATUS=starting"], [], ["READY=1", "STATUS=ready"], [],
          ["STOPPING=1", "STATUS=draining"]]  # fmt: skip


def test_a_sign_of_life_comes_three_times_in_the_time_it_is_due() -> None:
    looks = said(Supervision(3.0), *((at_s / 10, READY, True) for at_s in range(30)))
    assert sum("WATCHDOG=1" in look for look in looks) == 3


def test_a_server_whose_threads_hang_gives_no_sign_of_life() -> None:
    looks = said(Supervision(3.0), (0.0, READY, True), (1.1, READY, False), (2.2, READY, False))
    assert [("WATCHDOG=1" in look) for look in looks] == [True, False, False]


def test_a_degraded_server_is_still_ready_for_systemd_and_lives() -> None:
    first, second = said(Supervision(30.0), (0.0, READY, True), (STATUS_S, DEGRADED, True))
    assert "READY=1" in first
    assert second == ["WATCHDOG=1", "STATUS=degraded"], "its state is said, ready only once"


def test_the_status_says_who_is_served_how_fast() -> None:
    (line,) = Supervision(None).lines(STARTING, False, 0.0)
    assert line.startswith("STATUS=starting: 0 cameras, 2 people, 60 poses/s, p99 0.0 ms; fake")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "20000000"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "7"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_systemd_says_when_a_sign_of_life_is_due_and_whose(
    environment: dict[str, str], expected: float | None
) -> None:
    assert watchdog_s(environment, 7) == expected
