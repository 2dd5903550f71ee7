"""Batch lifter: all people of one step through the backend in one call each.

Keypoints become network inputs, and network outputs become poses in metres in camera axes. Which
frames are lifted when is decided in `pipeline.py` and `responder.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from langpose_rt.config import NS_PER_S, NUM_JOINTS
from langpose_rt.geometry.length_channels import extras_with_channels, length_channels
from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M, SKELETONS, stature_m, to_h36m17
from langpose_rt.pipeline.camera_lookup import CameraModel
from langpose_rt.pipeline.camera_stream import NO_PEOPLE, PersonBatch, TrackedFrame
from langpose_rt.pipeline.frame_queue import Frame
from langpose_rt.pipeline.native_geometry import anchor_step, pixel_to_ray, root_from_pose
from langpose_rt.pipeline.slots import SlotTable
from langpose_rt.protocol.poses import Actions
from langpose_rt.runtime.backend import Backend

LARGEST_BODY = 100.0
"""A number of the model beyond this many body units is a failure, not a pose."""

_DETECTOR_SIGMA_M = 0.03
"""Standard deviation that a detector adds to every joint, about 2 % of a stature."""


@dataclass(slots=True, eq=False)
class LiftResult:
    """Poses of the people of several frames, in camera axes.

    Attributes:
        tracked_frames: The frames.
        ends: End of the people of each frame in the arrays.
        people: One row per pose; people whose slot was reset meanwhile have none.
        poses: X, Y, Z relative to the root and sigma, in metres.
        root: In metres.
        actions: Nearest sentences of every person, or None without a gallery.
        failed: Number of people for whom the backend gave impossible numbers; they have no row.
        lifted_ns, done_ns: Clock readings after the network and after everything.
    """

    tracked_frames: Sequence[TrackedFrame]
    ends: list[int]
    people: PersonBatch
    poses: Float32[np.ndarray, "person 17 4"]
    root: Float32[np.ndarray, "person 3"]
    actions: Actions | None
    failed: int
    lifted_ns: int
    done_ns: int


def joints_of_frames(frames: Sequence[Frame]) -> list[Float32[np.ndarray, "person 17 3"]]:
    """Convert every frame to the 17 joints in pixels, once per keypoint format."""
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


def rays_of_people(
    joints_px: Float[np.ndarray, "person joint 2"],
    cameras: Sequence[CameraModel],
    counts: Sequence[int],
) -> Float[np.ndarray, "person joint 2"]:
    """Apply `camera.pixel_to_ray` to the people of several cameras, at once without distortion.

    Args:
        joints_px: People of all cameras, one camera after the other.
        cameras: The cameras.
        counts: Number of people of each.
    """
    pinhole = np.repeat([camera.pinhole for camera in cameras], counts, axis=0)[:, None]
    rays: Float[np.ndarray, "person joint 2"] = (
        (joints_px - pinhole[..., 2:]) / pinhole[..., :2]
    ).astype(joints_px.dtype)
    start = 0
    for camera, count in zip(cameras, counts, strict=True):
        if any(camera.intrinsics.dist):
            own = slice(start, start + count)
            rays[own] = pixel_to_ray(joints_px[own], camera.intrinsics)
        start += count
    return rays


class BatchLifter:
    """Encodes frames into the window and lifts them, all people in one call each.

    Args:
        backend: Runs the network.
        slot_table: State of its slots.
        person_height_m: Stature of people without a given one and without known bone lengths;
            None takes the reference.
        refinement: Factor on how strongly joints are moved towards their 2D.
        steadiness: How much bones keep their mean length, 0 to 1.
    """

    def __init__(
        self,
        backend: Backend,
        slot_table: SlotTable,
        person_height_m: float | None,
        *,
        refinement: float = 1.0,
        steadiness: float = 0.0,
    ) -> None:
        self._backend, self._slot_table = backend, slot_table
        self._refinement, self._steadiness = refinement, steadiness
        self._height_m = person_height_m or REFERENCE_STATURE_M
        self._manifest = backend.manifest
        self._extra_channels = self._manifest.model_config.extra_channels

    def frames_back(self, tracked: TrackedFrame) -> int:
        """Return how many frames the window took since this one, of the person with the most."""
        people = tracked.batch.select(tracked.rows)
        known = self._slot_table.generation[people.slot] == people.generation
        newer = np.where(known, self._slot_table.pushes[people.slot] - people.pushes, 0)
        return int(newer.max(initial=0))

    def encode(self, tracked_frames: Sequence[TrackedFrame], clock: Callable[[], int]) -> int:
        """Encode one frame of every stream into the windows of its people.

        Args:
            tracked_frames: At most one per stream; their ``batch`` and ``rows`` are set.
            clock: Reads the time in ns.

        Returns:
            Number of people the backend could not encode, whose slots were reset.

        Raises:
            BackendError: If nobody could be encoded.
        """
        counts = [len(tracked.slots) for tracked in tracked_frames]
        batch, failed = NO_PEOPLE, 0
        if any(counts):
            batch, failed = self._encode(tracked_frames, counts)
        windowed_ns, start = clock(), 0
        for tracked, count in zip(tracked_frames, counts, strict=True):
            tracked.batch, tracked.rows = batch, slice(start, start + count)
            tracked.windowed_ns = windowed_ns
            start += count
        return failed

    def lift(self, tracked_frames: Sequence[TrackedFrame], clock: Callable[[], int]) -> LiftResult:
        """Lift frames that are in the window.

        Args:
            tracked_frames: At most one per stream.
            clock: Reads the time in ns.

        Raises:
            BackendError: If nobody could be lifted.
        """
        table = self._slot_table
        people, ends = _people_of(tracked_frames)
        generation, pushes, _, last_ns, _ = table.look_up(people.slot)
        known = generation == people.generation
        people, ends = _only(known, people, ends)
        poses, root = np.empty((0, NUM_JOINTS, 4), np.float32), np.empty((0, 3), np.float32)
        lifted_ns, failed = clock(), 0
        if len(people):
            back = (pushes[known] - people.pushes).astype(np.int32)
            lag_s = ((last_ns[known] - people.time_ns) / NS_PER_S).astype(np.float32)
            pose, sigma = self._backend.lift(people.slot, back, lag_s)
            lifted_ns = clock()
            if not (np.abs(pose).max() < LARGEST_BODY and np.abs(sigma).max() < LARGEST_BODY):
                good = _possible(pose, sigma)
                table.reset(people.slot[~good])
                people, ends = _only(good, people, ends)
                pose, sigma, failed = pose[good], sigma[good], int((~good).sum())
            poses, root = self._to_camera(people, pose, sigma)
        actions = None if table.actions is None else table.actions.best(people.slot)
        return LiftResult(
            tracked_frames,
            ends.tolist(),
            people,
            poses,
            root,
            actions,
            failed,
            lifted_ns,
            clock(),
        )

    def _encode(
        self, tracked_frames: Sequence[TrackedFrame], counts: Sequence[int]
    ) -> tuple[PersonBatch, int]:
        """Encode all people into the window; return them and how many failed."""
        table = self._slot_table
        slots = np.array([slot for frame in tracked_frames for slot in frame.slots], np.int32)
        time_ns = _repeated([frame.time_ns for frame in tracked_frames], counts)
        joints = _joined([frame.joints for frame in tracked_frames])
        cameras = [frame.frame.camera_model for frame in tracked_frames]
        rays, scores = rays_of_people(joints[..., :2], cameras, counts), joints[..., 2]
        dt_s = ((time_ns - table.last_ns[slots]) / NS_PER_S).astype(np.float32)
        gravity = _repeated([camera.gravity for camera in cameras], counts)
        anchored = anchor_step(table.anchor, slots, rays, scores, dt_s, gravity)
        bones_m = self._bones_of(tracked_frames, slots)
        extras = self._with_lengths(anchored.extras, bones_m)
        embedding = self._backend.encode(anchored.rows, extras, slots, time_ns)
        history = table.advance(slots, time_ns, np.asarray(scores.any(-1)))
        generation, pushes, first_ns, _, measured_ns = history
        heights_m = [frame.frame.message.person_height_m for frame in tracked_frames]
        statures_m, given = self._statures(_repeated(heights_m, counts), bones_m)
        people = PersonBatch(
            id=np.array([number for frame in tracked_frames for number in frame.ids], np.int64),
            slot=slots,
            generation=generation,
            pushes=pushes,
            time_ns=time_ns,
            history_ns=time_ns - first_ns,
            unseen_ns=time_ns - measured_ns,
            scale=(statures_m / REFERENCE_STATURE_M).astype(np.float32),
            scale_given=given,
            rays=rays,
            scores=scores,
            rotation=anchored.rotation,
            coasting=_last_of_each([frame.coasting for frame in tracked_frames], counts),
        )
        return people, self._check_embedding(people, embedding)

    def _bones_of(
        self, tracked_frames: Sequence[TrackedFrame], slots: Int[np.ndarray, " person"]
    ) -> Float32[np.ndarray, "person 16"]:
        """Take the bone lengths that rigs sent into the slots; return those of all people."""
        known_m = self._slot_table.bones_m
        for tracked in tracked_frames:
            sent_m = tracked.frame.message.bones_m
            if sent_m is None:
                continue
            own_m = sent_m[list(tracked.people)]
            known = np.isfinite(own_m).all(-1)
            present = np.array(tracked.slots[: len(own_m)], np.intp)  # the coasting ones are last
            known_m[present[known]] = own_m[known]
        return np.asarray(known_m[slots])

    def _with_lengths(
        self,
        extras: Float32[np.ndarray, "person extra"],
        bones_m: Float32[np.ndarray, "person 16"],
    ) -> Float32[np.ndarray, "person channel"]:
        """Return the frame inputs that the model takes."""
        manifest = self._backend.manifest
        if manifest is not self._manifest:
            self._manifest = manifest
            self._extra_channels = manifest.model_config.extra_channels
        if not _anybody_measured(bones_m):
            return extras_with_channels(extras, self._extra_channels)
        lengths = np.concatenate([extras, length_channels(bones_m)], 1)
        return extras_with_channels(lengths, self._extra_channels)

    def _statures(
        self, heights_m: np.ndarray, bones_m: Float32[np.ndarray, "person 16"]
    ) -> tuple[Float[np.ndarray, " person"], Bool[np.ndarray, " person"]]:
        """Return the stature of every person, and whether it is given.

        Args:
            heights_m: Statures that the rigs sent; None where they sent none.
            bones_m: Known bone lengths, which give the stature of a person without one.
        """
        known_m = heights_m.astype(np.float64)
        if _anybody_measured(bones_m):
            known_m = np.where(np.isnan(known_m), stature_m(bones_m), known_m)
        given = np.isfinite(known_m)
        return np.where(given, known_m, self._height_m), given

    def _check_embedding(self, people: PersonBatch, embedding: np.ndarray) -> int:
        """Update the actions, and reset people without a finite embedding; return how many."""
        good = np.isfinite(embedding).all(-1)
        slots = people.slot
        if (actions := self._slot_table.actions) is not None:
            pushes = people.pushes[good]
            actions.follow(slots[good], embedding[good], people.time_ns[good], pushes)
        if good.all():
            return 0
        self._slot_table.reset(slots[~good])
        return int((~good).sum())

    def _to_camera(
        self, people: PersonBatch, pose: np.ndarray, sigma: np.ndarray
    ) -> tuple[Float32[np.ndarray, "person 17 4"], Float32[np.ndarray, "person 3"]]:
        """Return smoothed poses with sigma, and roots, in metres, in the axes of the camera."""
        scale = people.scale[:, None]
        poses = np.empty((*sigma.shape, 4), np.float32)
        poses[..., :3] = (pose @ people.rotation) * scale[..., None]
        poses[..., 3] = sigma * scale
        weights = people.scores / (poses[..., 3] ** 2 + _DETECTOR_SIGMA_M**2)
        last_root = self._slot_table.root[people.slot]
        root = root_from_pose(poses[..., :3], people.rays, weights, last_root)
        self._slot_table.root[people.slot] = root
        poses[..., :3], root = self._refined(people, poses, root)
        smooth = self._slot_table.filter
        if smooth is not None and len(people):
            points = np.concatenate([poses[..., :3], root[:, None]], 1)
            points = smooth.step(people.slot, points, people.time_ns)
            poses[..., :3], root = points[:, :NUM_JOINTS], points[:, NUM_JOINTS]
        if self._steadiness and len(people):
            poses[..., :3] = self._slot_table.steadier.step(
                people.slot,
                poses[..., :3],
                people.scores > 0,
                people.time_ns,
                strength=self._steadiness,
            )
        return poses, root

    def _refined(
        self, people: PersonBatch, poses: np.ndarray, root: np.ndarray
    ) -> tuple[Float32[np.ndarray, "person 17 3"], Float32[np.ndarray, "person 3"]]:
        """Return poses and roots moved towards the 2D, as the manifest of the model specifies."""
        refiner, parameters = self._slot_table.refiner, self._backend.manifest.ray_refinement
        if refiner is None or parameters is None or not len(people):
            return poses[..., :3], root
        return refiner.step(
            people.slot,
            poses[..., :3],
            root,
            rays=people.rays,
            scores=people.scores,
            sigma_m=poses[..., 3],
            time_ns=people.time_ns,
            parameters=replace(parameters, strength=parameters.strength * self._refinement),
        )


def _anybody_measured(bones_m: Float32[np.ndarray, "person 16"]) -> bool:
    return not np.isnan(bones_m[:, 0]).all()


def _possible(pose: np.ndarray, sigma: np.ndarray) -> Bool[np.ndarray, " person"]:
    """Return a mask of the people whose numbers are finite and below LARGEST_BODY."""
    return np.asarray(
        (np.abs(pose) < LARGEST_BODY).all((1, 2)) & (np.abs(sigma) < LARGEST_BODY).all(1)
    )


def _only(
    kept: np.ndarray, people: PersonBatch, ends: np.ndarray
) -> tuple[PersonBatch, np.ndarray]:
    """Return the people who are kept, and the new end of each frame's people."""
    if kept.all():
        return people, ends
    before = np.concatenate([[0], np.cumsum(kept)])
    return people.select(kept), before[ends]


