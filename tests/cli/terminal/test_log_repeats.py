"""Repeats of a record: tables of (second, record) to what is written."""

import logging

from langpose_rt.cli.terminal.log_repeats import MOST_KINDS, REPEAT_S, LogRepeats


def record(message: str = "got %s", *args: object, **fields: object) -> logging.LogRecord:
    given = {"name": "a", "levelno": logging.WARNING, "msg": message, "args": args}
    return logging.makeLogRecord(given | fields)


def test_the_first_is_written_at_once_and_the_rest_counted_until_the_time_is_over() -> None:
    repeats = LogRepeats()
    first, last = record(), record("got %s", 38)
    assert repeats.put(first, 0.0) == [first]
    for number in range(37):
        assert repeats.put(record("got %s", number), 5.0) == []
    assert repeats.put(last, 6.0) == []
    assert repeats.due(REPEAT_S - 0.1) == []
    (said,) = repeats.due(REPEAT_S)
    assert said is last, "the newest stands for all"
    assert (said.count, said.over_s) == (38, 10.0)  # type: ignore[attr-defined]
    assert repeats.due(2 * REPEAT_S) == [], "nothing came since"
    assert repeats.put(first, 2 * REPEAT_S) == [first], "and it is new again"


def test_counts_of_records_that_stand_for_several_add_up() -> None:
    repeats = LogRepeats()
    for _ in range(3):
        repeats.put(record(count=1000), 0.0)
    (said,) = repeats.due(REPEAT_S)
    assert said.count == 2000  # type: ignore[attr-defined]


def test_streams_and_reasons_do_not_silence_each_other() -> None:
    repeats = LogRepeats()
    for stream in ("kp2d/a/b/", "kp2d/a/c/"):
        for reason in ("bad_header", "bad_topic"):
            assert len(repeats.put(record(stream=stream, reason=reason), 0.0)) == 1


def test_a_flood_of_names_is_bounded_and_counted_exactly() -> None:
    repeats = LogRepeats()
    lines = [said for n in range(5000) for said in repeats.put(record(stream=f"s{n}"), 0.0)]
    assert len(lines) == MOST_KINDS + 1
    (rest,) = repeats.due(REPEAT_S)
    assert len(lines) + rest.count == 5000  # type: ignore[attr-defined]


def test_what_is_hidden_at_the_end_is_said() -> None:
    repeats = LogRepeats()
    repeats.put(record(), 0.0)
    repeats.put(record(), 1.0)
    (said,) = repeats.due(2.0, at_once=True)
    assert (said.count, said.over_s) == (1, 2.0)  # type: ignore[attr-defined]
