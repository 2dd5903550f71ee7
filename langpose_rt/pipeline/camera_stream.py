"""One camera of a rig on its way through the server: who is in it, and what is not answered yet.

The lift side of a stream; what waits in front of the encoder is in `inbox.py`.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32

from langpose_rt.config import NS_PER_S, NUM_JOINTS
from langpose_rt.monitoring.snapshot import StreamSnapshot
from langpose_rt.pipeline.frame_queue import Frame, FrameQueue
from langpose_rt.pipeline.slots import PERSON, SlotTable
from langpose_rt.pipeline.tracker import Tracker
from langpose_rt.protocol.header import MAX_PEOPLE

_LARGEST_COUNTED_ID = 1 << 31


@dataclass(slots=True, eq=False)
class TrackedFrame:
    """One frame of a stream and the people in it who have a slot, then those who are held.

    Attributes:
        stream: Where it belongs.
        frame: The frame.
        ids, slots: One of each per person.
        joints: The 17 joints in pixels, and score.
        taken_ns, windowed_ns: When it left the queue and when it was in the window, by the clock.
        held: How many people, the last ones, are not in the frame and have no joint.
        people: Of PERSON, once the frame is in the window.
    """

    stream: "Stream"
    frame: Frame
    ids: list[int]
    slots: list[int]
    joints: Float32[np.ndarray, "person 17 3"]
    taken_ns: int
    windowed_ns: int = 0
    held: int = 0
    people: np.ndarray = field(default_factory=lambda: np.empty(0, PERSON))

    @property
    def time_ns(self) -> int:
        """Capture time since the stream's origin."""
        return self.frame.stamp.time_ns

    def hold(self, ids: list[int], slots: list[int]) -> None:
        """Add people who are not in the frame."""
        self.held, self.ids, self.slots = len(ids), self.ids + ids, self.slots + slots
        unseen = np.zeros((len(ids), NUM_JOINTS, 3), np.float32)
        self.joints = np.concatenate([self.joints, unseen])


