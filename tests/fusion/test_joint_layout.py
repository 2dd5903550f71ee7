import numpy as np
import pytest

from langpose_rt.fusion.joint_layout import JointLayout
from langpose_rt.geometry.skeleton import JOINTS, SKELETONS, to_h36m17


@pytest.mark.parametrize("name", sorted(SKELETONS))
def test_every_one_of_the_17_joints_has_a_place_of_its_own(name: str) -> None:
    layout = JointLayout.of_skeleton(SKELETONS[name])
    assert len(set(layout.h36m.tolist())) == 17
    assert len(layout.names) == len(SKELETONS[name].joints) + len(layout.derived)
    assert [layout.names[place] for place in layout.h36m[layout.derived]] == [
        JOINTS[joint] for joint in layout.derived
    ]


def test_joints_from_keypoints_are_those_of_the_single_camera_path() -> None:
    skeleton = SKELETONS["coco17"]
    layout = JointLayout.of_skeleton(skeleton)
    keypoints = np.random.default_rng(0).uniform(1, 100, (3, 17, 3))
    joints = layout.joints_from_keypoints(keypoints)
    np.testing.assert_allclose(joints[:, layout.h36m], to_h36m17(keypoints, skeleton), rtol=1e-5)


def test_a_derived_joint_is_missing_where_one_of_its_keypoints_is() -> None:
    layout = JointLayout.of_skeleton(SKELETONS["coco17"])
    keypoints = np.ones((1, 17, 3))
    keypoints[0, SKELETONS["coco17"].joints.index("left_ear"), 2] = 0
    joints = layout.joints_from_keypoints(keypoints)
    assert joints[0, layout.h36m[JOINTS.index("Head")], 2] == 0
    assert joints[0, layout.h36m[JOINTS.index("Hip")], 2] == 1


def test_derived_joints_are_combined_in_space_from_what_two_views_saw() -> None:
    layout = JointLayout.of_skeleton(SKELETONS["coco17"])
    joints = np.random.default_rng(1).normal(size=(2, len(layout.names), 3))
    before = joints.copy()
    covariance = np.tile(np.eye(3), (2, len(layout.names), 1, 1))
    several = np.ones((2, len(layout.names)))
    several[1, SKELETONS["coco17"].joints.index("right_hip")] = 0
    layout.combine_derived(joints, covariance, several)
    hip = layout.h36m[0]
    left, right = (SKELETONS["coco17"].joints.index(f"{side}_hip") for side in ("left", "right"))
    np.testing.assert_allclose(joints[0, hip], 0.5 * (before[0, left] + before[0, right]))
    np.testing.assert_allclose(covariance[0, hip], 0.5 * np.eye(3))
    np.testing.assert_array_equal(joints[1, hip], before[1, hip])


def test_mirroring_twice_changes_nothing() -> None:
    layout = JointLayout.of_skeleton(SKELETONS["body25b"])
    order = layout.mirrored
    np.testing.assert_array_equal(order[order], np.arange(len(order)))
    assert order[layout.h36m[JOINTS.index("LKnee")]] == layout.h36m[JOINTS.index("RKnee")]
