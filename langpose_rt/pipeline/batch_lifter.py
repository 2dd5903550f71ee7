"""All people of one step through the backend and back: 2D to rows, poses to metres in camera axes.

Arrays over all persons at once: a person more costs little. Which frames are lifted, and when one
is answered, is `pipeline.py`'s business.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from langpose_rt.config import NS_PER_S, NUM_JOINTS
from langpose_rt.geometry.camera import root_from_pose
from langpose_rt.geometry.person_frame import anchor_step
from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M, SKELETONS, to_h36m17
from langpose_rt.pipeline.camera_lookup import rays_of_people
from langpose_rt.pipeline.camera_stream import TrackedFrame
from langpose_rt.pipeline.frame_queue import Frame
from langpose_rt.pipeline.slots import PERSON, SlotTable
from langpose_rt.protocol.poses import Actions
from langpose_rt.runtime.backend import Backend

LARGEST_BODY = 100.0
"""A number of the model beyond this many body units is a failure, not a pose."""

_DETECTOR_SIGMA_M = 0.03
"""What a detector adds to the doubt of every joint, about 2 % of a stature."""

_RECORD = np.dtype((np.void, PERSON.itemsize))


@dataclass(slots=True, eq=False)
class LiftResult:
    """Poses of the people of several sightings, in camera axes.

    Attributes:
        sightings: Whose poses they are.
        ends: Where the people of each sighting end in the arrays.
        people: Of PERSON; people who were forgotten meanwhile have no row.
        poses: X, Y, Z relative to the root and sigma, in metres.
        root: In metres.
        actions: Nearest sentences of every person, or None without a gallery.
        failed: How many people the backend gave impossible numbers for; they have no row either.
        lifted_ns, done_ns: When the network had answered and when all was done, by the clock.
    """

    tracked_frames: Sequence[TrackedFrame]
    ends: list[int]
    people: np.ndarray
    poses: Float32[np.ndarray, "person 17 4"]
    root: Float32[np.ndarray, "person 3"]
    actions: Actions | None
    failed: int
    lifted_ns: int
    done_ns: int


def joints_of_frames(frames: Sequence[Frame]) -> list[Float32[np.ndarray, "person 17 3"]]:
    """The 17 joints of everybody in every frame, in pixels; one conversion per keypoint format."""
    by_format: dict[str, list[int]] = {}
    for index, frame in enumerate(frames):
        by_format.setdefault(frame.message.skeleton, []).append(index)
    found: dict[int, Float32[np.ndarray, "person 17 3"]] = {}
    for name, indices in by_format.items():
        keypoints = [frames[index].message.keypoints for index in indices]
        together, start = to_h36m17(_joined(keypoints), SKELETONS[name]), 0
        for index, own in zip(indices, keypoints, strict=True):
            found[index] = together[start : start + len(own)]
            start += len(own)
    return [found[index] for index in range(len(frames))]


class BatchLifter:
    """Takes frames into the window and answers for them, everybody in one call each.

    Args:
        backend: What computes.
        persons: State of its slots.
        person_height_m: Stature of people whose rig does not say; None takes the reference.
        clock: Reads the time in ns for the latency of the stages.
    """

    def __init__(
        self,
        backend: Backend,
        persons: SlotTable,
        person_height_m: float | None,
        clock: Callable[[], int],
    ) -> None:
        self._backend, self._slot_table, self._clock = backend, persons, clock
        self._height_m = person_height_m or REFERENCE_STATURE_M

    def frames_back(self, tracked: TrackedFrame) -> int:
        """How many frames the window has taken since this one, of the person with the most."""
        people = tracked.people
        slots = people["slot"]
        known = self._slot_table.generation[slots] == people["generation"]
        newer = np.where(known, self._slot_table.pushes[slots] - people["pushes"], 0)
        return int(newer.max(initial=0))

    def remember(self, tracked_frames: Sequence[TrackedFrame]) -> int:
        """Take one frame of every stream into the windows of its people.

        Args:
            sightings: At most one per stream; their ``people`` are filled in.

        Returns:
            How many people the backend could not encode and were forgotten.

        Raises:
            BackendError: If nobody could be encoded.
        """
        counts = [len(tracked.slots) for tracked in tracked_frames]
        people = np.zeros(sum(counts), PERSON)
        failed = 0
        if len(people):
            people["id"] = [number for tracked in tracked_frames for number in tracked.ids]
            people["slot"] = [slot for tracked in tracked_frames for slot in tracked.slots]
            people["time_ns"] = _repeated([s.time_ns for s in tracked_frames], counts)
            heights_m = [s.frame.message.person_height_m or self._height_m for s in tracked_frames]
            people["scale"] = _repeated(heights_m, counts) / REFERENCE_STATURE_M
            joints = _joined([tracked.joints for tracked in tracked_frames])
            camera_lookup = [tracked.frame.camera_model for tracked in tracked_frames]
            people["rays"] = rays_of_people(joints[..., :2], camera_lookup, counts)
            people["scores"] = joints[..., 2]
            if any(held := [tracked.held for tracked in tracked_frames]):
                people["held"] = _last_ones(held, counts)
            gravity = _repeated([camera_model.gravity for camera_model in camera_lookup], counts)
            failed = self._encode(people, gravity)
        windowed_ns, start = self._clock(), 0
        for tracked, count in zip(tracked_frames, counts, strict=True):
            tracked.people = people[start : start + count]
            tracked.windowed_ns = windowed_ns
            start += count
        return failed

    def answer(self, tracked_frames: Sequence[TrackedFrame]) -> LiftResult:
        """Poses of remembered frames.

        Args:
            sightings: At most one per stream.

        Raises:
            BackendError: If nobody could be lifted.
        """
        persons = self._slot_table
        ends = np.cumsum([len(tracked.people) for tracked in tracked_frames])
        people = _people_of(tracked_frames)
        generation, pushes, _, last_ns, _ = persons.look_up(people["slot"])
        known = generation == people["generation"]
        people, ends = _only(known, people, ends)
        poses, root = np.empty((0, NUM_JOINTS, 4), np.float32), np.empty((0, 3), np.float32)
        lifted_ns, failed = self._clock(), 0
        if len(people):
            slots = people["slot"].copy()
            back = (pushes[known] - people["pushes"]).astype(np.int32)
            lag_s = ((last_ns[known] - people["time_ns"]) / NS_PER_S).astype(np.float32)
            pose, sigma = self._backend.lift(slots, back, lag_s)
            lifted_ns = self._clock()
            if not (np.abs(pose).max() < LARGEST_BODY and np.abs(sigma).max() < LARGEST_BODY):
                good = _possible(pose, sigma)
                persons.reset(slots[~good])
                people, ends = _only(good, people, ends)
                pose, sigma, failed = pose[good], sigma[good], int((~good).sum())
            poses, root = self._to_camera(people, pose, sigma)
        actions = None if persons.actions is None else persons.actions.best(people["slot"])
        return LiftResult(
            tracked_frames,
            ends.tolist(),
            people,
            poses,
            root,
            actions,
            failed,
            lifted_ns,
            self._clock(),
        )

    def _encode(self, people: np.ndarray, gravity: np.ndarray) -> int:
        """Everybody's newest frame into the window; how many failed."""
        persons = self._slot_table
        slots, time_ns = people["slot"].copy(), people["time_ns"].copy()
        scores = people["scores"]
        dt_s = ((time_ns - persons.last_ns[slots]) / NS_PER_S).astype(np.float32)
        state = persons.anchor.take(slots)
        anchored = anchor_step(state, people["rays"], scores, dt_s, gravity)
        persons.anchor.put(slots, state)
        embedding = self._backend.encode(anchored.rows, anchored.extras, slots, time_ns)
        history = persons.advance(slots, time_ns, np.asarray(scores.any(-1)))
        people["generation"], people["pushes"], first_ns, _, measured_ns = history
        people["history_ns"], people["unseen_ns"] = time_ns - first_ns, time_ns - measured_ns
        people["rotation"] = anchored.rotation
        good = np.isfinite(embedding).all(-1)
        if persons.actions is not None:
            pushes = people["pushes"][good]
            persons.actions.follow(slots[good], embedding[good], time_ns[good], pushes)
        if good.all():
            return 0
        persons.reset(slots[~good])
        return int((~good).sum())

    def _to_camera(
        self, people: np.ndarray, pose: np.ndarray, sigma: np.ndarray
    ) -> tuple[Float32[np.ndarray, "person 17 4"], Float32[np.ndarray, "person 3"]]:
        """Poses with sigma, and roots, smoothed, in metres, in the axes of the frame's camera."""
        scale = people["scale"][:, None]
        poses = np.empty((*sigma.shape, 4), np.float32)
        poses[..., :3] = (pose @ people["rotation"]) * scale[..., None]
        poses[..., 3] = sigma * scale
        weights = people["scores"] / (poses[..., 3] ** 2 + _DETECTOR_SIGMA_M**2)
        last_root = self._slot_table.root[people["slot"]]
        root = root_from_pose(poses[..., :3], people["rays"], weights, last_root)
        self._slot_table.root[people["slot"]] = root
        smooth = self._slot_table.filter
        if smooth is not None and len(people):
            points = np.concatenate([poses[..., :3], root[:, None]], 1)
            points = smooth.step(people["slot"], points, people["time_ns"])
            poses[..., :3], root = points[:, :NUM_JOINTS], points[:, NUM_JOINTS]
        return poses, root


