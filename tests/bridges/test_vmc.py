"""Avatar messages, decoded as a receiver in Unity does."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from langpose_rt.bridges.vmc import ANKLE_HEIGHT_M, Avatar, Message
from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.skeleton import JOINTS
from langpose_rt.protocol.messages import PoseMessage
from tests.geometry.test_segment_rotations import T_POSE
from tests.protocol.samples import pose_sample

PARENTS = {
    "Spine": "Hips", "Neck": "Spine", "Head": "Neck",
    **{
        f"{side}{bone}": parent if parent in ("Hips", "Spine") else f"{side}{parent}"
        for side in ("Left", "Right")
        for bone, parent in (
            ("UpperLeg", "Hips"), ("LowerLeg", "UpperLeg"), ("Foot", "LowerLeg"),
            ("UpperArm", "Spine"), ("LowerArm", "UpperArm"), ("Hand", "LowerArm"),
        )
    },
}  # fmt: skip
ENDS = {
    "Hips": "Hip", "Spine": "Spine", "Neck": "Thorax", "Head": "Nose",
    "LeftFoot": "LAnkle", "RightFoot": "RAnkle", "LeftLowerLeg": "LKnee",
    "LeftHand": "LWrist", "RightHand": "RWrist", "RightLowerArm": "RElbow",
}  # fmt: skip


def message_of(pose: np.ndarray, root: tuple[float, float, float], frame: str) -> PoseMessage:
    poses = np.zeros((1, 17, 4), np.float32)
    poses[0, :, :3] = pose - pose[0]
    where = np.array([root], np.float32)
    return replace(pose_sample(1), poses=poses, root=where, frame=frame)


def transforms(messages: list[Message]) -> dict[str, tuple[np.ndarray, Rotation]]:
    found = {}
    for _, (name, *numbers) in messages[2:]:
        found[str(name)] = np.array(numbers[:3]), Rotation.from_quat(numbers[3:])
    return found


def placed(messages: list[Message]) -> dict[str, tuple[np.ndarray, Rotation]]:
    """Where every bone is in Unity's world."""
    local = transforms(messages)
    world = {"root": local.pop("root")}
    for name, (offset, rotation) in local.items():
        at, turned = world[PARENTS.get(name, "root")]
        world[name] = at + turned.apply(offset), turned * rotation
    return world


def test_a_person_in_t_pose_who_faces_the_camera_is_unitys_t_pose() -> None:
    in_camera = T_POSE * [1, -1, -1]
    told = Avatar().messages(message_of(in_camera, (0.5, 0.2, 3.0), "camera"), 0, 1.5)
    assert told[:2] == [("/VMC/Ext/OK", (1, 3, 0, 1)), ("/VMC/Ext/T", (1.5,))]
    assert [address for address, _ in told[2:]] == (
        ["/VMC/Ext/Root/Pos"] + ["/VMC/Ext/Bone/Pos"] * 16
    )
    for name, (_, rotation) in transforms(told).items():
        np.testing.assert_allclose(rotation.as_quat(), [0, 0, 0, 1], atol=1e-6, err_msg=name)
    world = placed(told)
    np.testing.assert_allclose(world["root"][0], [-0.5, 0, -3.0], atol=1e-6)
    np.testing.assert_allclose(world["Hips"][0], [-0.5, 0.9 + ANKLE_HEIGHT_M, -3.0], atol=1e-6)
    assert world["LeftHand"][0][0] < world["RightHand"][0][0], "who faces +z has left at -x"


@pytest.mark.parametrize("frame", ["camera", "world"])
def test_every_joint_of_a_real_pose_is_where_it_was(frame: str) -> None:
    clip = read_clip(DEMO_CLIP)
    assert clip.pose3d is not None
    pose = clip.pose3d[40].astype(np.float64)
    root = (0.3, -0.2, 4.0)
    world = placed(Avatar().messages(message_of(pose, root, frame), 0, 0.0))
    moved = pose - pose[0] + root
    x, y, z = moved.T
    unity = np.stack([-x, -y, -z] if frame == "camera" else [-x, z, -y], -1)
    height = unity[[JOINTS.index("LAnkle"), JOINTS.index("RAnkle")], 1].min() - ANKLE_HEIGHT_M
    for bone, joint in ENDS.items():
        expected = unity[JOINTS.index(joint)] - [0, height, 0]
        np.testing.assert_allclose(world[bone][0], expected, atol=2e-6, err_msg=bone)


def test_nobody_is_said_without_bones() -> None:
    told = Avatar().messages(pose_sample(2), None, 0.0)
    assert told[0] == ("/VMC/Ext/OK", (1, 3, 0, 0))
    assert len(told) == 2


