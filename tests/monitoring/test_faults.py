"""Whatever goes wrong is counted once and said once, in the words of the event table."""

from collections.abc import Callable

import pytest

from langpose_rt.errors import BackendError, MessageError
from langpose_rt.monitoring.announcer import Announcer
from langpose_rt.monitoring.counters import Stats
from langpose_rt.monitoring.faults import FAILURES_IN_A_ROW, FaultReporter
from langpose_rt.protocol.header import RejectReason
from langpose_rt.protocol.messages import Event, ModelStamp, decode_status


class Board:
    """A reporter, and what is said of what it hears."""

    def __init__(self) -> None:
        self.stats, self._announcer = Stats(), Announcer("srv", 5)
        self.faults = FaultReporter(self.stats, self._announcer)

    def said(self) -> list[tuple[str, str, str, int]]:
        """Kind, reason, detail and count of every event since the last look."""
        events = [decode_status(parts) for parts in self._announcer.events(0, at_once=True)]
        assert all(isinstance(event, Event) for event in events)
        return [(e.kind, e.reason, e.detail, e.count) for e in events]  # type: ignore[union-attr]


@pytest.fixture
def board() -> Board:
    return Board()


FAILED = BackendError("CUDA failed at a step")
STAMP = ModelStamp(id="live", sha256="0123456789abcdef", precision="fp16", backend="tensorrt")


@pytest.mark.parametrize(
    ("happens", "counter", "event"),
    [
        (
            lambda faults: faults.backend_failed(FAILED), "backend_errors",
            ("fault", "backend_error", "CUDA failed at a step", 1),
        ),
        (
            lambda faults: faults.reset_failed(FAILED), "backend_errors",
            ("fault", "backend_error", "CUDA failed at a step", 1),
        ),
        (
            lambda faults: faults.fault("a bug"), "internal_errors",
            ("fault", "internal_error", "a bug", 1),
        ),
        (
            lambda faults: faults.model_refused("no such folder"), "reloads_refused",
            ("model", "model_refused", "no such folder", 1),
        ),
        (
            lambda faults: faults.model_changed(STAMP), "reloads",
            (
                "model", "changed",
                "live 0123456789ab, fp16 on tensorrt, answers from now on", 1,
            ),
        ),
    ],
    ids=["backend", "reset", "internal", "refused", "changed"],
)  # fmt: skip
def test_every_fault_has_its_counter_and_its_event(
    board: Board,
    happens: Callable[[FaultReporter], None],
    counter: str,
    event: tuple[str, str, str, int],
) -> None:
    happens(board.faults)
    assert {name for name, count in board.stats.counters().items() if count} == {counter}
    assert getattr(board.stats, counter) == 1
    assert board.said() == [event]


def test_a_backend_that_fails_again_and_again_is_not_expected_to_recover(board: Board) -> None:
    for number in range(1, FAILURES_IN_A_ROW + 1):
        assert not board.faults.persist
        board.faults.backend_failed(FAILED)
        assert board.faults.failures == number
    assert board.faults.persist


def test_a_reset_that_fails_is_no_failed_computation(board: Board) -> None:
    for _ in range(FAILURES_IN_A_ROW):
        board.faults.reset_failed(FAILED)
    assert board.faults.failures == 0
    assert not board.faults.persist
    assert board.stats.backend_errors == FAILURES_IN_A_ROW


def test_another_model_begins_without_failures(board: Board) -> None:
    for _ in range(FAILURES_IN_A_ROW):
        board.faults.backend_failed(FAILED)
    board.faults.model_changed(STAMP)
    assert not board.faults.persist


def test_people_are_forgotten_where_the_backend_can_and_counted_where_it_cannot(
    board: Board,
) -> None:
    done: list[str] = []
    board.faults.guard_reset(lambda: done.append("forgotten"))
    assert (done, board.said()) == (["forgotten"], [])

    def refuse() -> None:
        raise FAILED

    board.faults.guard_reset(refuse)
    assert board.said() == [("fault", "backend_error", "CUDA failed at a step", 1)]


def test_a_bug_while_forgetting_is_not_taken_for_a_backend_that_failed(board: Board) -> None:
    def broken() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        board.faults.guard_reset(broken)
    assert board.stats.backend_errors == 0


def test_of_people_without_a_slot_only_new_ones_are_said(board: Board) -> None:
    detail = "all 8 slots are taken; people are left out"
    board.faults.slots_refused(3, 8)
    assert board.said() == [("shed", "no_slot", detail, 3)]
    board.faults.slots_refused(3, 8)
    assert board.said() == []
    board.faults.slots_refused(5, 8)
    assert board.said() == [("shed", "no_slot", detail, 2)]
    assert board.stats.slots_refused == 5


def test_people_who_begin_anew_are_counted_and_nobody_is_nothing(board: Board) -> None:
    board.faults.people_reset(0)
    assert (board.said(), board.stats.forgotten) == ([], 0)
    board.faults.people_reset(4)
    assert board.stats.forgotten == 4
    ((kind, reason, detail, count),) = board.said()
    assert (kind, reason, count) == ("fault", "impossible_numbers", 4)
    assert detail.endswith("these people begin anew")


def test_poses_that_cannot_be_sent_are_said_of_their_stream(board: Board) -> None:
    board.faults.unsendable(MessageError("bad_values", "a pose is not finite"), "pose3d/a/b/")
    assert board.stats.unsendable == 1
    assert board.said() == [("fault", "bad_values", "a pose is not finite", 1)]


@pytest.mark.parametrize("reason", list(RejectReason))
def test_whoever_is_not_let_in_is_counted_by_the_reason(board: Board, reason: RejectReason) -> None:
    board.faults.handshake_rejected(reason, "an unknown key")
    board.faults.handshake_rejected(reason, "an unknown key")
    assert board.stats.rejected == {reason.value: 2}
    assert board.said() == [("reject", reason.value, "an unknown key", 2)]


def test_a_silent_rig_is_said_once_and_every_new_connection_counted(board: Board) -> None:
    board.faults.rigs_reconnected(1, ["tcp://rig0:5550"])
    assert [event[:2] for event in board.said()] == [("rig", "silent")]
    board.faults.rigs_reconnected(2, [])
    assert board.said() == []
    assert board.stats.reconnects == 3


def test_the_end_of_a_recording_is_said_and_is_no_fault(board: Board) -> None:
    board.faults.recording_ended("disk_full", "no space left")
    assert board.said() == [("record", "disk_full", "no space left", 1)]
    assert not any(board.stats.counters().values())


def test_it_counts_where_it_was_told_to(board: Board) -> None:
    assert board.faults.stats is board.stats
