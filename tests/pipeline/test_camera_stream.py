"""Who is in a stream: given ids, tracked ids, and who has left."""

import numpy as np

from langpose_rt.pipeline.camera_lookup import CameraLookup
from langpose_rt.pipeline.camera_stream import Stream
from langpose_rt.pipeline.frame_queue import Frame, FrameQueue
from langpose_rt.pipeline.slots import SlotTable
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

    def ids(self, *people: np.ndarray, given: list[int], t_ms: float = 0.0) -> list[int]:
        """Ids after identifying and seating; who has left is seen off first."""
        self._frames += 1
        message = keypoint_message(*people, ids=given, seq=self._frames, t_ms=t_ms)
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


def test_given_and_tracked_ids_never_meet() -> None:
    room = Room()
    assert room.ids(LEFT, RIGHT, given=[0, -1]) == [0, 1]
    slot = room.stream._slots[1]
    assert room.ids(LEFT, RIGHT, given=[1, -1], t_ms=20) == [1, 2], "the rig's id is the rig's"
    assert room.stream._slots[2] == slot, "the tracked person kept the slot"


def test_somebody_who_is_away_for_less_than_the_hold_keeps_the_slot() -> None:
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
    assert room.persons.refused == 1
    assert room.ids(RIGHT, given=[2], t_ms=500) == []
    assert room.ids(RIGHT, given=[2], t_ms=1500) == [2]


def test_a_new_epoch_forgets_everybody_and_uses_no_id_again() -> None:
    room = Room()
    room.ids(LEFT, given=[-1])
    room.stream.restart(1)
    assert (room.persons.in_use, room.stream.persons) == (0, 0)
    assert room.ids(LEFT, given=[-1], t_ms=20) == [1]
