"""The estimate of gravity: standing people of a level scene before a tilted camera."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.level_estimate import (
    ENOUGH_S,
    PERIOD_S,
    LevelEstimate,
    upright_directions,
)
from langpose_rt.geometry.skeleton import JOINTS
from tests.fakes import MS
from tests.geometry.test_segment_rotations import T_POSE

STANDING = T_POSE * [1, -1, -1]
"""Camera axes of a level camera."""
ALL = np.ones((1, 17), bool)


def tilted(pitch_deg: float, roll_deg: float = 0.0) -> np.ndarray:
    return np.asarray(Rotation.from_euler("xz", [pitch_deg, roll_deg], degrees=True).as_matrix())


def swaying(frames: int, turn: np.ndarray, seed: int = 0) -> np.ndarray:
    """A person who leans a few degrees this way and that, and turns round, before a camera."""
    rng = np.random.default_rng(seed)
    leans = Rotation.from_euler(
        "xzy", np.stack([*rng.normal(0, 5, (2, frames)), 2.0 * np.arange(frames)], 1), degrees=True
    ).as_matrix()
    return np.asarray(STANDING @ np.swapaxes(turn @ leans, 1, 2))


def seen_for(estimate: LevelEstimate, poses: np.ndarray, first: int = 0) -> None:
    """One look a period."""
    step_ns = round(PERIOD_S * 1000) * MS
    for index, pose in enumerate(poses):
        estimate.look(pose[None], ALL, (first + index) * step_ns)


def apart_deg(a: object, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(np.asarray(a) @ b, -1, 1))))


@pytest.mark.parametrize(("pitch_deg", "roll_deg"), [(0, 0), (22, 0), (-15, 8), (50, -20)])
def test_people_who_stand_about_tell_how_a_camera_is_tilted(
    pitch_deg: float, roll_deg: float
) -> None:
    turn, estimate = tilted(pitch_deg, roll_deg), LevelEstimate()
    seen_for(estimate, swaying(300, turn))
    assert estimate.gravity is not None
    assert apart_deg(estimate.gravity, turn @ [0.0, 1.0, 0.0]) < 2.0


def test_there_is_no_estimate_before_enough_was_seen() -> None:
    estimate, poses = LevelEstimate(), swaying(200, tilted(20))
    looks = round(ENOUGH_S / PERIOD_S)
    seen_for(estimate, poses[: looks - 2])
    assert estimate.gravity is None
    seen_for(estimate, poses[: looks - 2], first=looks)
    assert estimate.gravity is not None


def test_frames_between_two_looks_cost_and_change_nothing() -> None:
    fast, slow = LevelEstimate(), LevelEstimate()
    poses = swaying(100, tilted(10))
    seen_for(slow, poses)
    for index, pose in enumerate(poses):
        for part in range(10):
            other = pose if part == 0 else pose[::-1]
            fast.look(other[None], ALL, index * 200 * MS + part * 20 * MS)
    assert fast.gravity == slow.gravity


def test_who_sits_bends_or_is_half_hidden_tells_nothing() -> None:
    sitting, bent = STANDING.copy(), STANDING.copy()
    for side in "LR":
        knee, ankle = JOINTS.index(f"{side}Knee"), JOINTS.index(f"{side}Ankle")
        sitting[knee] = sitting[JOINTS.index(f"{side}Hip")] + [0, 0, -0.4]
        sitting[ankle] = sitting[knee] + [0, 0.4, 0]
    turn = Rotation.from_euler("x", 60, degrees=True).as_matrix()
    upper = [JOINTS.index(name) for name in ("Spine", "Thorax", "Nose", "Head")]
    bent[upper] = bent[0] + (bent[upper] - bent[0]) @ turn.T
    hidden = ALL.copy()
    hidden[0, JOINTS.index("LAnkle")] = False
    for pose, seen in ((sitting, ALL), (bent, ALL), (STANDING, hidden)):
        assert len(upright_directions(pose[None], seen)) == 0
    assert len(upright_directions(STANDING[None], ALL)) == 1


def test_people_who_contradict_each_other_give_no_estimate() -> None:
    estimate, turns = LevelEstimate(), [tilted(40), tilted(-40)]
    seen_for(estimate, np.stack([STANDING @ turns[n % 2].T for n in range(200)]))
    assert estimate.gravity is None


def test_a_camera_that_is_moved_is_followed_within_minutes() -> None:
    estimate = LevelEstimate()
    seen_for(estimate, swaying(600, tilted(5)))
    seen_for(estimate, swaying(6000, tilted(15)), first=600)
    assert estimate.gravity is not None
    assert apart_deg(estimate.gravity, tilted(15) @ [0.0, 1.0, 0.0]) < 2.0


def test_a_new_epoch_goes_on_with_what_is_known() -> None:
    estimate, poses = LevelEstimate(), swaying(40, tilted(12))
    for _ in range(3):  # a clip of 8 s, again and again
        seen_for(estimate, poses)
    assert estimate.gravity is not None


def test_upright_moments_of_a_real_clip_show_its_gravity() -> None:
    clip = read_clip(DEMO_CLIP)
    assert clip.pose3d is not None
    assert clip.gravity is not None
    seen = np.ones((len(clip.pose3d), 17), bool)
    found = upright_directions(np.nan_to_num(clip.pose3d), seen)
    assert len(found) > 5
    assert apart_deg(-found.mean(0) / np.linalg.norm(found.mean(0)), clip.gravity) < 3
    assert apart_deg([0.0, 1.0, 0.0], clip.gravity) > 20, "the camera is tilted"
