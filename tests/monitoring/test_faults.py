"""Fault reporter: every fault is counted, published as an event, and named in one sentence."""

from collections.abc import Callable

import pytest

from langpose_rt.errors import BackendError, MessageError
from langpose_rt.monitoring.announcer import Announcer
from langpose_rt.monitoring.counters import Stats
from langpose_rt.monitoring.faults import FAILURES_IN_A_ROW, FaultReporter
from langpose_rt.protocol.header import RejectReason
from langpose_rt.protocol.messages import Event, decode_status
from langpose_rt.protocol.poses import ModelStamp


class Desk:
    """A fault reporter with its counters and events."""

    def __init__(self) -> None:
        self.stats, self._announcer = Stats(), Announcer("srv", 1)
        self.faults = FaultReporter(self.stats, self._announcer)

    def events(self) -> list[Event]:
        messages = [decode_status(parts) for parts in self._announcer.events(0, at_once=True)]
        return [message for message in messages if isinstance(message, Event)]


def failing_reset() -> None:
    raise BackendError("the backend cannot")


@pytest.mark.parametrize(
    ("report", "counter", "count", "kind", "reason"),
    [
        (lambda f: f.backend_failed(BackendError("no")), "backend_errors", 1, "fault",
         "backend_error"),
        (lambda f: f.guard_reset(failing_reset), "reset_errors", 1, "fault", "reset_error"),
        (lambda f: f.people_reset(3), "forgotten", 3, "fault", "impossible_numbers"),
        (lambda f: f.slots_refused({"kp2d/r/c/": 2}, 8), "slots_refused", 2, "shed", "no_slot"),
        (lambda f: f.unsendable(MessageError("not_finite", "no"), "pose3d/r/c/"), "unsendable", 1,
         "fault", "not_finite"),
        (lambda f: f.rigs_reconnected(1, ["tcp://rig0:1"]), "reconnects", 1, "rig", "silent"),
        (lambda f: f.fault("KeyError: 1"), "internal_errors", 1, "fault", "internal_error"),
        (lambda f: f.model_changed(ModelStamp("m", "ab" * 32)), "reloads", 1, "model", "changed"),
        (lambda f: f.model_refused("no"), "reloads_refused", 1, "model", "model_refused"),
    ],
)  # fmt: skip
def test_a_fault_is_counted_and_published(
    report: Callable[[FaultReporter], None], counter: str, count: int, kind: str, reason: str
) -> None:
    desk = Desk()
    report(desk.faults)
    assert {name: value for name, value in desk.stats.counters().items() if value} == {
        counter: count
    }
    (event,) = desk.events()
    assert (event.kind, event.reason) == (kind, reason)
    assert event.detail


def test_a_rejected_handshake_is_counted_by_its_reason() -> None:
    desk = Desk()
    desk.faults.peer_rejected(RejectReason.UNKNOWN_KEY, "not in the folder")
    assert desk.stats.rejected == {"unknown_key": 1}
    (event,) = desk.events()
    assert (event.kind, event.reason, event.detail) == (
        "reject", "unknown_key", "not in the folder"
    )  # fmt: skip


def test_nothing_is_reported_where_nothing_happened() -> None:
    desk = Desk()
    desk.faults.people_reset(0)
    desk.faults.slots_refused({}, 8)
    desk.faults.rigs_reconnected(0, [])
    desk.faults.guard_reset(lambda: None)
    assert desk.events() == []
    assert not any(desk.stats.counters().values())


def test_people_without_a_slot_are_reported_by_stream() -> None:
    desk = Desk()
    desk.faults.slots_refused({"kp2d/a/c/": 2, "kp2d/b/c/": 1}, 8)
    desk.faults.slots_refused({"kp2d/a/c/": 3}, 8)
    assert desk.stats.slots_refused == 6
    assert {event.subject: event.count for event in desk.events()} == {
        "kp2d/a/c/": 5,
        "kp2d/b/c/": 1,
    }


def test_ids_that_are_replaced_are_reported_with_the_remedy() -> None:
    desk = Desk()
    desk.faults.ids_replaced("kp2d/a/c/")
    (event,) = desk.events()
    assert (event.kind, event.reason, event.subject) == ("suspect", "ids_do_not_last", "kp2d/a/c/")
    assert "-1" in event.detail


def test_failures_in_a_row_persist_until_another_model_is_active() -> None:
    desk = Desk()
    for number in range(FAILURES_IN_A_ROW):
        assert desk.faults.failures == number
        assert not desk.faults.persist
        desk.faults.backend_failed(BackendError("no"))
    assert desk.faults.persist
    desk.faults.model_changed(ModelStamp("m"))
    assert not desk.faults.persist


def test_an_unexpected_exception_of_a_reset_is_not_contained_here() -> None:
    def reset() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Desk().faults.guard_reset(reset)


def test_the_end_of_a_recording_is_published_but_counts_nothing() -> None:
    desk = Desk()
    desk.faults.recording_ended("disk", "the disk is full")
    (event,) = desk.events()
    assert (event.kind, event.reason) == ("record", "disk")
    assert not any(desk.stats.counters().values())
