"""Arrays of all people through the backend and back."""

import msgspec
import numpy as np
import pytest

from langpose_rt.config import RayRefinement
from langpose_rt.geometry.camera import Camera, Intrinsics, pixel_to_ray
from langpose_rt.geometry.ray_refinement import RayRefiner
from langpose_rt.geometry.skeleton import SKELETONS, to_h36m17
from langpose_rt.pipeline.batch_lifter import (
    BatchLifter,
    LiftResult,
    joints_of_frames,
    rays_of_people,
)
from langpose_rt.pipeline.camera_lookup import CameraLookup
from langpose_rt.pipeline.camera_stream import Stream, TrackedFrame
from langpose_rt.pipeline.capture_clock import Stamp
from langpose_rt.pipeline.frame_queue import Frame, FrameQueue
from langpose_rt.pipeline.slots import SlotTable
from langpose_rt.protocol.messages import KeypointMessage
from tests.fakes import MS, POSE, SIZE, FakeBackend, keypoint_message, person_px

VIEWS = CameraLookup({})
DISTORTED = Camera(
    name="cam0",
    intrinsics=Intrinsics.from_matrix(
        [[900, 0, 640], [0, 910, 350], [0, 0, 1]], *SIZE, dist=(0.1, 0.01, 0, 0)
    ),
)


def standing_clock() -> int:
    return 0


def frame_of(message: KeypointMessage, time_ms: float = 0.0) -> Frame:
    stamp = Stamp(round(time_ms * MS), 0, 0, stepped=False)
    return Frame(message, VIEWS.camera_model_of(message), 0, stamp, 0)


class Room:
    """A backend, its persons, and streams that are fed by hand."""

    def __init__(self, refinement: float = 0.0, steadiness: float = 0.0) -> None:
        self.backend = FakeBackend()
        self.backend.manifest = msgspec.structs.replace(
            self.backend.manifest, ray_refinement=RayRefinement()
        )
        self.persons = SlotTable(self.backend, refined=refinement > 0)
        self.lifter = BatchLifter(
            self.backend, self.persons, None, refinement=refinement, steadiness=steadiness
        )
        self._streams: dict[str, Stream] = {}

    def sight(
        self,
        camera: str,
        *roots: tuple[float, float, float],
        time_ms: float = 0.0,
        wrist_px: float = 0.0,
    ) -> TrackedFrame:
        people = [person_px(root) for root in roots]
        for person in people:
            person[13, 0] += wrist_px
        frame = frame_of(keypoint_message(*people, camera=camera), time_ms)
        stream = self._streams.setdefault(
            camera,
            Stream(
                "rig0", camera, FrameQueue(VIEWS, 0), self.persons, track_timeout_s=1.0, first_seq=0
            ),
        )
        return stream.track(frame, frame.message.keypoints, list(range(len(roots))), 0)


def test_joints_of_every_format_come_back_to_their_own_frame() -> None:
    rng, messages = np.random.default_rng(0), []
    for index, name in enumerate(["coco17", "halpe26", "coco17", "h36m17", "halpe26"]):
        keypoints = rng.uniform(1, 500, (index, len(SKELETONS[name].joints), 3)).astype(np.float32)
        messages.append(
            KeypointMessage(
                rig="r",
                camera="c",
                epoch=0,
                seq=0,
                t_ns=0,
                skeleton=name,
                wh=SIZE,
                keypoints=keypoints,
                ids=np.arange(index),
            )
        )
    found = joints_of_frames([frame_of(message) for message in messages])
    for message, joints in zip(messages, found, strict=True):
        np.testing.assert_array_equal(
            joints, to_h36m17(message.keypoints, SKELETONS[message.skeleton])
        )


