"""Arrays of all people through the backend and back."""

import numpy as np

from langpose_rt.geometry.camera import Camera, Intrinsics, pixel_to_ray
from langpose_rt.geometry.skeleton import SKELETONS, to_h36m17
from langpose_rt.pipeline.batch_lifter import BatchLifter, joints_of_frames, rays_of_people
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

    def __init__(self) -> None:
        self.backend = FakeBackend()
        self.persons = SlotTable(self.backend)
        self.lifter = BatchLifter(self.backend, self.persons, None)
        self._streams: dict[str, Stream] = {}

    def sight(
        self, camera: str, *roots: tuple[float, float, float], time_ms: float = 0.0
    ) -> TrackedFrame:
        people = [person_px(root) for root in roots]
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
