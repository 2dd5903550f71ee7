"""Stream: the people of one camera of a rig, and its frames that wait for their lookahead.

The lift side of a stream; frames that wait to be encoded are in `frame_queue.py`.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from langpose_rt.config import NS_PER_S, NUM_JOINTS
from langpose_rt.geometry.level_estimate import LevelEstimate
from langpose_rt.monitoring.snapshot import StreamSnapshot
from langpose_rt.pipeline.frame_queue import Frame, FrameQueue
from langpose_rt.pipeline.slots import SlotDemand, SlotTable
from langpose_rt.pipeline.tracker import IdTrust, Tracker
from langpose_rt.protocol.header import MAX_PEOPLE, topic_of
from langpose_rt.protocol.keypoints import Via

_LARGEST_COUNTED_ID = 1 << 31


@dataclass(frozen=True, slots=True, eq=False)
class PersonBatch:
    """People of one or several frames as they entered the window, one row each.

    Attributes:
        id: Of the person within the stream.
        slot: Where the state of the person is.
        generation: Of the slot at that time; a different one now means the slot was reset since.
        pushes: Frames of the person in the window, including this one.
        time_ns: Capture time since the stream's origin.
        history_ns: Time since the person's first frame.
        unseen_ns: Time since a joint was last seen.
        scale: Stature over that of the reference body.
        scale_given: The stature is that of the rig, or of known bone lengths.
        rays: Direction of every joint in camera axes.
        scores: Of every joint; 0 is a missing joint.
        rotation: Camera axes to the person frame.
        coasting: The person is not in the frame.
    """

    id: Int64[np.ndarray, " person"]
    slot: Int32[np.ndarray, " person"]
    generation: Int64[np.ndarray, " person"]
    pushes: Int64[np.ndarray, " person"]
    time_ns: Int64[np.ndarray, " person"]
    history_ns: Int64[np.ndarray, " person"]
    unseen_ns: Int64[np.ndarray, " person"]
    scale: Float32[np.ndarray, " person"]
    scale_given: Bool[np.ndarray, " person"]
    rays: Float32[np.ndarray, "person 17 2"]
    scores: Float32[np.ndarray, "person 17"]
    rotation: Float32[np.ndarray, "person 3 3"]
    coasting: Bool[np.ndarray, " person"]

    def __len__(self) -> int:
        return len(self.slot)

    @classmethod
    def empty(cls, people: int = 0) -> "PersonBatch":
        """Return a batch of all-zero rows."""
        longs = {name: np.zeros(people, np.int64) for name in _INT64_COLUMNS}
        return cls(
            slot=np.zeros(people, np.int32),
            scale=np.zeros(people, np.float32),
            scale_given=np.zeros(people, bool),
            rays=np.zeros((people, NUM_JOINTS, 2), np.float32),
            scores=np.zeros((people, NUM_JOINTS), np.float32),
            rotation=np.zeros((people, 3, 3), np.float32),
            coasting=np.zeros(people, bool),
            **longs,
        )

    @classmethod
    def concatenate(cls, batches: Sequence["PersonBatch"]) -> "PersonBatch":
        """Return the rows of all batches, one batch after the other."""
        columns = zip(*(batch._columns() for batch in batches), strict=True)
        return cls(*map(np.concatenate, columns))

    def select(self, rows: slice | Bool[np.ndarray, " person"]) -> "PersonBatch":
        """Return the given rows: views for a slice, copies for a mask."""
        return PersonBatch(*[column[rows] for column in self._columns()])

    def _columns(self) -> list[np.ndarray]:
        return [getattr(self, name) for name in _COLUMNS]


_COLUMNS = tuple(field.name for field in fields(PersonBatch))
_INT64_COLUMNS = ("id", "generation", "pushes", "time_ns", "history_ns", "unseen_ns")

NO_PEOPLE = PersonBatch.empty()
"""The batch without rows."""


@dataclass(slots=True, eq=False)
class TrackedFrame:
    """Frame of a stream with the people in it who have a slot, then the coasting ones.

    Attributes:
        stream: Stream of the frame.
        frame: The frame.
        ids, slots: One of each per person.
        joints: The 17 joints in pixels, and score.
        taken_ns, windowed_ns: Clock readings when it left the queue and entered the window.
        coasting: Number of people, the last ones, who are not in the frame and have no joint.
        batch, rows: The people of the step in which the frame entered the window, and the rows of
            this frame among them.
        people: Places in the message of the people who are in the frame.
    """

    stream: "Stream"
    frame: Frame
    ids: list[int]
    slots: list[int]
    joints: Float32[np.ndarray, "person 17 3"]
    taken_ns: int
    windowed_ns: int = 0
    coasting: int = 0
    batch: PersonBatch = NO_PEOPLE
    rows: slice = field(default_factory=lambda: slice(0, 0))
    people: Sequence[int] = ()

    @property
    def time_ns(self) -> int:
        """Capture time since the stream's origin."""
        return self.frame.stamp.time_ns

    def add_coasting(self, ids: list[int], slots: list[int]) -> None:
        """Add people who are not in the frame."""
        self.coasting, self.ids, self.slots = len(ids), self.ids + ids, self.slots + slots
        unseen = np.zeros((len(ids), NUM_JOINTS, 3), np.float32)
        self.joints = np.concatenate([self.joints, unseen])


