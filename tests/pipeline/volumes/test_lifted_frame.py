import numpy as np

from langpose_rt.pipeline.batch_lifter import LiftResult
from langpose_rt.pipeline.camera_lookup import CameraLookup
from langpose_rt.pipeline.camera_stream import PersonBatch, TrackedFrame
from langpose_rt.pipeline.capture_clock import Stamp
from langpose_rt.pipeline.frame_queue import Frame
from langpose_rt.pipeline.volumes.lifted_frame import lifted_frame, lifted_frames
from tests.fakes import POSE, keypoint_message, person_px

MESSAGE = keypoint_message(*[person_px((0, 0, 4))] * 3)
FRAME = Frame(
    MESSAGE, CameraLookup({}).camera_model_of(MESSAGE), 0, Stamp(0, 0, 0, stepped=False), 0
)


def lift(ids: list[int]) -> tuple[LiftResult, TrackedFrame]:
    """A frame of three people: the last two have slots, number 9 coasts; `ids` were lifted."""
    tracked = TrackedFrame(
        None, FRAME, [4, 5, 9], [0, 1, 2], np.zeros((3, 17, 3), np.float32), 0, people=[1, 2]
    )  # type: ignore[arg-type]
    people = PersonBatch.empty(len(ids))
    people.id[:] = ids
    poses = np.zeros((len(ids), 17, 4), np.float32)
    poses[..., :3], poses[..., 3] = POSE, 0.02
    root = np.array([[number, 0, 4] for number in ids], np.float32).reshape(-1, 3)
    return LiftResult([tracked], [len(ids)], people, poses, root, None, 0, 0, 0), tracked


def test_lifts_lie_at_the_places_of_their_people_and_those_who_coast_have_none() -> None:
    result, _ = lift([4, 5, 9])
    (tracked, rows), *rest = lifted_frames(result)
    assert not rest
    found = lifted_frame(result, tracked, rows)
    assert found.people == [1, 2]
    assert found.root[:, 0].tolist() == [4, 5]
    assert found.stream == ("rig0", "cam0")


def test_a_copy_stays_when_the_poses_are_turned_afterwards() -> None:
    result, tracked = lift([4, 5])
    found = lifted_frame(result, tracked, slice(0, 2))
    result.poses[:], result.root[:] = 0, 0
    np.testing.assert_array_equal(found.poses[0, :, :3], POSE)
    assert found.root[0, 0] == 4


def test_somebody_whose_slot_was_reset_has_no_lift() -> None:
    result, tracked = lift([5])
    found = lifted_frame(result, tracked, slice(0, 1))
    lifts = found.lifts_in_world(np.eye(4))
    assert np.isfinite(lifts.root).all(1).tolist() == [False, False, True]


def test_lifts_are_turned_into_world_axes() -> None:
    result, tracked = lift([4])
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]], [0, 0, 2]
    lifts = lifted_frame(result, tracked, slice(0, 1)).lifts_in_world(T)
    np.testing.assert_allclose(lifts.root[1], [4, 4, 2])
    np.testing.assert_allclose(lifts.pose[1], POSE @ T[:3, :3].T, atol=1e-6)
    np.testing.assert_allclose(lifts.sigma_m[1], 0.02)


def test_nobody_lifted_is_nobody() -> None:
    result, tracked = lift([])
    lifts = lifted_frame(result, tracked, slice(0, 0)).lifts_in_world(np.eye(4))
    assert np.isnan(lifts.root).all()
