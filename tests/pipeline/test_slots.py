"""The slot table and what a reset clears; batches of people."""

from dataclasses import fields, replace

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.pipeline.slots import PersonBatch, SlotTable
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


def test_rows_of_a_batch_are_selected_and_put_together_again() -> None:
    batch = numbered_batch(4)
    mask = np.array([False, True, False, True])
    assert batch.select(mask).id.tolist() == [1, 3]
    assert batch.select(mask).rays[:, 0, 0].tolist() == [1, 3]
    first, rest = batch.select(slice(1)), batch.select(slice(1, 4))
    assert (len(first), len(rest)) == (1, 3)
    assert np.shares_memory(rest.scores, batch.scores)
    again = PersonBatch.concatenate([first, PersonBatch.empty(), rest])
    for field in fields(PersonBatch):
        found, expected = getattr(again, field.name), getattr(batch, field.name)
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype


def test_columns_of_different_lengths_or_types_are_no_batch() -> None:
    batch = numbered_batch(2)
    with pytest.raises(TypeError, match="pushes"):
        replace(batch, pushes=np.zeros(3, np.int64))
    with pytest.raises(TypeError, match="slot"):
        replace(batch, slot=np.zeros(2, np.int64))


def numbered_batch(people: int) -> PersonBatch:
    """Rows that hold their own number in every column."""
    columns = {}
    for field in fields(PersonBatch):
        zeros = getattr(PersonBatch.empty(people), field.name)
        number = np.arange(people).reshape(-1, *[1] * (zeros.ndim - 1))
        columns[field.name] = (zeros + number).astype(zeros.dtype)
    return PersonBatch(**columns)