def _people_of(tracked_frames: Sequence[TrackedFrame]) -> tuple[PersonBatch, np.ndarray]:
    """Return the people of the given frames, and the end of each frame's people."""
    rows = [tracked.rows for tracked in tracked_frames]
    ends = np.cumsum([own.stop - own.start for own in rows])
    batch, total = tracked_frames[0].batch, int(ends[-1])
    in_order = [own.stop for own in rows] == ends.tolist()
    if in_order and all(tracked.batch is batch for tracked in tracked_frames):
        return batch if total == len(batch) else batch.select(slice(total)), ends
    parts = [tracked.batch.select(tracked.rows) for tracked in tracked_frames]
    return PersonBatch.concatenate(parts), ends


def _last_of_each(numbers: Sequence[int], counts: Sequence[int]) -> Bool[np.ndarray, " person"]:
    """Return a mask of the last n people of each frame."""
    if not any(numbers):
        return np.zeros(sum(counts), bool)
    pairs = zip(numbers, counts, strict=True)
    return np.concatenate([np.arange(count) >= count - number for number, count in pairs])


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _repeated(values: Sequence[object], counts: Sequence[int]) -> np.ndarray:
    """Return one row per person of a value per frame."""
    rows = np.array(values)
    return rows if all(count == 1 for count in counts) else rows.repeat(counts, axis=0)
