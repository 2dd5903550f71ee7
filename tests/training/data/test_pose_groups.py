"""Groups of poses, on poses made by hand."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from training.data.pose_groups import (
    ACTION_WORDS,
    GROUP_WEIGHTS,
    groups_of_description,
    pose_groups,
)

LEGS, ARMS = ((1, 2, 3), (4, 5, 6)), ((14, 15, 16), (11, 12, 13))


def groups_of(pose: np.ndarray) -> set[str]:
    return {name for name, inside in pose_groups(pose[None]).items() if inside[0]}


def bent(pose: np.ndarray, pivot: int, joints: tuple[int, ...], degrees: float) -> np.ndarray:
    """Turn joints about one of them; the person faces +x, so that positive angles bend forward."""
    turn = Rotation.from_euler("y", degrees, degrees=True).as_matrix()
    result = pose.copy()
    result[list(joints)] = pose[pivot] + (pose[list(joints)] - pose[pivot]) @ turn.T
    return result


def seated(pose: np.ndarray) -> np.ndarray:
    for hip, knee, ankle in LEGS:
        pose = bent(pose, hip, (knee, ankle), -85)
        pose = bent(pose, knee, (ankle,), 85)
    return pose


def test_a_standing_person_is_in_no_group(standing_pose: np.ndarray) -> None:
    assert groups_of(standing_pose) == set()


def test_thighs_out_make_a_seat(standing_pose: np.ndarray) -> None:
    assert groups_of(seated(standing_pose)) == {"seated"}


def test_shins_on_the_floor_make_a_kneeling_person(standing_pose: np.ndarray) -> None:
    pose = standing_pose
    for _, knee, ankle in LEGS:
        pose = bent(pose, knee, (ankle,), 88)
    assert groups_of(pose) == {"kneeling"}


def test_a_person_on_the_back_lies(standing_pose: np.ndarray) -> None:
    assert groups_of(bent(standing_pose, 0, tuple(range(17)), -90)) == {"lying"}


def test_hands_and_feet_on_the_floor_are_all_fours(standing_pose: np.ndarray) -> None:
    upper = (7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
    pose = bent(standing_pose, 0, upper, 100)
    for shoulder, elbow, wrist in ARMS:
        pose = bent(pose, shoulder, (elbow, wrist), -100)
    for _, knee, ankle in LEGS:
        pose = bent(pose, knee, (ankle,), 88)
    assert "all fours" in groups_of(pose)
    assert "lying" not in groups_of(pose)


@pytest.mark.parametrize(("degrees", "group"), [(-85, "arm in depth"), (-175, "overhead")])
def test_an_arm_that_reaches(standing_pose: np.ndarray, degrees: float, group: str) -> None:
    pose = standing_pose
    for elbow in (12, 15):
        pose = bent(pose, elbow - 1, (elbow, elbow + 1), degrees)
    assert groups_of(pose) == {group}


def test_a_bow_is_bent(standing_pose: np.ndarray) -> None:
    assert groups_of(bent(standing_pose, 0, (7, 8, 9, 10, 11, 14, 12, 13, 15, 16), 50)) >= {"bent"}


def test_groups_do_not_depend_on_heading_or_place(standing_pose: np.ndarray) -> None:
    turn = Rotation.from_euler("z", 70, degrees=True).as_matrix()
    moved = seated(standing_pose) @ turn.T + [3.0, -2.0, 0.4]
    assert groups_of(moved) == {"seated"}


def test_descriptions_name_what_poses_do_not_show() -> None:
    assert groups_of_description("Boxing, then a kick") == ("boxing",)
    assert groups_of_description("playground - climb, hang") == ("climbing",)
    assert groups_of_description("walk") == ()
    assert set(ACTION_WORDS) < set(GROUP_WEIGHTS)