class Stream:
    """People and unanswered frames of one camera.

    Args:
        rig, camera: Its name.
        inbox: What waits to be lifted.
        persons: Everybody of all streams.
        track_timeout_s: A person of whom no joint was seen for longer than this has left.
        first_seq: Number of the first message about it.
        held_ns: For so long somebody missing from the frames is in the sightings all the same.

    Attributes:
        seq: Number of the next message.
        newest_ns: Time of the newest frame in the window.
        unanswered: Frames in the window that wait for their lookahead, oldest first.
    """

    def __init__(
        self,
        rig: str,
        camera: str,
        frame_queue: FrameQueue,
        persons: SlotTable,
        *,
        track_timeout_s: float,
        first_seq: int,
        coast_ns: int = 0,
    ) -> None:
        self.rig, self.camera, self.frame_queue = rig, camera, frame_queue
        self.seq, self.newest_ns = first_seq, 0
        self.unanswered: deque[TrackedFrame] = deque()
        self.generation = frame_queue.generation
        self._slot_table, self._track_timeout_s = persons, track_timeout_s
        self._track_timeout_ns, self._coast_ns = round(track_timeout_s * 1e9), coast_ns
        self._seats: dict[int, int] = {}
        self._next_id = self._before_ns = self._newcomer_ns = 0
        self._tracker = Tracker(self._new_id, track_timeout_s)

    @property
    def persons(self) -> int:
        """How many people of this stream have a slot."""
        return len(self._seats)

    def snapshot(self, now_ns: int) -> StreamSnapshot:
        """Return the state of this stream at the given time of the server's clock."""
        frame_queue = self.frame_queue
        return StreamSnapshot(
            rig=self.rig,
            camera=self.camera,
            epoch=frame_queue.epoch or 0,
            persons=self.persons,
            waiting=len(frame_queue),
            unanswered=len(self.unanswered),
            assumed_intrinsics=frame_queue.assumed_intrinsics,
            offset_ns=0 if frame_queue.clock is None else frame_queue.clock.offset_ns,
            heard_ago_s=max(now_ns - frame_queue.heard_ns, 0) / NS_PER_S,
            totals=dict(frame_queue.totals),
        )

    def assign_ids(self, frame: Frame, joints: Float32[np.ndarray, "person 17 3"]) -> list[int]:
        """The id of every person: the rig's, the tracker's, or -1 for one nobody sees."""
        ids: list[int] = frame.message.ids.tolist()
        unknown = [person for person, given in enumerate(ids) if given < 0]
        if len(unknown) < len(ids):
            self._resolve_id_conflicts([given for given in ids if given >= 0])
        if unknown:
            unknown = [person for person in unknown if joints[person, :, 2].any()]
            image_px = max(frame.message.wh)
            in_images = joints[unknown] / np.array([image_px, image_px, 1.0])
            found = self._tracker.ids_of(in_images, frame.stamp.time_ns, self._before_ns)
            for person, number in zip(unknown, found, strict=True):
                ids[person] = number
        return ids

    def gone(self, time_ns: int) -> list[int]:
        """Ids of the people who have left by that time: not those seen in the frame before it."""
        seen_ns, limit_ns = (
            self._slot_table.measured_ns,
            min(time_ns - self._track_timeout_ns, self._before_ns),
        )
        return [number for number, slot in self._seats.items() if seen_ns[slot] < limit_ns]

    def awaits(self, ids: list[int]) -> bool:
        """Whether an unanswered frame has one of these people."""
        return any(number in ids for tracked in self.unanswered for number in tracked.ids)

    def leave(self, ids: list[int] | None = None) -> None:
        """Give back the slots of these people, or of all.

        Raises:
            BackendError: If the backend could not forget them; their slots are free all the same.
        """
        leaving = list(self._seats) if ids is None else ids
        self._slot_table.free([self._seats.pop(number) for number in leaving])

    def restart(self, generation: int) -> None:
        """Begin a new epoch: everybody has left and nobody is known. Ids are not used again."""
        self.generation = generation
        self.newest_ns = self._before_ns = self._newcomer_ns = 0
        self._tracker = Tracker(self._new_id, self._track_timeout_s)
        self.leave()

    def seat(
        self,
        frame: Frame,
        joints: Float32[np.ndarray, "person 17 3"],
        ids: list[int],
        taken_ns: int,
    ) -> TrackedFrame:
        """Everybody of the frame who has a slot, or gets one, and everybody who is held.

        One whom nobody has seen yet gets none.
        """
        kept, slots = [], []
        for person, number in enumerate(ids):
            slot = self._seats.get(number)
            if slot is None and number >= 0 and joints[person, :, 2].any():
                self._newcomer_ns = frame.stamp.time_ns
                slot = self._slot_table.seat()
                if slot is not None:
                    self._seats[number] = slot
                    self._slot_table.last_ns[slot] = frame.stamp.time_ns
                    self._slot_table.measured_ns[slot] = frame.stamp.time_ns
            if slot is not None:
                kept.append(person)
                slots.append(slot)
        if len(kept) < len(ids):
            joints, ids = joints[kept], [ids[person] for person in kept]
        self._before_ns = frame.stamp.time_ns
        tracked = TrackedFrame(self, frame, ids, slots, joints, taken_ns)
        if len(self._seats) > len(ids) and (missing := self._missing(ids, frame.stamp.time_ns)):
            tracked.hold(missing, [self._seats[number] for number in missing])
        return tracked

    def _missing(self, here: list[int], time_ns: int) -> list[int]:
        """Ids of the people who are not in a frame and are held in it.

        They were seen lately, and before that for at least as long, so that a detector's slip of
        one frame does not become a ghost. Nobody new has come since: who comes may be the one who
        is missing, under another id.
        """
        persons, found = self._slot_table, []
        for number, slot in self._seats.items():
            seen_ns = persons.measured_ns[slot]
            longest_ns = min(self._coast_ns, seen_ns - persons.first_ns[slot])
            lately = self._newcomer_ns <= seen_ns and time_ns - seen_ns <= longest_ns
            if lately and persons.pushes[slot] and number not in here:
                found.append(number)
        return found[: MAX_PEOPLE - len(here)]

    def _new_id(self) -> int:
        while self._next_id in self._seats:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1

    def _resolve_id_conflicts(self, given: list[int]) -> None:
        """Ids the rig gives are the rig's: a tracked person who has one of them gets another."""
        for number in given:
            if self._tracker.owns(number):
                other = self._new_id()
                self._tracker.rename(number, other)
                if number in self._seats:
                    self._seats[other] = self._seats.pop(number)
            if self._next_id <= number < _LARGEST_COUNTED_ID:
                self._next_id = number + 1
