"""When a lifter is asked, and when it counts as live."""

from langpose_rt.cluster.health import PING_NS, STEADY_NS, Health

TIMEOUT_NS = 4 * PING_NS


def test_it_is_asked_regularly() -> None:
    health = Health(TIMEOUT_NS)
    asked = [health.due(now) for now in (0, PING_NS // 2, PING_NS, PING_NS + 1, 2 * PING_NS)]
    assert asked == [True, False, True, False, True]
    assert health.asked == 3


def test_it_takes_part_from_its_first_answer_and_is_lost_once() -> None:
    health = Health(TIMEOUT_NS)
    assert not health.is_lost(10 * TIMEOUT_NS), "it never took part"
    assert health.heard(0)
    assert not health.heard(PING_NS)
    assert not health.is_lost(PING_NS + TIMEOUT_NS)
    assert health.is_lost(PING_NS + TIMEOUT_NS + 1)
    assert not health.is_lost(PING_NS + TIMEOUT_NS + 2)
    assert not health.live


def test_one_that_was_lost_takes_part_again_once_it_is_steady() -> None:
    health = Health(TIMEOUT_NS)
    health.heard(0)
    assert health.is_lost(2 * TIMEOUT_NS)
    start = 3 * TIMEOUT_NS
    times = range(start, start + STEADY_NS + PING_NS + 1, PING_NS)
    joined = [now for now in times if health.heard(now)]
    assert joined == [start + STEADY_NS]


def test_one_that_answers_now_and_then_stays_out() -> None:
    health = Health(TIMEOUT_NS)
    health.heard(0)
    assert health.is_lost(2 * TIMEOUT_NS)
    assert not any(
        health.heard(now) for now in range(TIMEOUT_NS * 3, TIMEOUT_NS * 60, TIMEOUT_NS * 2)
    )


def test_another_process_of_that_name_takes_part_at_once() -> None:
    health = Health(TIMEOUT_NS)
    health.heard(0)
    assert health.is_lost(2 * TIMEOUT_NS)
    health.restarted()
    assert health.due(2 * TIMEOUT_NS)
    assert health.heard(2 * TIMEOUT_NS)
