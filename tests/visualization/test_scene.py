import numpy as np
import pytest

from langpose_rt.visualization.scene import FARTHEST_M, REACH_M, is_drawable
from tests.visualization.people import person, standing

FAR = np.float32(3e38)


def test_joints_stand_where_the_hip_is() -> None:
    np.testing.assert_allclose(person().joints_camera, standing() + np.array([0, 0, 4]), atol=1e-6)


def test_an_unknown_hip_is_the_origin() -> None:
    np.testing.assert_allclose(person(root_camera=None).joints_camera, standing(), atol=1e-6)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, FAR, REACH_M + 0.1])
def test_a_joint_out_of_reach_is_missing_and_the_others_are_not(wrong: float) -> None:
    pose = standing()
    pose[13, 1] = wrong
    drawable = is_drawable(person(pose_camera=pose).joints_camera)
    assert drawable.sum() == 16
    assert not drawable[13]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, FAR, FARTHEST_M + 1])
def test_somebody_out_of_the_world_is_missing(wrong: float) -> None:
    somebody = person(root_camera=np.array([0, 0, wrong], np.float32), truth_camera=standing())
    assert not is_drawable(somebody.joints_camera).any()
    assert not is_drawable(somebody.truth_in_place).any()


def test_the_truth_is_drawn_hip_on_hip() -> None:
    truth = standing() + np.array([5, -3, 20], np.float32)
    np.testing.assert_allclose(
        person(truth_camera=truth).truth_in_place, person().joints_camera, atol=1e-5
    )


def test_without_a_truth_nothing_of_it_is_drawable() -> None:
    assert not is_drawable(person().truth_in_place).any()


def test_the_track_ends_in_the_present() -> None:
    past = (standing() + np.arange(3)[:, None, None] * 0.1 + 0.5).astype(np.float32)
    past[1, 4] = FAR
    track = person(past_camera=past, root_camera=np.ones(3, np.float32)).track_camera
    assert track.shape == (4, 17, 3)
    np.testing.assert_allclose(track[-1], standing() + 1, atol=1e-6)
    np.testing.assert_allclose(track[2], past[2], atol=1e-6)
    assert np.flatnonzero(~is_drawable(track[1])).tolist() == [4]
