"""Clips: valid joints, present persons, and the reader of a path."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import (
    DEMO_CLIP,
    Clip,
    ClipOverrides,
    keypoints_normalised,
    size_from_text,
    times_from_fps,
)
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.skeleton import skeleton_named

CAM04_CLIP = Path(__file__).parents[1] / "data" / "pose2sim_balancing_cam04.npz"


def clip_of(keypoints: np.ndarray, **known: object) -> Clip:
    frames, persons = keypoints.shape[:2]
    return Clip(
        keypoints=keypoints,
        skeleton=skeleton_named("coco17"),
        size=(640, 480),
        t_ns=np.arange(frames),
        ids=np.zeros((frames, persons), np.int64),
        **known,  # type: ignore[arg-type]
    )


@given(
    keypoints=arrays(np.float64, (2, 3, 3), elements=st.floats()),
)
def test_a_missing_keypoint_becomes_zero_and_another_stays(keypoints: np.ndarray) -> None:
    normalised = keypoints_normalised(keypoints)
    assert normalised.dtype == np.float32
    assert np.isfinite(normalised).all()
    with np.errstate(over="ignore"):
        single = keypoints.astype(np.float32)
    for before, after in zip(single.reshape(-1, 3), normalised.reshape(-1, 3), strict=True):
        seen = np.isfinite(before).all() and before[2] > 0 and before[:2].any()
        np.testing.assert_array_equal(after, before if seen else 0)


def test_a_person_is_present_with_one_keypoint() -> None:
    keypoints = np.zeros((2, 2, 17, 3), np.float32)
    keypoints[1, 0, 5] = 10, 20, 0.5
    assert clip_of(keypoints).present.tolist() == [[False, False], [True, False]]


def test_what_counts_is_all_that_was_said_taken_together() -> None:
    keypoints = np.zeros((3, 1, 17, 3), np.float32)
    valid_joints = np.ones((3, 17), bool)
    valid_joints[2, 4] = False
    valid = np.array([True, False, True])
    assert clip_of(keypoints).counted.all()
    clip = clip_of(keypoints, valid=valid, valid_joints=valid_joints, joints=(4, 7))
    expected = np.zeros((3, 17), bool)
    expected[0, [4, 7]] = expected[2, 7] = True
    np.testing.assert_array_equal(clip.counted, expected)


def test_times_follow_the_frame_numbers() -> None:
    assert times_from_fps(np.array([7, 8, 10]), 50.0).tolist() == [0, 20_000_000, 60_000_000]
    assert times_from_fps(np.arange(3), 60.0).tolist() == [0, 16_666_667, 33_333_333]
    week = times_from_fps(np.array([0, 7 * 24 * 3600 * 60]), 60.0)
    assert week[1] == 7 * 24 * 3600 * 10**9


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ({"fps": 0.0}, "found 0 frames per second; expected 1 to 1000"),
        ({"fps": float("nan")}, "found nan frames per second; expected 1 to 1000"),
        ({"size": (0, 100)}, "found an image of 0 x 100; expected pixels"),
        ({"size": (10, 10**6)}, "found an image of 10 x 1000000; expected pixels"),
    ],
)
def test_impossible_options_are_refused(known: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        ClipOverrides(**known)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", [DEMO_CLIP, CAM04_CLIP], ids=["demo", "cam04"])
def test_the_clips_that_ship_are_whole(path: Path) -> None:
    clip = read_clip(path)
    assert clip.keypoints.shape == (100, 1, 25, 3)
    assert clip.skeleton.name == "body25b"
    assert clip.size == (1088, 1920)
    assert clip.present.all()
    np.testing.assert_allclose(np.diff(clip.t_ns), 1e9 / 60, atol=1)
    assert clip.intrinsics is not None
    assert not clip.intrinsics.assumed
    assert clip.gravity is not None
    assert clip.pose3d is not None
    assert np.isfinite(clip.pose3d[clip.counted]).all()
    assert clip.joints == tuple(joint for joint in range(17) if joint != 9)
    assert clip.counted.sum() == 1600
    assert path.stat().st_size < 200_000
    assert (path.parent / "LICENSE").read_text().startswith("BSD 3-Clause License")


@pytest.mark.parametrize("path", [DEMO_CLIP, CAM04_CLIP], ids=["demo", "cam04"])
def test_gravity_points_from_head_to_feet_in_the_clips_that_ship(path: Path) -> None:
    clip = read_clip(path)
    assert clip.pose3d is not None
    assert clip.gravity is not None
    down = clip.pose3d[:, [3, 6]].mean((0, 1)) - clip.pose3d[:, 8].mean(0)
    assert down @ clip.gravity / np.linalg.norm(down) > 0.95


def test_sizes_are_read_as_people_write_them() -> None:
    assert size_from_text("1920X1080") == (1920, 1080)
    for wrong in ("big", "1920", "axb"):
        with pytest.raises(ConfigError, match="expected WIDTHxHEIGHT"):
            size_from_text(wrong)
    with pytest.raises(ConfigError, match="--size: found an image of 0 x 4"):
        size_from_text("0x4")