def test_people_of_several_frames_are_told_apart() -> None:
    room = Room()
    places = {"a": [(-1.0, 0.0, 4.0)], "b": [], "c": [(0.0, 0.0, 5.0), (1.0, 0.2, 6.0)]}
    tracked_frames = [room.sight(camera, *roots) for camera, roots in places.items()]
    assert room.lifter.encode(tracked_frames, standing_clock) == 0
    lifted = room.lifter.lift(tracked_frames, standing_clock)
    assert lifted.ends == [1, 1, 3]
    np.testing.assert_allclose(lifted.poses[..., :3], np.stack([POSE] * 3), atol=1e-5)
    np.testing.assert_allclose(lifted.root, [*places["a"], *places["c"]], atol=2e-3)
    assert lifted.people.id.tolist() == [0, 0, 1]


def test_nobody_at_all_is_a_frame_too() -> None:
    room = Room()
    tracked_frames = [room.sight("a"), room.sight("b")]
    assert room.lifter.encode(tracked_frames, standing_clock) == 0
    lifted = room.lifter.lift(tracked_frames, standing_clock)
    assert (lifted.ends, len(lifted.poses), lifted.failed) == ([0, 0], 0, 0)
    assert room.lifter.frames_back(tracked_frames[0]) == 0
    assert room.backend.encodes == []


def test_how_far_back_a_frame_lies_is_counted_per_person() -> None:
    room = Room()
    first = room.sight("a", (-1.0, 0.0, 4.0), (1.0, 0.0, 4.0))
    room.lifter.encode([first], standing_clock)
    assert room.lifter.frames_back(first) == 0
    for index in range(1, 4):
        room.lifter.encode([room.sight("a", (-1.0, 0.0, 4.0), time_ms=20 * index)], standing_clock)
    assert room.lifter.frames_back(first) == 3
    lifted = room.lifter.lift([first], standing_clock)
    assert [back for _, back, _, _ in room.backend.lifts] == [3, 0]
    np.testing.assert_allclose(lifted.root, [(-1.0, 0, 4.0), (1.0, 0, 4.0)], atol=2e-3)
    room.persons.reset(np.array([first.slots[0]], np.int32))
    assert room.lifter.frames_back(first) == 0
    assert room.lifter.lift([first], standing_clock).people.id.tolist() == [1]


def test_frames_of_different_steps_are_lifted_together() -> None:
    room = Room()
    first = [room.sight("a", (-1.0, 0.0, 4.0)), room.sight("b", (0.0, 0.0, 5.0))]
    room.lifter.encode(first, standing_clock)
    second = [room.sight("a", (-1.0, 0.0, 4.0), time_ms=20), room.sight("c", (1.0, 0.0, 6.0))]
    room.lifter.encode(second, standing_clock)
    frames = [second[1], first[1], first[0]]
    lifted = room.lifter.lift(frames, standing_clock)
    assert lifted.ends == [1, 2, 3]
    np.testing.assert_allclose(
        lifted.root, [(1.0, 0, 6.0), (0.0, 0, 5.0), (-1.0, 0, 4.0)], atol=2e-3
    )
    assert lifted.people.slot.tolist() == [
        frame.slots[0] for frame in (second[1], first[1], first[0])
    ]


def test_rays_of_many_cameras_are_those_of_each() -> None:
    views = CameraLookup({"cam0": DISTORTED}, fov_deg=50.0)
    camera_lookup = [
        views.camera_model_of(keypoint_message(camera=name)) for name in ("a", "cam0", "b")
    ]
    counts = [2, 1, 0]
    people = np.stack([person_px((x, 0, 4))[:, :2] for x in (-0.5, 0.2, 0.9)])
    rays = rays_of_people(people, camera_lookup, counts)
    np.testing.assert_array_equal(rays[:2], pixel_to_ray(people[:2], camera_lookup[0].intrinsics))
    np.testing.assert_array_equal(rays[2:], pixel_to_ray(people[2:], DISTORTED.intrinsics))


