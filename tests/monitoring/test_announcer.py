"""Schedule of heartbeats and schemas, and rate limit of events."""

import pytest

from langpose_rt.geometry.skeleton import SKELETONS
from langpose_rt.monitoring.announcer import MAX_SUBJECTS, Announcer
from langpose_rt.protocol.messages import Event, decode_status
from tests.fakes import MS


def announcer() -> Announcer:
    return Announcer("srv", 5)


def events(said: list[list[bytes]]) -> list[Event]:
    found = [decode_status(parts) for parts in said]
    assert all(isinstance(event, Event) for event in found)
    return found  # type: ignore[return-value]


def test_the_first_of_a_kind_is_said_at_once_and_the_rest_counted_and_said_later() -> None:
    board = announcer()
    board.report("reject", "bad_header", "one", "kp2d/a/b/")
    (first,) = events(board.events(0))
    assert (first.kind, first.reason, first.detail, first.count) == (
        "reject",
        "bad_header",
        "one",
        1,
    )
    assert first.subject == "kp2d/a/b/"
    for _ in range(9):
        board.report("reject", "bad_header", "again", "kp2d/a/b/")
    assert board.events(999 * MS) == []
    (second,) = events(board.events(1000 * MS))
    assert (second.count, second.detail, second.seq) == (9, "again", 1)
    assert board.events(5000 * MS) == []


def test_subjects_and_reasons_do_not_silence_each_other() -> None:
    board = announcer()
    board.report("reject", "bad_header", "", "kp2d/a/b/")
    board.report("reject", "bad_topic", "", "kp2d/a/b/")
    board.report("reject", "bad_header", "", "kp2d/a/c/")
    assert len(board.events(0)) == 3


def test_a_flood_of_names_is_said_in_bounded_words_and_counted_exactly() -> None:
    board = announcer()
    for number in range(5000):
        board.report("reject", "bad_header", "", f"kp2d/rig{number}/cam/")
    said = events(board.events(0))
    assert len(said) == MAX_SUBJECTS + 1
    assert sum(event.count for event in said) == 5000
    assert said[-1].subject == ""


def test_names_that_are_quiet_again_make_room() -> None:
    board = announcer()
    for second in range(4):
        for number in range(MAX_SUBJECTS):
            board.report("reject", "bad_header", "", f"kp2d/rig{second}-{number}/cam/")
        said = events(board.events(2 * second * 1000 * MS))
        board.events((2 * second + 1) * 1000 * MS)
        assert all(event.subject for event in said)


def test_heartbeats_are_due_every_second_without_drifting() -> None:
    board, beats = announcer(), []
    from tests.monitoring.test_snapshot import empty_snapshot

    for at_ms in range(0, 5000, 70):
        if board.heartbeat_due(at_ms * MS):
            board.heartbeat(empty_snapshot(), at_ms * MS)
            beats.append(at_ms)
    assert beats == [0, 1050, 2030, 3010, 4060]


def test_schemas_of_all_formats_come_every_five_seconds_and_soon_after_being_wanted() -> None:
    board = announcer()
    assert len(board.schemas(0)) == len(SKELETONS)
    assert board.schemas(4999 * MS) == []
    assert len(board.schemas(5000 * MS)) == len(SKELETONS)
    board.want_schemas()
    assert board.schemas(5500 * MS) == [], "not more than once a second"
    assert len(board.schemas(6000 * MS)) == len(SKELETONS)
    assert board.schemas(7000 * MS) == []


def test_what_is_said_is_logged_with_its_stream_and_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    board = announcer()
    for _ in range(9):
        board.report("reject", "bad_header", "got 1, expected 2", "kp2d/a/b/")
    board.report("fault", "backend_error", "no memory")
    board.events(0)
    rejected, fault = caplog.records
    assert (rejected.levelname, fault.levelname) == ("WARNING", "ERROR")
    assert rejected.getMessage() == "got 1, expected 2"
    about = {name: vars(rejected)[name] for name in ("kind", "stream", "reason", "count")}
    assert about == {"kind": "reject", "stream": "kp2d/a/b/", "reason": "bad_header", "count": 9}
