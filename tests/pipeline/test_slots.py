"""The slot table: acquire, release, reset and history."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.pipeline.slots import SlotDemand, SlotTable
from tests.fakes import MS, FakeBackend, person_px
from tests.pipeline.bench import Bench, bench

PERSON = person_px((0, 0, 4))
CROWD = [person_px((0.5 * column - 2, 0, 4 + row)) for row in range(2) for column in range(8)]


class Owner:
    """A stream that only holds slots."""

    def __init__(self, rig: str) -> None:
        self.rig, self.displaced = rig, set[int]()

    def displace(self, slots: set[int]) -> None:
        self.displaced |= slots


def test_slots_are_given_once_and_again_after_they_are_freed() -> None:
    persons = SlotTable(FakeBackend(slots=3))
    owner = Owner("rig0")
    slots = [persons.acquire(owner) for _ in range(4)]
    assert sorted(slot for slot in slots if slot is not None) == [0, 1, 2]
    assert slots[3] is None
    assert persons.in_use == 3
    assert persons.take_refused() == {owner: 1}
    assert not persons.take_refused()
    persons.release([1])
    assert persons.acquire(owner) == 1
    assert persons.in_use == 3


def test_a_person_is_forgotten_everywhere_at_once() -> None:
    backend = FakeBackend(slots=2)
    persons = SlotTable(backend, "low")
    slots, other = np.array([0], np.int32), np.array([1], np.int32)
    for who in (slots, other):
        persons.advance(who, np.array([100]), np.array([True]))
        persons.anchor.seen[who] = True
        backend.history[int(who[0])].append((100, np.zeros(7)))
    assert persons.filter is not None
    persons.filter.step(slots, np.zeros((1, 18, 3), np.float32), np.array([100]))
    assert np.isnan(persons.bones_m).all()
    persons.bones_m[:] = 0.3
    persons.reset(slots)
    assert backend.history == [[], [backend.history[1][0]]]
    assert persons.pushes.tolist() == [0, 1]
    assert persons.generation.tolist() == [1, 0]
    assert persons.anchor.seen.tolist() == [False, True]
    assert np.isnan(persons.bones_m).all(-1).tolist() == [True, False]
    fresh = np.ones((1, 18, 3), np.float32)
    np.testing.assert_array_equal(persons.filter.step(slots, fresh, np.array([120])), fresh)


def test_times_of_a_person_follow_their_frames() -> None:
    persons = SlotTable(FakeBackend(slots=2))
    slots = np.array([0, 1], np.int32)
    persons.advance(slots, np.array([10, 10]), np.array([True, False]))
    persons.advance(slots, np.array([30, 30]), np.array([False, True]))
    persons.advance(slots[:1], np.array([50]), np.array([False]))
    assert persons.pushes.tolist() == [3, 2]
    assert persons.first_ns.tolist() == [10, 10]
    assert persons.last_ns.tolist() == [50, 30]
    assert persons.measured_ns.tolist() == [10, 30]


def test_an_unknown_smoothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="smoothing"):
        SlotTable(FakeBackend(), "much")


# Shares -------------------------------------------------------------------------------------------


def take(
    persons: SlotTable, owner: Owner, count: int, *, at_ms: int = 0, frames: int = 5
) -> set[int]:
    """Slots for so many people of a stream, seen at that time and in so many frames."""
    slots = [slot for _ in range(count) if (slot := persons.acquire(owner)) is not None]
    persons.pushes[slots], persons.seen_ns[slots] = frames, at_ms * MS
    return set(slots)


def test_who_has_less_than_an_even_share_displaces_the_newest_of_who_has_more() -> None:
    persons, many, few = SlotTable(FakeBackend(slots=8)), Owner("rig0"), Owner("rig1")
    old, new = take(persons, many, 5, frames=90), take(persons, many, 3, frames=40)
    persons.make_room([SlotDemand(many, old | new, 0), SlotDemand(few, set(), 6)], 0)
    assert many.displaced > new
    assert len(many.displaced) == 4
    assert [persons.acquire(few) is None for _ in range(6)] == [False] * 4 + [True] * 2
    assert persons.acquire(many) is None, "who was displaced does not come back in the same step"


def test_nobody_is_displaced_for_who_has_a_share_already() -> None:
    persons, one, other = SlotTable(FakeBackend(slots=4)), Owner("rig0"), Owner("rig1")
    mine, theirs = take(persons, one, 2), take(persons, other, 2)
    persons.make_room([SlotDemand(one, mine, 9), SlotDemand(other, theirs, 0)], 0)
    assert not one.displaced | other.displaced
    assert persons.acquire(one) is None


def test_shares_are_even_over_rigs_and_then_over_the_streams_of_a_rig() -> None:
    persons = SlotTable(FakeBackend(slots=12))
    cameras, single = [Owner("rig0") for _ in range(3)], Owner("rig1")
    demands = [SlotDemand(owner, set(), 12) for owner in (*cameras, single)]
    persons.make_room(demands, 0)
    got = [len(take(persons, owner, 12)) for owner in (*cameras, single)]
    assert got == [2, 2, 2, 6]


def test_who_was_seen_once_or_long_ago_is_displaced_by_anybody() -> None:
    persons, ghosts, dead, new = SlotTable(FakeBackend(slots=9)), *map(Owner, ("a", "b", "c"))
    once, away = take(persons, ghosts, 3, at_ms=900, frames=1), take(persons, dead, 3)
    stays = take(persons, ghosts, 3, at_ms=900)
    persons.make_room([SlotDemand(new, set(), 3)], 1100 * MS)
    assert dead.displaced == away, "not seen for the track timeout by the server's clock"
    assert len(take(persons, new, 3, at_ms=1100)) == 3
    persons.make_room([SlotDemand(new, set(), 3)], 1200 * MS)
    assert ghosts.displaced == once
    assert not ghosts.displaced & stays


def honest_beside(test: Bench, bad: Callable[[int], dict[str, Any] | None]) -> list[int]:
    """Frames in which the honest rig's person lacks a pose; 120 frames of both rigs."""
    lost = []
    for frame in range(120):
        at_ms = 16 * frame
        if (sent := bad(frame)) is not None:
            people = sent.pop("people")
            fields = {"rig": "bad", "seq": frame, "at_ms": at_ms} | sent
            test.receive(*people, **fields)
        if frame >= 3:
            test.receive(PERSON, ids=[5], seq=frame, at_ms=at_ms)
        answered = [list(m.ids) for m in test.step(at_ms) if m.rig == "rig0"]
        if frame >= 3 and answered != [[5]]:
            lost.append(frame)
    return lost


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(
            lambda frame: {"people": CROWD[:8]} if frame == 0 else None, id="a crowd that dies"
        ),
        pytest.param(
            lambda frame: {"people": CROWD[:8], "ids": range(8 * frame, 8 * frame + 8)},
            id="ids that change in every frame",
        ),
        pytest.param(
            lambda frame: {
                "people": [CROWD[8], *(CROWD[(frame * 5 + n) % 8] for n in range(4))],
                "ids": [-1] * 5,
            },
            id="four ghosts in every frame",
        ),
        pytest.param(
            lambda frame: {"people": CROWD, "camera": f"cam{frame % 30}"}, id="thirty cameras"
        ),
    ],
)
def test_an_honest_rig_beside_a_bad_one_loses_nothing(
    bad: Callable[[int], dict[str, Any] | None],
) -> None:
    test = bench(slots=8)
    assert honest_beside(test, bad) == []


def test_a_refusal_names_the_stream_and_what_to_do() -> None:
    test = bench(slots=8)
    honest_beside(test, lambda _: {"people": CROWD})
    (event,) = [event for event in test.events(3000) if event.reason == "no_slot"]
    assert event.subject == "kp2d/bad/cam0/"
    assert "--slots" in event.detail
    assert event.count == test.counter("slots_refused") == 117 * 9 + 3 * 8


def test_ids_that_do_not_last_are_replaced_by_those_of_the_tracker_and_reported_once() -> None:
    test, ids = bench(slots=8), list[int]()
    for frame in range(60):
        (message,) = test.feed(PERSON, ids=[frame + 100], seq=frame, at_ms=16 * frame)
        ids += message.ids.tolist()
    assert len(set(ids[20:])) == 1
    (event,) = [event for event in test.events(1000) if event.reason == "ids_do_not_last"]
    assert (event.kind, event.subject, event.count) == ("suspect", "kp2d/rig0/cam0/", 1)