def answers_while_a_wrist_is_elsewhere(refinement: float) -> list[LiftResult]:
    room, answers = Room(refinement), []
    for frame in range(40):
        tracked = room.sight("a", (-1.0, 0.0, 4.0), time_ms=20 * frame, wrist_px=12.0)
        room.lifter.encode([tracked], standing_clock)
        answers.append(room.lifter.lift([tracked], standing_clock))
    return answers


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_streamed_refinement_is_the_refinement_of_the_whole_clip(strength: float) -> None:
    streamed = answers_while_a_wrist_is_elsewhere(strength)
    parameters = RayRefinement(strength=0.9 * strength)
    refiner = RayRefiner(1)
    for plain, refined in zip(answers_while_a_wrist_is_elsewhere(0.0), streamed, strict=True):
        pose, root = refiner.step(
            np.array([0]),
            plain.poses[..., :3],
            plain.root,
            rays=plain.people.rays,
            scores=plain.people.scores,
            sigma_m=plain.poses[..., 3],
            time_ns=plain.people.time_ns,
            parameters=parameters,
        )
        np.testing.assert_allclose(refined.poses[..., :3], pose, atol=1e-6)
        np.testing.assert_allclose(refined.root, root, atol=1e-6)


def test_a_wrist_that_is_seen_elsewhere_goes_there_unless_it_is_turned_off() -> None:
    plain, refined = (answers_while_a_wrist_is_elsewhere(x)[-1] for x in (0.0, 1.0))
    np.testing.assert_allclose(plain.poses[0, :, :3], POSE, atol=1e-5)
    moved = refined.poses[0, :, :3] + refined.root - plain.poses[0, :, :3] - plain.root
    wrist = 13
    assert abs(moved[wrist, 0]) > 0.02
    np.testing.assert_allclose(np.delete(moved, wrist, 0), 0, atol=0.01)
    np.testing.assert_allclose(moved[:, 2], 0, atol=1e-6)


def test_a_model_whose_manifest_does_not_say_so_is_not_refined() -> None:
    room = Room(1.0)
    room.backend.manifest = msgspec.structs.replace(room.backend.manifest, ray_refinement=None)
    tracked = room.sight("a", (-1.0, 0.0, 4.0), wrist_px=12.0)
    room.lifter.encode([tracked], standing_clock)
    np.testing.assert_allclose(
        room.lifter.lift([tracked], standing_clock).poses[0, :, :3], POSE, atol=1e-5
    )


def test_who_is_forgotten_has_no_offset_left() -> None:
    room = Room(1.0)
    for frame in range(20):
        tracked = room.sight("a", (-1.0, 0.0, 4.0), time_ms=20 * frame, wrist_px=12.0)
        room.lifter.encode([tracked], standing_clock)
        room.lifter.lift([tracked], standing_clock)
    room.persons.reset(np.array(tracked.slots, np.int32))
    tracked = room.sight("a", (-1.0, 0.0, 4.0), time_ms=400)
    room.lifter.encode([tracked], standing_clock)
    np.testing.assert_allclose(
        room.lifter.lift([tracked], standing_clock).poses[0, :, :3], POSE, atol=1e-4
    )


def test_bones_of_a_person_keep_their_mean_length() -> None:
    found = {}
    for steadiness in (0.0, 1.0):
        room, lengths = Room(1.0, steadiness), []
        for frame in range(60):
            wrist_px = 40.0 * (frame // 5 % 2)  # the wrist is seen nearer and farther in turn
            tracked = room.sight("a", (-1.0, 0.0, 4.0), time_ms=20 * frame, wrist_px=wrist_px)
            room.lifter.encode([tracked], standing_clock)
            pose = room.lifter.lift([tracked], standing_clock).poses[0, :, :3]
            lengths.append(np.linalg.norm(pose[13] - pose[12]))
        found[steadiness] = np.array(lengths)[30:]
    assert np.ptp(found[0.0]) > 0.01
    assert np.ptp(found[1.0]) < 0.25 * np.ptp(found[0.0])
    assert found[1.0].mean() == pytest.approx(found[0.0].mean(), abs=0.02)