def _possible(pose: np.ndarray, sigma: np.ndarray) -> Bool[np.ndarray, " person"]:
    """Whose numbers are a pose: finite, and not beyond all bodies."""
    return np.asarray(
        (np.abs(pose) < LARGEST_BODY).all((1, 2)) & (np.abs(sigma) < LARGEST_BODY).all(1)
    )


def _only(kept: np.ndarray, people: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The people who are kept, and where each sighting's people end then."""
    if kept.all():
        return people, ends
    before = np.concatenate([[0], np.cumsum(kept)])
    return people[kept], before[ends]


def _people_of(tracked_frames: Sequence[TrackedFrame]) -> np.ndarray:
    """Records of everybody in the given sightings; as plain bytes NumPy need not compare fields."""
    records = [tracked.people.view(_RECORD) for tracked in tracked_frames]
    return _joined(records).view(PERSON)


def _last_ones(numbers: Sequence[int], counts: Sequence[int]) -> Bool[np.ndarray, " person"]:
    """Who is among so many last people of their frame."""
    pairs = zip(numbers, counts, strict=True)
    return np.concatenate([np.arange(count) >= count - number for number, count in pairs])


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _repeated(values: Sequence[object], counts: Sequence[int]) -> np.ndarray:
    """One row per person of a value per frame."""
    rows = np.array(values)
    return rows if all(count == 1 for count in counts) else rows.repeat(counts, axis=0)
