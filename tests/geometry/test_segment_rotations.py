"""Rotations from joint positions, checked by forward kinematics."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.segment_rotations import (
    SEGMENT_JOINTS,
    SEGMENT_PARENTS,
    SEGMENTS,
    local_rotations,
    segment_rotations,
)
from langpose_rt.geometry.skeleton import JOINTS

T_POSE = np.zeros((17, 3))
for _name, _point in {
    "LHip": (0.13, 0, 0), "LKnee": (0.13, -0.45, 0), "LAnkle": (0.13, -0.9, 0),
    "Spine": (0, 0.24, 0), "Thorax": (0, 0.49, 0), "Nose": (0, 0.6, 0.05), "Head": (0, 0.71, 0),
    "LShoulder": (0.15, 0.49, 0), "LElbow": (0.43, 0.49, 0), "LWrist": (0.68, 0.49, 0),
}.items():  # fmt: skip
    T_POSE[JOINTS.index(_name)] = _point
    if _name.startswith("L"):
        T_POSE[JOINTS.index("R" + _name[1:])] = _point * np.array([-1, 1, 1])


def moved(**offsets: tuple[float, float, float]) -> np.ndarray:
    """The T-pose with joints elsewhere."""
    pose = T_POSE.copy()
    for name, point in offsets.items():
        pose[JOINTS.index(name)] = point
    return pose


def rotation_of(pose: np.ndarray, segment: str) -> np.ndarray:
    return segment_rotations(pose)[SEGMENTS.index(segment)]


def test_the_t_pose_is_not_rotated() -> None:
    expected = np.tile(np.eye(3), (len(SEGMENTS), 1, 1))
    np.testing.assert_allclose(segment_rotations(T_POSE), expected, atol=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_a_turned_body_turns_every_segment_alike(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pose = T_POSE + rng.normal(0, 0.05, (17, 3))
    turn = Rotation.random(random_state=seed).as_matrix()
    found = segment_rotations(pose @ turn.T + rng.normal(0, 1, 3))
    np.testing.assert_allclose(found, turn @ segment_rotations(pose), atol=1e-8)


@given(st.integers(0, 2**32 - 1))
def test_every_matrix_is_a_rotation_whatever_the_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pose = rng.normal(0, 1, (3, 17, 3))
    pose[:, rng.integers(0, 17, 6)] = pose[:, rng.integers(0, 17, 1)]  # joints that coincide
    found = segment_rotations(pose)
    unity = found @ np.swapaxes(found, -1, -2)
    np.testing.assert_allclose(unity, np.broadcast_to(np.eye(3), unity.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(found), 1.0, atol=1e-9)


def test_a_body_in_one_point_is_at_rest() -> None:
    found = segment_rotations(np.zeros((17, 3)))
    np.testing.assert_allclose(found, np.tile(np.eye(3), (len(SEGMENTS), 1, 1)), atol=1e-12)


def test_rotations_and_bone_lengths_give_a_real_clip_back() -> None:
    pose = read_clip(DEMO_CLIP).pose3d
    assert pose is not None
    pose = pose[np.isfinite(pose).all((1, 2))]
    rotations = segment_rotations(pose)
    rest = segment_rotations(T_POSE)
    for segment, end in {
        "left_thigh": "LKnee", "left_shin": "LAnkle", "right_thigh": "RKnee",
        "right_shin": "RAnkle", "left_upper_arm": "LElbow", "left_forearm": "LWrist",
        "right_upper_arm": "RElbow", "right_forearm": "RWrist", "head": "Head",
    }.items():  # fmt: skip
        number = SEGMENTS.index(segment)
        start, stop = SEGMENT_JOINTS[number], JOINTS.index(end)
        bone = pose[:, stop] - pose[:, start]
        way = rest[number].T @ (T_POSE[stop] - T_POSE[start])
        length = np.linalg.norm(bone, axis=-1, keepdims=True)
        again = length * (rotations[:, number] @ (way / np.linalg.norm(way)))
        np.testing.assert_allclose(again, bone, atol=1e-6, err_msg=segment)


def test_local_rotations_multiply_to_the_global_ones() -> None:
    rotations = segment_rotations(T_POSE + np.random.default_rng(3).normal(0, 0.2, (5, 17, 3)))
    local = local_rotations(rotations)
    again = np.empty_like(local)
    for segment, parent in enumerate(SEGMENT_PARENTS):
        before = again[:, parent] if parent >= 0 else np.eye(3)
        again[:, segment] = before @ local[:, segment]
    np.testing.assert_allclose(again, rotations, atol=1e-12)


@pytest.mark.parametrize(("side", "sign"), [("L", 1), ("R", -1)])
@pytest.mark.parametrize("degrees", [30, 90, 140])
def test_a_knee_bends_in_its_hinge_and_nothing_is_twisted(
    side: str, sign: int, degrees: int
) -> None:
    bend = np.radians(degrees)
    ankle = (0.13 * sign, -0.45 - 0.45 * np.cos(bend), -0.45 * np.sin(bend))
    local = local_rotations(segment_rotations(moved(**{f"{side}Ankle": ankle})))
    name = {"L": "left", "R": "right"}[side]
    thigh, shin = (SEGMENTS.index(f"{name}_{part}") for part in ("thigh", "shin"))
    np.testing.assert_allclose(local[thigh], np.eye(3), atol=1e-9)
    expected = Rotation.from_euler("x", degrees, degrees=True).as_matrix()
    np.testing.assert_allclose(local[shin], expected, atol=1e-9)


@pytest.mark.parametrize(("side", "sign"), [("L", 1), ("R", -1)])
def test_an_elbow_that_bends_upwards_twists_the_upper_arm(side: str, sign: int) -> None:
    wrist = (0.43 * sign, 0.49 + 0.25, 0)
    name = {"L": "left", "R": "right"}[side]
    upper = rotation_of(moved(**{f"{side}Wrist": wrist}), f"{name}_upper_arm")
    np.testing.assert_allclose(upper[:, 0], [1, 0, 0], atol=1e-9)
    turned = np.degrees(np.arccos(upper[1, 1]))
    assert 75 < turned < 90, "the hinge is across the bend, but for the share of the straight arm"
    assert upper[1, 2] > 0, "what looked forward looks up"


def test_a_straight_limb_is_not_twisted_and_does_not_jump() -> None:
    hanging = {"LElbow": (0.15, 0.21, 0.0), "LWrist": (0.15, -0.04, 0.0)}
    straight = rotation_of(moved(**hanging), "left_upper_arm")
    expected = Rotation.from_euler("z", -90, degrees=True).as_matrix()
    np.testing.assert_allclose(straight, expected, atol=1e-9)
    nearly = rotation_of(moved(**hanging | {"LWrist": (0.152, -0.04, 0.002)}), "left_upper_arm")
    np.testing.assert_allclose(nearly, straight, atol=0.06)


def test_a_head_looks_where_the_nose_is() -> None:
    head = rotation_of(moved(Nose=(0.05, 0.6, 0)), "head")
    np.testing.assert_allclose(head[:, 2], [1, 0, 0], atol=1e-9)


def test_an_arm_across_the_body_has_a_rotation() -> None:
    pose = moved(LElbow=(-0.13, 0.49, 0), LWrist=(-0.38, 0.49, 0))
    found = rotation_of(pose, "left_upper_arm")
    np.testing.assert_allclose(found[:, 0], [-1, 0, 0], atol=1e-9)
    assert np.isfinite(found).all()
