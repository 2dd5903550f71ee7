"""Scores of poses against a clip; the metrics are tested in test_metrics.py."""

import math

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.evaluation.clip_scores import scores_of_poses
from langpose_rt.formats.clip import Clip
from tests.commands import part_of_demo_clip


def true_poses(clip: Clip) -> np.ndarray:
    """The truth as if it had been lifted; joints nobody knows are somewhere."""
    assert clip.pose3d is not None
    return np.nan_to_num(clip.pose3d)


def test_the_truth_has_no_error_and_all_the_jitter_of_the_truth() -> None:
    clip = part_of_demo_clip(30)
    scores = scores_of_poses(true_poses(clip), clip)
    assert scores.mpjpe_mm == scores.velocity_error_mm_s == 0
    assert scores.jitter_mm == scores.true_jitter_mm > 0
    assert scores.pck_150mm == 1
    assert scores.constant_p_mpjpe_mm <= scores.constant_mpjpe_mm


def test_frames_without_a_pose_do_not_count() -> None:
    clip = part_of_demo_clip(30)
    poses = true_poses(clip)
    poses[::3] = np.nan
    scores = scores_of_poses(poses, clip)
    assert scores.frames == 20
    assert scores.mpjpe_mm == 0


def test_a_clip_without_3d_and_poses_that_never_come_are_refused() -> None:
    clip = part_of_demo_clip(4)
    with pytest.raises(ConfigError, match="no frame has both"):
        scores_of_poses(np.full((4, 17, 3), np.nan), clip)
    with pytest.raises(ConfigError, match='found no "pose3d"'):
        scores_of_poses(np.zeros((4, 17, 3)), part_of_demo_clip(4, pose3d=None))


def test_what_cannot_be_said_is_none() -> None:
    clip = part_of_demo_clip(1)
    scores = scores_of_poses(true_poses(clip), clip)
    assert math.isnan(scores.velocity_error_mm_s)
    assert scores.to_dict()["velocity_error_mm_s"] is None
    assert scores.to_dict()["mpjpe_mm"] == 0
