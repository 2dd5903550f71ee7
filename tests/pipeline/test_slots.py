"""The slot table: acquire, release, reset and history."""

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.pipeline.slots import SlotTable
from tests.fakes import FakeBackend


def test_slots_are_given_once_and_again_after_they_are_freed() -> None:
    persons = SlotTable(FakeBackend(slots=3))
    slots = [persons.acquire() for _ in range(4)]
    assert sorted(slot for slot in slots if slot is not None) == [0, 1, 2]
    assert slots[3] is None
    assert (persons.in_use, persons.refused) == (3, 1)
    persons.release([1])
    assert persons.acquire() == 1
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
    persons.reset(slots)
    assert backend.history == [[], [backend.history[1][0]]]
    assert persons.pushes.tolist() == [0, 1]
    assert persons.generation.tolist() == [1, 0]
    assert persons.anchor.seen.tolist() == [False, True]
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
