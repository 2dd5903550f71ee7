from dataclasses import replace

import numpy as np

from langpose_rt.fusion.fused_frame import FusedFrame
from langpose_rt.fusion.volume import CaptureVolume
from langpose_rt.pipeline.volumes.fused_messages import UNKNOWN_SIGMA_M, fused_message
from langpose_rt.pipeline.volumes.live_volume import FusedInstant
from langpose_rt.protocol.messages import (
    JointFlag,
    ModelStamp,
    PoseMessage,
    decode_pose,
    encode_pose,
)
from tests.fusion.rigs import H36M, MS, body, ring, seen_by

CAMERAS = ring(3)


def fused_frame() -> FusedFrame:
    volume = CaptureVolume(CAMERAS, H36M)
    found = []
    for step in range(5):
        for name, camera in CAMERAS.items():
            volume.feed(name, 16 * step * MS, seen_by(camera, body()[None]), now_ns=16 * step * MS)
        found += volume.tick(16 * step * MS)
    return found[-1]


FRAME = fused_frame()


def message_of(frame: FusedFrame) -> PoseMessage:
    instant = FusedInstant("stage", tuple(CAMERAS), 8, frame, 3 * MS)
    message = fused_message(instant, epoch=5, model=ModelStamp("m"), lookahead_ns=7, busy_ns=2 * MS)
    assert decode_pose(encode_pose(message)).topic == "pose3d/stage/fused/"
    return message


def test_a_person_lies_where_the_volume_has_them() -> None:
    message = message_of(FRAME)
    assert message.root is not None
    joints = message.root[:, None] + message.poses[..., :3]
    np.testing.assert_allclose(joints[0], body(), atol=2e-3)
    assert (message.poses[:, 0, :3] == 0).all(), "the hip is the root"
    assert message.keypoints is not None
    np.testing.assert_allclose(message.keypoints[..., :3], message.poses[..., :3], atol=1e-6)


def test_every_joint_says_what_it_rests_on() -> None:
    message = message_of(FRAME)
    assert message.fused is not None
    assert message.fused.cameras == ("cam0", "cam1", "cam2")
    assert message.fused.live_cameras == message.fused.cameras
    assert message.views is not None
    assert (message.views == 7).all()
    assert message.residual_px is not None
    assert message.residual_px.max() < 0.5
    assert message.bones_m is not None
    assert message.bones_m.shape == (1, 16)


def test_the_covariance_is_the_upper_triangle_and_sigma_its_mean() -> None:
    message, own = message_of(FRAME), FRAME.covariance_m2[0, 5]
    assert message.covariance_m2 is not None
    xx, xy, xz, yy, yz, zz = message.covariance_m2[0, 5]
    expected = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    np.testing.assert_allclose(expected, own, rtol=1e-5)
    np.testing.assert_allclose(message.poses[0, 5, 3], np.sqrt(np.trace(own) / 3), rtol=1e-5)


def test_an_unknown_joint_is_finite_and_said_to_be_unknown() -> None:
    joints, views = FRAME.joints.copy(), FRAME.views.copy()
    joints[0, 10], views[0, 10] = np.nan, 0
    message = message_of(replace(FRAME, joints=joints, views=views))
    assert message.poses[0, 10].tolist() == [0, 0, 0, UNKNOWN_SIGMA_M]
    assert message.flags[0, 10] == JointFlag.IMPUTED
    assert message.keypoints is not None
    assert message.keypoints[0, 10].tolist() == [0, 0, 0, 0]


def test_without_a_hip_the_root_is_the_middle_of_what_is_known() -> None:
    joints = FRAME.joints.copy()
    joints[0, 0] = np.nan
    message = message_of(replace(FRAME, joints=joints))
    assert message.root is not None
    np.testing.assert_allclose(message.root[0], joints[0, 1:].mean(0), atol=1e-5)


def test_somebody_without_a_known_joint_is_left_out() -> None:
    message = message_of(replace(FRAME, joints=np.full_like(FRAME.joints, np.nan)))
    assert len(message.ids) == len(message.state) == len(message.poses) == 0


def test_somebody_whom_nobody_sees_is_held() -> None:
    unseen = replace(FRAME, held_ns=np.array([50 * MS]), views=np.zeros_like(FRAME.views))
    message = message_of(unseen)
    assert message.state == ("held",)
    assert (message.flags == JointFlag.PREDICTED).all()


def test_times_are_those_of_the_instant() -> None:
    message = message_of(FRAME)
    assert message.t_srv == message.src.t == FRAME.t_ns
    assert (message.epoch, message.seq, message.lat.rx, message.lat.post) == (5, 8, 3 * MS, 2 * MS)
    assert message.fused is not None
    assert message.fused.wait_ns == 3 * MS


def test_the_world_says_which_way_is_down_if_the_calibration_does() -> None:
    assert (message_of(FRAME).gravity, message_of(FRAME).level_src) == (None, "none")
    instant = FusedInstant("stage", tuple(CAMERAS), 8, FRAME, 0, gravity=(0.0, -1.0, 0.0))
    message = fused_message(instant, epoch=5, model=ModelStamp("m"), lookahead_ns=0, busy_ns=0)
    assert (message.gravity, message.level_src) == ((0.0, -1.0, 0.0), "calibration")
