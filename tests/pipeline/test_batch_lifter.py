"""Arrays of everybody through the backend and back."""

import numpy as np

from langpose_rt.geometry.skeleton import SKELETONS, to_h36m17
from langpose_rt.pipeline.batch_lifter import BatchLifter, joints_of_frames
from langpose_rt.pipeline.camera_lookup import CameraLookup
from langpose_rt.pipeline.camera_stream import Stream, TrackedFrame
from langpose_rt.pipeline.capture_clock import Stamp
from langpose_rt.pipeline.frame_queue import Frame, FrameQueue
from langpose_rt.pipeline.slots import SlotTable
from langpose_rt.protocol.messages import KeypointMessage
from tests.fakes import MS, POSE, SIZE, FakeBackend, keypoint_message, person_px

VIEWS = CameraLookup({})


def frame_of(message: KeypointMessage, time_ms: float = 0.0) -> Frame:
    stamp = Stamp(round(time_ms * MS), 0, 0, stepped=False)
    return Frame(message, VIEWS.camera_model_of(message), 0, stamp, 0)


class Room:
    """A backend, its persons, and streams that are fed by hand."""

    def __init__(self) -> None:
        self.backend = FakeBackend()
        self.persons = SlotTable(self.backend)
        self.lifter = BatchLifter(self.backend, self.persons, None, clock=lambda: 0)
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
        return stream.seat(frame, frame.message.keypoints, list(range(len(roots))), 0)


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


def test_people_of_several_sightings_are_told_apart() -> None:
    room = Room()
    places = {"a": [(-1.0, 0.0, 4.0)], "b": [], "c": [(0.0, 0.0, 5.0), (1.0, 0.2, 6.0)]}
    tracked_frames = [room.sight(camera, *roots) for camera, roots in places.items()]
    assert room.lifter.remember(tracked_frames) == 0
    lifted = room.lifter.answer(tracked_frames)
    assert lifted.ends == [1, 1, 3]
    np.testing.assert_allclose(lifted.poses[..., :3], np.stack([POSE] * 3), atol=1e-5)
    np.testing.assert_allclose(lifted.root, [*places["a"], *places["c"]], atol=2e-3)
    assert lifted.people["id"].tolist() == [0, 0, 1]


def test_nobody_at_all_is_a_frame_too() -> None:
    room = Room()
    tracked_frames = [room.sight("a"), room.sight("b")]
    assert room.lifter.remember(tracked_frames) == 0
    lifted = room.lifter.answer(tracked_frames)
    assert (lifted.ends, len(lifted.poses), lifted.failed) == ([0, 0], 0, 0)
    assert room.lifter.frames_back(tracked_frames[0]) == 0
    assert room.backend.encodes == []


def test_how_far_back_a_frame_lies_is_counted_per_person() -> None:
    room = Room()
    first = room.sight("a", (-1.0, 0.0, 4.0), (1.0, 0.0, 4.0))
    room.lifter.remember([first])
    assert room.lifter.frames_back(first) == 0
    for index in range(1, 4):
        room.lifter.remember([room.sight("a", (-1.0, 0.0, 4.0), time_ms=20 * index)])
    assert room.lifter.frames_back(first) == 3
    lifted = room.lifter.answer([first])
    assert [back for _, back, _, _ in room.backend.lifts] == [3, 0]
    np.testing.assert_allclose(lifted.root, [(-1.0, 0, 4.0), (1.0, 0, 4.0)], atol=2e-3)
    room.persons.reset(np.array([first.slots[0]], np.int32))
    assert room.lifter.frames_back(first) == 0
    assert room.lifter.answer([first]).people["id"].tolist() == [1]
