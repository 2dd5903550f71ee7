from langpose_rt.fusion.instants import InstantSchedule
from tests.fusion.rigs import MS

WAIT = 20 * MS


def test_an_instant_is_due_when_every_camera_has_reached_it() -> None:
    schedule = InstantSchedule(2, WAIT)
    schedule.add(0, 0, 0)
    schedule.add(1, 0, 1 * MS)
    assert schedule.due(1 * MS) == [0]
    schedule.add(0, 16 * MS, 16 * MS)
    assert schedule.due(17 * MS) == []
    schedule.add(1, 20 * MS, 22 * MS)
    assert schedule.due(22 * MS) == [16 * MS]


def test_an_instant_waits_no_longer_than_it_may() -> None:
    schedule = InstantSchedule(2, WAIT)
    schedule.add(0, 0, 0)
    schedule.add(1, 0, 0)
    schedule.due(0)
    schedule.add(0, 16 * MS, 16 * MS)
    assert schedule.next_due_ns() == 36 * MS
    assert schedule.due(35 * MS) == []
    assert schedule.due(36 * MS) == [16 * MS]
    assert schedule.next_due_ns() is None


def test_cameras_of_one_moment_make_one_instant_and_the_fastest_leads() -> None:
    schedule = InstantSchedule(2, WAIT)
    times = []
    for frame in range(60):
        now = frame * 16 * MS
        schedule.add(0, now, now)
        if frame % 2 == 0:
            schedule.add(1, now + 5 * MS, now + 5 * MS)
        times += schedule.due(now + 5 * MS)
    times += schedule.due(10**10, all_of_them=True)
    assert times == [frame * 16 * MS for frame in range(60)]


def test_when_the_leading_camera_dies_another_one_leads() -> None:
    schedule = InstantSchedule(2, WAIT)
    for frame in range(10):
        schedule.add(0, frame * 16 * MS, frame * 16 * MS)
        schedule.add(1, frame * 16 * MS + 5 * MS, frame * 16 * MS + 5 * MS)
    schedule.due(10**9, all_of_them=True)
    for frame in range(10, 100):
        schedule.add(1, frame * 16 * MS + 5 * MS, frame * 16 * MS + 5 * MS)
    late = schedule.due(1600 * MS)
    assert len(late) == 90
    assert schedule.awake(1600 * MS) == [False, True]


def test_a_camera_that_sleeps_is_not_waited_for() -> None:
    schedule = InstantSchedule(2, WAIT)
    schedule.add(0, 0, 0)
    schedule.add(1, 0, 0)
    schedule.due(0)
    schedule.add(1, 600 * MS, 600 * MS)
    assert schedule.due(600 * MS) == [600 * MS]


def test_no_more_than_a_few_hundred_instants_wait() -> None:
    schedule = InstantSchedule(1, 10**12)
    for frame in range(1000):
        schedule.add(0, frame * 16 * MS, 0)
    assert len(schedule.due(0, all_of_them=True)) == 256