class Stream:
    """People and pending frames of one camera.

    Args:
        rig, camera: Name of the stream.
        frame_queue: Frames that wait to be lifted.
        slot_table: Slots of the people of all streams.
        track_timeout_s: A person without a visible joint for longer than this has expired.
        first_seq: Number of its first pose message.
        coast_ns: Longest time for which a person missing from the frames is carried on.

    Attributes:
        seq: Number of the next message.
        newest_ns: Time of the newest frame in the window.
        pending: Frames in the window that wait for their lookahead, oldest first.
        level: Estimate of the camera's gravity, for one whose gravity is not known.
    """

    def __init__(
        self,
        rig: str,
        camera: str,
        frame_queue: FrameQueue,
        slot_table: SlotTable,
        *,
        track_timeout_s: float,
        first_seq: int,
        coast_ns: int = 0,
    ) -> None:
        self.rig, self.camera, self.frame_queue = rig, camera, frame_queue
        self.seq, self.newest_ns = first_seq, 0
        self.pending: deque[TrackedFrame] = deque()
        self.level = LevelEstimate()
        self.generation = frame_queue.generation
        self._slot_table, self._track_timeout_s = slot_table, track_timeout_s
        self._track_timeout_ns, self._coast_ns = round(track_timeout_s * 1e9), coast_ns
        self._slots: dict[int, int] = {}
        self._names: dict[int, str] = {}
        self._next_id = self._previous_ns = self._newcomer_ns = 0
        self._tracker, self._id_trust = Tracker(self._new_id, track_timeout_s), IdTrust()

    @property
    def topic(self) -> str:
        """Topic of this stream's frames."""
        return topic_of("kp2d", self.rig, self.camera)

    @property
    def trusts_ids(self) -> bool:
        """True unless the rig's ids do not last, so that the tracker's replace them."""
        return self._id_trust.lasting

    @property
    def persons(self) -> int:
        """Number of people of this stream who have a slot."""
        return len(self._slots)

    def snapshot(self, now_ns: int) -> StreamSnapshot:
        """Return the state of this stream at the given time of the server's clock."""
        frame_queue = self.frame_queue
        return StreamSnapshot(
            rig=self.rig,
            camera=self.camera,
            epoch=frame_queue.epoch or 0,
            persons=self.persons,
            waiting=len(frame_queue),
            unanswered=len(self.pending),
            assumed_intrinsics=frame_queue.assumed_intrinsics,
            offset_ns=0 if frame_queue.clock is None else frame_queue.clock.offset_ns,
            heard_ago_s=max(now_ns - frame_queue.heard_ns, 0) / NS_PER_S,
            totals=dict(frame_queue.totals),
            suspects=dict(frame_queue.suspects),
        )

    def assign_ids(self, frame: Frame, joints: Float32[np.ndarray, "person 17 3"]) -> list[int]:
        """Return an id per person: the rig's, the tracker's, or -1 without a visible joint."""
        ids: list[int] = frame.message.ids.tolist()
        self._id_trust.follow(ids)
        if not self._id_trust.lasting:
            ids = [-1] * len(ids)
        unknown = [person for person, given in enumerate(ids) if given < 0]
        if len(unknown) < len(ids):
            self._resolve_id_conflicts([given for given in ids if given >= 0])
        if unknown:
            unknown = [person for person in unknown if joints[person, :, 2].any()]
            image_px = max(frame.message.wh)
            in_images = joints[unknown] / np.array([image_px, image_px, 1.0])
            found = self._tracker.ids_of(in_images, frame.stamp.time_ns, self._previous_ns)
            for person, number in zip(unknown, found, strict=True):
                ids[person] = number
            if frame.message.via is not None:
                self._take_over_ids(frame.message.via, ids, unknown)
        return ids

    def demand(self, ids: list[int], joints: Float32[np.ndarray, "person 17 3"]) -> SlotDemand:
        """Return what a frame with these people needs of the slot table."""
        present = {slot for number in ids if (slot := self._slots.get(number)) is not None}
        newcomers = 0
        if len(present) < len(ids):
            newcomers = sum(
                number >= 0 and number not in self._slots and bool(joints[person, :, 2].any())
                for person, number in enumerate(ids)
            )
        return SlotDemand(self, present, newcomers)

    def displace(self, slots: set[int]) -> None:
        """Forget the people who have these slots; the caller releases them."""
        self._slots = {number: slot for number, slot in self._slots.items() if slot not in slots}

    def expired(self, time_ns: int) -> list[int]:
        """Return the ids of people not seen for the track timeout, nor in the previous frame."""
        seen_ns, limit_ns = (
            self._slot_table.measured_ns,
            min(time_ns - self._track_timeout_ns, self._previous_ns),
        )
        return [number for number, slot in self._slots.items() if seen_ns[slot] < limit_ns]

    def names_of(self, ids: Sequence[int]) -> tuple[str | None, ...] | None:
        """Return the names that the rig gave people; None if it named none of them."""
        if not self._names:
            return None
        found = tuple(self._names.get(number) for number in ids)
        return found if any(found) else None

    def awaits(self, ids: list[int]) -> bool:
        """Return True if a pending frame has one of these people."""
        return any(number in ids for tracked in self.pending for number in tracked.ids)

    def remove(self, ids: list[int] | None = None) -> None:
        """Release the slots of these people, or of all.

        Raises:
            BackendError: If the backend could not reset the slots; they are released all the same.
        """
        removed = list(self._slots) if ids is None else ids
        for number in removed:
            self._names.pop(number, None)
        self._slot_table.release([self._slots.pop(number) for number in removed])

    def restart(self, generation: int) -> None:
        """Begin a new epoch: remove all people and reset the tracker. Ids are not used again."""
        self.generation = generation
        self.newest_ns = self._previous_ns = self._newcomer_ns = 0
        self._tracker, self._id_trust = Tracker(self._new_id, self._track_timeout_s), IdTrust()
        self.remove()

    def track(
        self,
        frame: Frame,
        joints: Float32[np.ndarray, "person 17 3"],
        ids: list[int],
        taken_ns: int,
    ) -> TrackedFrame:
        """Return the frame with all people who have or get a slot, and the coasting people.

        A person without a visible joint is not assigned a slot.
        """
        kept, slots = [], []
        for person, number in enumerate(ids):
            slot = self._slots.get(number)
            if slot is None and number >= 0 and joints[person, :, 2].any():
                self._newcomer_ns = frame.stamp.time_ns
                slot = self._slot_table.acquire(self)
                if slot is not None:
                    self._slots[number] = slot
                    self._slot_table.last_ns[slot] = frame.stamp.time_ns
                    self._slot_table.measured_ns[slot] = frame.stamp.time_ns
            if slot is not None:
                kept.append(person)
                slots.append(slot)
        if frame.message.names is not None:
            self._names |= {ids[n]: name for n in kept if (name := frame.message.names[n])}
        if len(kept) < len(ids):
            joints, ids = joints[kept], [ids[person] for person in kept]
        self._previous_ns = frame.stamp.time_ns
        seen = joints[..., 2].any(-1)
        self._slot_table.seen_ns[np.array(slots, np.intp)[seen]] = frame.received_ns
        tracked = TrackedFrame(self, frame, ids, slots, joints, taken_ns, people=kept)
        if len(self._slots) > len(ids):
            coasting = self._coasting(ids, frame.stamp.time_ns)
            if coasting:
                tracked.add_coasting(coasting, [self._slots[number] for number in coasting])
        return tracked

    def _coasting(self, present: list[int], time_ns: int) -> list[int]:
        """Return the ids of people who are missing from a frame and carried on in it.

        They were seen lately, and before that for at least as long, so that a false detection of
        one frame does not become a ghost. Nobody new has come since: a newcomer may be the missing
        person under another id.
        """
        table, found = self._slot_table, []
        for number, slot in self._slots.items():
            seen_ns = table.measured_ns[slot]
            longest_ns = min(self._coast_ns, seen_ns - table.first_ns[slot])
            lately = self._newcomer_ns <= seen_ns and time_ns - seen_ns <= longest_ns
            if lately and table.pushes[slot] and number not in present:
                found.append(number)
        return found[: MAX_PEOPLE - len(present)]

    def _new_id(self) -> int:
        while self._next_id in self._slots:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1

    def _take_over_ids(self, via: Via, ids: list[int], tracked: list[int]) -> None:
        """Give tracked people the ids that another server gave them in the same frame.

        Args:
            via: Ids of the other server, one for every person if it answered this frame.
            ids: Id of every person, changed in place.
            tracked: The people whose id is of the tracker.
        """
        self._next_id = max(self._next_id, min(via.next, _LARGEST_COUNTED_ID))
        if len(via.ids) != len(ids):
            return
        changed = [person for person in tracked if via.ids[person] not in (ids[person], -1)]
        slots = [self._slots.pop(ids[person], None) for person in changed]
        for person in changed:  # all give up their id before any takes one of another
            self._tracker.rename(ids[person], -2 - person)
        for person, slot in zip(changed, slots, strict=True):
            given = ids[person] = via.ids[person]
            self._resolve_id_conflicts([given])
            self._tracker.rename(-2 - person, given)
            if slot is not None:
                self._slots[given] = slot

    def _resolve_id_conflicts(self, given: list[int]) -> None:
        """Give a tracked person another id if the rig uses the same one."""
        for number in given:
            if self._tracker.owns(number):
                other = self._new_id()
                self._tracker.rename(number, other)
                if number in self._slots:
                    self._slots[other] = self._slots.pop(number)
            if self._next_id <= number < _LARGEST_COUNTED_ID:
                self._next_id = number + 1