def test_the_floor_is_under_the_lowest_foot_and_rises_slowly() -> None:
    avatar = Avatar()

    def hips_m(lift: float) -> float:
        pose = T_POSE * [1, -1, -1]
        told = avatar.messages(message_of(pose, (0.0, -lift, 3.0), "camera"), 0, 0.0)
        return float(placed(told)["Hips"][0][1])

    standing = hips_m(0.0)
    assert hips_m(0.3) == pytest.approx(standing + 0.3 - 0.003, abs=1e-6), "a jump is a jump"
    assert hips_m(-0.2) == pytest.approx(standing, abs=1e-6), "nobody sinks"
    for _ in range(1000):
        avatar._floor_below(T_POSE + np.array([0.0, 0.5, 0.0]))
    assert hips_m(0.5) == pytest.approx(standing, abs=1e-3), "who climbs stands there in the end"


def test_a_person_whose_place_is_not_known_stands_at_the_origin() -> None:
    told = Avatar().messages(
        replace(message_of(T_POSE * [1, -1, -1], (0, 0, 0), "camera"), root=None), 0, 0.0
    )
    np.testing.assert_allclose(placed(told)["root"][0], 0, atol=1e-9)


def test_an_avatar_stands_upright_before_a_tilted_camera() -> None:
    turn = Rotation.from_euler("x", 30.0, degrees=True).as_matrix()  # the camera looks down
    down = tuple((turn @ [0.0, 1.0, 0.0]).tolist())
    level, hip = T_POSE * [1, -1, -1], np.array([0.2, 0.1, 3.0])
    tilted = message_of(level @ turn.T, tuple(turn @ hip), "camera")
    known = placed(Avatar().messages(replace(tilted, gravity=down, level_src="given"), 0, 0.0))
    straight = placed(Avatar().messages(message_of(level, tuple(hip), "camera"), 0, 0.0))
    for name, (place, rotation) in straight.items():
        np.testing.assert_allclose(known[name][0], place, atol=1e-5)
        assert (known[name][1].inv() * rotation).magnitude() < 1e-5
    leaning = placed(Avatar().messages(tilted, 0, 0.0))
    assert np.degrees(leaning["Hips"][1].magnitude()) == pytest.approx(30, abs=0.1)


def test_a_mirrored_avatar_lifts_the_arm_on_the_same_side_of_the_picture() -> None:
    pose = T_POSE * [1, -1, -1]
    raised = pose.copy()
    wrist, shoulder = JOINTS.index("LWrist"), JOINTS.index("LShoulder")
    raised[wrist] = raised[shoulder] + [0.1, -0.5, 0.0]
    message = message_of(raised, (0.4, 0.0, 3.0), "camera")
    usual, mirrored = (
        placed(avatar.messages(message, 0, 0.0)) for avatar in (Avatar(), Avatar(mirror=True))
    )
    np.testing.assert_allclose(
        mirrored["RightHand"][0], usual["LeftHand"][0] * [-1, 1, 1], atol=1e-6
    )
    np.testing.assert_allclose(mirrored["Hips"][0], usual["Hips"][0] * [-1, 1, 1], atol=1e-6)
    assert mirrored["RightHand"][0][1] > mirrored["LeftHand"][0][1] + 0.3


def test_who_comes_begins_at_the_origin_facing_forward_and_walks_from_there() -> None:
    avatar, turn = Avatar(recentre=True), Rotation.from_euler("y", 70, degrees=True).as_matrix()
    turned, hip = (T_POSE * [1, -1, -1]) @ turn.T, np.array([1.3, 0.2, 4.0])
    start = placed(avatar.messages(message_of(turned, tuple(hip), "camera"), 0, 0.0))
    np.testing.assert_allclose(start["Hips"][0][[0, 2]], 0, atol=1e-6)
    assert np.degrees(start["Hips"][1].magnitude()) == pytest.approx(0, abs=1e-3)
    ahead = hip + turn @ [0.0, 0.0, -1.0]  # a metre to where the person looks
    walked = placed(avatar.messages(message_of(turned, tuple(ahead), "camera"), 0, 0.0))
    np.testing.assert_allclose(walked["Hips"][0][[0, 2]], [0, 1], atol=1e-6)
    other = replace(message_of(turned, tuple(ahead), "camera"), ids=np.array([77]))
    again = placed(avatar.messages(other, 0, 0.0))
    np.testing.assert_allclose(again["Hips"][0][[0, 2]], 0, atol=1e-6)


def test_a_floor_that_is_given_is_the_floor() -> None:
    pose, hip = T_POSE * [1, -1, -1], (0.0, 0.25, 3.0)
    told = Avatar(floor_m=-1.5).messages(message_of(pose, hip, "camera"), 0, 0.0)
    assert placed(told)["Hips"][0][1] == pytest.approx(1.5 - 0.25)
