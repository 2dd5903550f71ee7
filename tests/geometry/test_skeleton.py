"""Keypoint formats: consistency of the table, and conversion to the 17 joints."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langpose_rt.config import NUM_JOINTS
from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.skeleton import (
    BONES,
    JOINTS,
    PAIRS,
    REFERENCE_BONES_M,
    REFERENCE_STATURE_M,
    SKELETONS,
    Skeleton,
    bone_lengths,
    skeleton_named,
    skeleton_of_size,
    stature_m,
    to_h36m17,
)
from tests.projection import ray_to_pixel

CAM04_CLIP = Path(__file__).parents[1] / "data" / "pose2sim_balancing_cam04.npz"
EVERY = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS.keys())

# Right shoulder, left wrist, right hip, left ankle, nose: from each format's own documentation.
DOCUMENTED = {
    "coco17": (6, 9, 12, 15, 0),
    "halpe26": (6, 9, 12, 15, 0),
    "halpe136": (6, 9, 12, 15, 0),
    "body135": (6, 9, 12, 15, 0),
    "body25": (2, 7, 9, 14, 0),
    "body25b": (6, 9, 12, 15, 0),
    "openpose18": (2, 7, 8, 13, 0),
    "coco133": (6, 9, 12, 15, 0),
    "blazepose33": (12, 15, 24, 27, 0),
}


def seen_keypoints(skeleton: Skeleton, *batch: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(100, 900, (*batch, len(skeleton.joints), 3)).astype(np.float32)
    keypoints[..., 2] = rng.uniform(0.1, 1.0, keypoints.shape[:-1])
    return keypoints


def test_the_number_of_joints_is_that_of_their_names() -> None:
    assert len(JOINTS) == NUM_JOINTS


@EVERY
def test_every_joint_is_a_weighted_mean_of_keypoints_that_exist(skeleton: Skeleton) -> None:
    assert len(skeleton.to_h36m) == len(JOINTS) == 17
    for terms in skeleton.to_h36m:
        assert sum(weight for _, weight in terms) == pytest.approx(1.0)
        assert all(0 <= source < len(skeleton.joints) for source, _ in terms)
        assert len({source for source, _ in terms}) == len(terms)


@EVERY
def test_names_are_unique_and_pairs_and_edges_are_joints(skeleton: Skeleton) -> None:
    count = len(skeleton.joints)
    assert len(set(skeleton.joints)) == count
    assert len(skeleton.edges) >= 14
    assert all(0 <= a < count and 0 <= b < count and a != b for a, b in skeleton.edges)
    paired = [joint for pair in skeleton.pairs for joint in pair]
    assert len(set(paired)) == len(paired)


def test_points_of_the_face_trade_places_across_its_middle() -> None:
    # jaw, brow, nostril, eye corner, lower eyelid, mouth corner, lower lip: as (left, right)
    expected = {(16, 0), (26, 17), (35, 31), (45, 36), (46, 41), (54, 48), (55, 59), (56, 58)}
    skeleton = skeleton_named("coco133")
    face = {(left - 23, right - 23) for left, right in skeleton.pairs if 23 <= left < 91}
    assert expected <= face
    middle = set(range(68)) - {point for pair in face for point in pair}
    assert middle == {8, *range(27, 31), 33, 51, 57, 62, 66}
    assert all(skeleton.joints[23 + point] == f"face_{point}" for point in middle)


@pytest.mark.parametrize(
    ("name", "joint", "place"),
    [
        ("halpe136", "right_face_0", 26),
        ("halpe136", "left_hand_0", 94),
        ("halpe136", "right_hand_0", 115),
        ("body135", "left_hand_1", 25),
        ("body135", "right_hand_1", 45),
        ("body135", "right_face_0", 65),
        ("body135", "left_pupil", 134),
    ],
)
def test_the_parts_of_whole_body_formats_begin_where_they_are_documented(
    name: str, joint: str, place: int
) -> None:
    assert skeleton_named(name).joints[place] == joint


@EVERY
def test_a_mirrored_person_gives_the_mirrored_joints(skeleton: Skeleton) -> None:
    keypoints = seen_keypoints(skeleton)
    swap = np.arange(len(skeleton.joints))
    for left, right in skeleton.pairs:
        swap[[left, right]] = right, left
    swap17 = np.arange(17)
    for left, right in PAIRS:
        swap17[[left, right]] = right, left
    mirror = np.array([-1, 1, 1], np.float32)
    mirrored = to_h36m17(keypoints[swap] * mirror, skeleton)
    np.testing.assert_allclose(
        mirrored, (to_h36m17(keypoints, skeleton) * mirror)[swap17], atol=1e-3
    )


@EVERY
def test_the_lines_of_a_figure_reach_every_keypoint_that_is_used(skeleton: Skeleton) -> None:
    used = {source for terms in skeleton.to_h36m for source, _ in terms}
    reached, todo = set(), [next(iter(used))]
    while todo:
        joint = todo.pop()
        if joint not in reached:
            reached.add(joint)
            todo += [b if a == joint else a for a, b in skeleton.edges if joint in (a, b)]
    assert not used - reached


@pytest.mark.parametrize("name", DOCUMENTED)
def test_limbs_are_where_the_format_documents_them(name: str) -> None:
    skeleton, joints = skeleton_named(name), ("RShoulder", "LWrist", "RHip", "LAnkle")
    *limbs, nose = DOCUMENTED[name]
    for joint, source in zip(joints, limbs, strict=True):
        assert skeleton.to_h36m[JOINTS.index(joint)] == ((source, 1.0),)
    assert skeleton.joints[nose] == "nose"


@pytest.mark.parametrize(
    ("name", "joint", "source"),
    [
        ("halpe26", "Head", 17),
        ("halpe26", "Thorax", 18),
        ("halpe26", "Hip", 19),
        ("halpe136", "Head", 17),
        ("halpe136", "Hip", 19),
        ("body135", "Thorax", 17),
        ("body135", "Head", 18),
        ("body25", "Thorax", 1),
        ("body25", "Hip", 8),
        ("body25b", "Thorax", 17),
        ("body25b", "Head", 18),
    ],
)
def test_a_format_with_its_own_trunk_point_is_taken_at_its_word(
    name: str, joint: str, source: int
) -> None:
    assert skeleton_named(name).to_h36m[JOINTS.index(joint)] == ((source, 1.0),)


def test_coco_puts_hip_spine_and_thorax_on_the_line_of_the_trunk() -> None:
    keypoints = seen_keypoints(skeleton_named("coco17"))
    hip, thorax = keypoints[[11, 12]].mean(0), keypoints[[5, 6]].mean(0)
    joints = to_h36m17(keypoints, skeleton_named("coco17"))
    np.testing.assert_allclose(joints[0, :2], hip[:2], rtol=1e-5)
    np.testing.assert_allclose(joints[8, :2], thorax[:2], rtol=1e-5)
    np.testing.assert_allclose(joints[7, :2], (0.52 * hip + 0.48 * thorax)[:2], rtol=1e-5)


@EVERY
@given(data=st.data())
def test_a_joint_is_missing_exactly_where_one_of_its_keypoints_is(
    skeleton: Skeleton, data: st.DataObject
) -> None:
    skeleton = Skeleton(
        name=skeleton.name,
        joints=skeleton.joints,
        edges=skeleton.edges,
        pairs=skeleton.pairs,
        to_h36m=skeleton.to_h36m,
    )
    keypoints = seen_keypoints(skeleton)
    numbers = st.sampled_from([(0.0, 0.0, 0.0), (5.0, 5.0, 0.0), (5.0, 5.0, -1.0)])
    broken = st.sampled_from([(np.nan, 5.0, 0.9), (5.0, np.inf, 0.9), (5.0, 5.0, np.nan)])
    lost = data.draw(st.dictionaries(st.integers(0, len(keypoints) - 1), numbers | broken))
    for keypoint, value in lost.items():
        keypoints[keypoint] = value
    joints = to_h36m17(keypoints, skeleton)
    assert np.isfinite(joints).all()
    for joint, terms in enumerate(skeleton.to_h36m):
        sources = [source for source, _ in terms]
        if lost.keys() & set(sources):
            assert (joints[joint] == 0).all()
        else:
            assert joints[joint, 2] == keypoints[sources, 2].min()
            expected = sum(weight * keypoints[source, :2] for source, weight in terms)
            np.testing.assert_allclose(joints[joint, :2], expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["coco17", "body25", "openpose18", "blazepose33", "coco133"])
def test_one_ear_stands_in_for_the_other_and_two_lost_ears_lose_the_head(name: str) -> None:
    skeleton = skeleton_named(name)
    left, right = skeleton.joints.index("left_ear"), skeleton.joints.index("right_ear")
    keypoints = np.stack([seen_keypoints(skeleton)] * 4)
    keypoints[1, left] = 0
    keypoints[2, right] = np.nan
    keypoints[3, [left, right]] = 0
    together = seen_keypoints(skeleton)
    together[left] = together[right]
    joints = to_h36m17(keypoints, skeleton)
    np.testing.assert_array_equal(joints[1], to_h36m17(together, skeleton))
    assert joints[2, 10, 2] > 0
    assert joints[3, 10, 2] == joints[3, 9, 2] == 0
    np.testing.assert_array_equal(joints[3, :9], joints[0, :9])


def test_frames_and_people_are_converted_as_if_alone() -> None:
    skeleton = skeleton_named("halpe26")
    keypoints = seen_keypoints(skeleton, 3, 2)
    keypoints[1, 0, 4] = keypoints[2, 1, 17] = 0
    joints = to_h36m17(keypoints, skeleton)
    assert joints.shape == (3, 2, 17, 3)
    assert joints.dtype == np.float32
    for frame in range(3):
        for person in range(2):
            alone = to_h36m17(keypoints[frame, person], skeleton)
            np.testing.assert_array_equal(joints[frame, person], alone)
    assert to_h36m17(np.zeros((0, 26, 3), np.float32), skeleton).shape == (0, 17, 3)


def test_the_input_is_left_as_it_was() -> None:
    skeleton = skeleton_named("coco17")
    keypoints = seen_keypoints(skeleton)
    keypoints[3] = np.nan
    before = keypoints.copy()
    to_h36m17(keypoints, skeleton)
    np.testing.assert_array_equal(keypoints, before)


def test_h36m17_is_the_identity() -> None:
    keypoints = seen_keypoints(skeleton_named("h36m17"), 2)
    np.testing.assert_array_equal(to_h36m17(keypoints, skeleton_named("h36m17")), keypoints)


def test_real_keypoints_land_where_the_triangulated_joints_are_seen() -> None:
    clip = read_clip(CAM04_CLIP)
    assert clip.pose3d is not None
    assert clip.intrinsics is not None
    joints = to_h36m17(clip.keypoints[:, 0], clip.skeleton)
    seen_px = ray_to_pixel(clip.pose3d[..., :2] / clip.pose3d[..., 2:], clip.intrinsics)
    distance_px = np.linalg.norm(joints[..., :2] - seen_px, axis=-1)
    stature_px = 1.79 * clip.intrinsics.fx_px / clip.pose3d[:, 0, 2].mean()
    share = np.median(distance_px, axis=0)[list(clip.joints or ())] / stature_px
    assert share.max() < 0.035


@pytest.mark.parametrize("camera", ["cam01", "cam04"])
def test_a_head_from_ears_is_near_the_head_that_was_detected(camera: str) -> None:
    clip = read_clip(DEMO_CLIP if camera == "cam01" else CAM04_CLIP)
    detected = to_h36m17(clip.keypoints[:, 0], clip.skeleton)[:, 10, :2]
    from_ears = to_h36m17(clip.keypoints[:, 0, :17], skeleton_named("coco17"))[:, 10, :2]
    neck_px = np.median(np.linalg.norm(detected - clip.keypoints[:, 0, 17, :2], axis=-1))
    distance_px = np.median(np.linalg.norm(detected - from_ears, axis=-1))
    assert distance_px < {"cam01": 0.4, "cam04": 0.12}[camera] * neck_px


def test_an_unknown_format_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r'"coco71" is not known; use one of: .*coco17.*h36m17'):
        skeleton_named("coco71")


def test_a_number_of_keypoints_means_its_usual_format() -> None:
    names = {count: skeleton_of_size(count).name for count in (17, 18, 25, 26, 33, 133, 135, 136)}
    assert names == {
        17: "coco17",
        18: "openpose18",
        25: "body25",
        26: "halpe26",
        33: "blazepose33",
        133: "coco133",
        135: "body135",
        136: "halpe136",
    }
    with pytest.raises(ConfigError, match="no keypoint format has 21 keypoints; known are 17"):
        skeleton_of_size(21)


def test_the_reference_body_has_the_reference_stature() -> None:
    assert stature_m(REFERENCE_BONES_M) == pytest.approx(REFERENCE_STATURE_M)
    assert stature_m(REFERENCE_BONES_M * 1.1) == pytest.approx(REFERENCE_STATURE_M * 1.1)


def test_bone_lengths_are_those_a_pose_was_built_with() -> None:
    pose = np.zeros((17, 3))
    rng = np.random.default_rng(1)
    for (parent, joint), length in zip(BONES, REFERENCE_BONES_M, strict=True):
        direction = rng.normal(size=3)
        pose[joint] = pose[parent] + length * direction / np.linalg.norm(direction)
    np.testing.assert_allclose(bone_lengths(pose), REFERENCE_BONES_M, rtol=1e-6)
