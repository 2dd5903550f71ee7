"""People of a stream: given ids, tracked ids, expiry; batches of people."""

from dataclasses import fields, replace

import numpy as np
import pytest

from langpose_rt.pipeline.camera_lookup import CameraLookup
from langpose_rt.pipeline.camera_stream import PersonBatch, Stream
from langpose_rt.pipeline.frame_queue import Frame, FrameQueue
from langpose_rt.pipeline.slots import SlotTable
from langpose_rt.protocol.keypoints import Via
from tests.fakes import MS, FakeBackend, keypoint_message, person_px

LEFT, RIGHT = person_px((-1, 0, 4)), person_px((1, 0, 4))


class Room:
    """One stream that is fed by hand."""

    def __init__(self, slots: int = 8) -> None:
        self.persons = SlotTable(FakeBackend(slots=slots))
        frame_queue = FrameQueue(CameraLookup({}), 50 * MS)
        self.stream = Stream(
            "rig0", "cam0", frame_queue, self.persons, track_timeout_s=1.0, first_seq=0
        )
        self._frames = 0

    def ids(
        self, *people: np.ndarray, given: list[int], t_ms: float = 0.0, via: Via | None = None
    ) -> list[int]:
        """Ids after identifying and seating; who has left is seen off first."""
        self._frames += 1
        message = keypoint_message(*people, ids=given, seq=self._frames, t_ms=t_ms, via=via)
        self.stream.frame_queue.push(message, round(t_ms * MS))
        frame = self.stream.frame_queue.take(round(t_ms * MS))
        assert isinstance(frame, Frame)
        time_ns = frame.stamp.time_ns
        self.stream.remove(self.stream.expired(time_ns))
        joints = message.keypoints
        found = self.stream.assign_ids(frame, joints)
        tracked = self.stream.track(frame, joints, found, 0)
        slots = np.array(tracked.slots, np.int32)
        times = np.full(len(slots), time_ns)
        self.persons.advance(slots, times, np.ones(len(slots), bool))
        return tracked.ids


def test_given_ids_are_kept_whatever_they_are() -> None:
    room = Room()
    assert room.ids(LEFT, RIGHT, given=[2**53 - 1, 5]) == [2**53 - 1, 5]
    assert room.stream.persons == 2


def test_untracked_people_are_tracked() -> None:
    room = Room()
    assert room.ids(LEFT, RIGHT, given=[-1, -1]) == [0, 1]
    assert room.ids(RIGHT, LEFT, given=[-1, -1], t_ms=20) == [1, 0]


def test_people_keep_the_ids_that_another_server_gave_them() -> None:
    room = Room()
    assert room.ids(LEFT, RIGHT, given=[-1, -1], via=Via(5)) == [0, 1]
    answered = Via(5, ids=(1, 7), next=20)
    assert room.ids(LEFT, RIGHT, given=[-1, -1], t_ms=20, via=answered) == [1, 7]
    assert room.ids(RIGHT, LEFT, given=[-1, -1], t_ms=40, via=Via(5)) == [7, 1]
    newcomer = person_px((0, 0, 9))
    assert room.ids(LEFT, newcomer, RIGHT, given=[-1] * 3, t_ms=60, via=Via(5))[1] >= 20
    assert room.stream.persons == 3


def test_ids_of_another_server_are_not_taken_over_by_people_whom_the_rig_numbers() -> None:
    room = Room()
    assert room.ids(LEFT, RIGHT, given=[3, -1], via=Via(5, ids=(8, 9))) == [3, 9]
    wrong_count = Via(5, ids=(8, 9, 10))
    assert room.ids(LEFT, RIGHT, given=[3, -1], t_ms=20, via=wrong_count) == [3, 9]


def test_given_and_tracked_ids_never_meet() -> None:
    room = Room()
    assert room.ids(LEFT, RIGHT, given=[0, -1]) == [0, 1]
    slot = room.stream._slots[1]
    assert room.ids(LEFT, RIGHT, given=[1, -1], t_ms=20) == [1, 2], "the rig's id is the rig's"
    assert room.stream._slots[2] == slot, "the tracked person kept the slot"


def test_somebody_who_is_away_for_less_than_the_timeout_keeps_the_slot() -> None:
    room = Room()
    room.ids(LEFT, RIGHT, given=[4, 9])
    slots = dict(room.stream._slots)
    room.ids(LEFT, given=[4], t_ms=1000)
    assert room.stream._slots == slots
    room.ids(LEFT, given=[4], t_ms=1001)
    assert room.stream._slots == {4: slots[4]}
    assert room.persons.in_use == 1


def test_somebody_who_was_seated_but_never_lifted_leaves_like_anybody() -> None:
    room = Room()
    room.persons.measured_ns[:] = 10**15  # what others left in the slots
    message = keypoint_message(LEFT, ids=[3])
    room.stream.frame_queue.push(message, 0)
    frame = room.stream.frame_queue.take(0)
    assert frame is not None
    room.stream.track(frame, message.keypoints, [3], 0)
    assert room.stream.expired(5000 * MS) == [], "whoever was in the frame before is still there"
    room.ids(given=[], t_ms=20)
    assert room.stream.expired(1000 * MS) == []
    assert room.stream.expired(1001 * MS) == [3]


def test_somebody_nobody_has_seen_gets_no_slot_and_no_id() -> None:
    room = Room()
    nobody = np.zeros((17, 3), np.float32)
    assert room.ids(nobody, LEFT, nobody, given=[3, 8, -1]) == [8]
    assert room.persons.in_use == 1
    assert room.ids(nobody, given=[8], t_ms=20) == [8], "who is known stays, seen or not"


def test_people_beyond_the_slots_are_left_out_and_counted_and_get_one_when_it_is_free() -> None:
    room = Room(slots=1)
    assert room.ids(LEFT, RIGHT, given=[1, 2]) == [1]
    assert room.persons.take_refused() == {room.stream: 1}
    assert room.ids(RIGHT, given=[2], t_ms=500) == []
    assert room.ids(RIGHT, given=[2], t_ms=1500) == [2]


def test_a_new_epoch_forgets_everybody_and_uses_no_id_again() -> None:
    room = Room()
    room.ids(LEFT, given=[-1])
    room.stream.restart(1)
    assert (room.persons.in_use, room.stream.persons) == (0, 0)
    assert room.ids(LEFT, given=[-1], t_ms=20) == [1]


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
