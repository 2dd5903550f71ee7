"""BVH: forward kinematics of an independent reader reproduces the poses, without flips."""

import re
import warnings
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from langpose_rt.formats.bvh import motion_to_bvh
from langpose_rt.geometry.skeleton import BONES, bone_lengths
from tests.formats.walker import joint, motion_of, swinging

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it imports PyGLM by its old name
    import bvhio

WHERE = {
    "Hips": "Hip", "Spine": "Spine", "Neck": "Thorax", "Head": "Nose", "LeftArm": "LShoulder",
    "LeftForeArm": "LElbow", "RightArm": "RShoulder", "RightForeArm": "RElbow",
    "LeftUpLeg": "LHip", "LeftLeg": "LKnee", "RightUpLeg": "RHip", "RightLeg": "RKnee",
}  # fmt: skip
"""Joint of the file to the joint it starts at."""

TIPS = {"Head": "Head", "LeftForeArm": "LWrist", "RightForeArm": "RWrist",
        "LeftLeg": "LAnkle", "RightLeg": "RAnkle"}  # fmt: skip


def y_up_cm(joints: np.ndarray) -> np.ndarray:
    """Camera axes in metres, as the file has them: half a turn about x."""
    return 100 * joints * (1, -1, -1)


def kinematics(path: Path, frames: int) -> dict[str, np.ndarray]:
    """Position [frame, 3] of every joint and end site, by bvhio."""
    hierarchy = bvhio.readAsHierarchy(str(path))
    found: dict[str, list[list[float]]] = {}
    for frame in range(frames):
        hierarchy.loadPose(frame)
        for part, _, _ in hierarchy.layout():
            found.setdefault(part.Name, []).append(list(part.PositionWorld))
            if part.Name in TIPS:
                tip = part.pointToWorld((0, np.linalg.norm(tips_of_file(path)[part.Name]), 0))
                found.setdefault(part.Name + " tip", []).append(list(tip))
    return {name: np.array(places) for name, places in found.items()}


def tips_of_file(path: Path) -> dict[str, tuple[float, ...]]:
    """Offset of the end site of every last joint, from the text."""
    blocks = re.findall(r"JOINT (\w+)\n|End Site\s*\{\s*OFFSET (\S+) (\S+) (\S+)", path.read_text())
    tips: dict[str, tuple[float, ...]] = {}
    name = ""
    for joint_name, *offset in blocks:
        if joint_name:
            name = joint_name
        else:
            tips[name] = tuple(map(float, offset))
    return tips


def places(found: dict[str, np.ndarray]) -> dict[int, np.ndarray]:
    """What the file says of every joint that a bone starts or ends at."""
    starts = {joint(start): found[name] for name, start in WHERE.items()}
    return starts | {joint(end): found[f"{name} tip"] for name, end in TIPS.items()}


def test_forward_kinematics_of_another_reader_gives_the_poses_back(tmp_path: Path) -> None:
    joints, path = swinging(12), tmp_path / "walk.bvh"
    motion_to_bvh(path, motion_of(joints))
    found, expected = places(kinematics(path, 12)), y_up_cm(joints)
    assert sorted(found) == list(range(17))
    for number, place in found.items():
        np.testing.assert_allclose(place, expected[:, number], atol=0.01)


def test_bones_that_change_their_length_cost_no_more_than_they_change(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    joints = swinging(10) + rng.normal(0, 0.01, (10, 17, 3))
    path = tmp_path / "noisy.bvh"
    motion_to_bvh(path, motion_of(joints))
    found, expected = places(kinematics(path, 10)), y_up_cm(joints)
    lengths = 100 * bone_lengths(joints)
    residual = np.zeros((10, 17))
    for number, (parent, end) in enumerate(BONES):
        own = np.abs(lengths[:, number] - np.median(lengths[:, number]))
        residual[:, end] = residual[:, parent] + own
    for number, place in found.items():
        off = np.linalg.norm(place - expected[:, number], axis=-1)
        assert (off <= residual[:, number] + 0.01).all(), number
    assert residual.max() > 1, "the case would prove nothing"


def channels(path: Path) -> np.ndarray:
    rows = path.read_text().split("Frame Time:")[1].splitlines()[1:]
    return np.array([row.split() for row in rows], float)


def test_no_joint_flips_from_one_frame_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "smooth.bvh"
    motion_to_bvh(path, motion_of(swinging(300, seed=4)))
    angles = channels(path)[:, 3:].reshape(300, -1, 3)
    for own in angles.transpose(1, 0, 2):
        turns = Rotation.from_euler("ZXY", own, degrees=True)
        step_deg = np.degrees((turns[:-1].inv() * turns[1:]).magnitude())
        assert step_deg.max() < 12


def test_a_turn_of_the_shoulders_turns_the_trunk_and_not_the_pelvis(tmp_path: Path) -> None:
    joints = np.repeat(swinging(1), 2, axis=0)
    above = list(range(8, 17))
    turn = Rotation.from_euler("y", 30, degrees=True)
    centre = joints[1, joint("Thorax")]
    joints[:, joint("Spine")] = (joints[:, 0] + joints[:, joint("Thorax")]) / 2
    joints[1, above] = turn.apply(joints[1, above] - centre) + centre
    path = tmp_path / "turn.bvh"
    motion_to_bvh(path, motion_of(joints))
    angles = channels(path)[:, 3:].reshape(2, -1, 3)
    hips, lower_back, spine = (
        Rotation.from_euler("ZXY", angles[:, n], degrees=True) for n in range(3)
    )
    for still in (hips, lower_back):
        assert (still[0].inv() * still[1]).magnitude() < 1e-4
    assert np.degrees((spine[0].inv() * spine[1]).magnitude()) > 20


def test_y_is_up_and_a_missing_person_stays_as_before(tmp_path: Path) -> None:
    path = tmp_path / "gap.bvh"
    motion_to_bvh(path, motion_of(swinging(6), slice(2, 4)))
    found = kinematics(path, 6)
    assert (found["Head"][:, 1] > found["Hips"][:, 1] + 30).all()
    assert (found["Hips"][:, 1] > found["LeftLeg"][:, 1] + 20).all()
    numbers = channels(path)
    np.testing.assert_array_equal(numbers[2], numbers[1])
    np.testing.assert_array_equal(numbers[3], numbers[1])
    assert not np.array_equal(numbers[4], numbers[1])
