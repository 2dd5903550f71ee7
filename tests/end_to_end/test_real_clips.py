"""The default weights on real detections of a real person, seen by two calibrated cameras.

Nothing was trained on these clips and no weights were chosen by them; they are one person and one
action, and their 3D is 20 to 30 mm uncertain.
"""

from pathlib import Path

import numpy as np
import pytest

from langpose_rt.cli.commands.evaluate import first_person
from langpose_rt.evaluation.clip_scores import Scores, scores_of_poses
from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.readers import read_clip
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.offline import lift_clip
from langpose_rt.runtime.registry import open_backend

CLIPS = (DEMO_CLIP, Path(__file__).parents[1] / "data" / "pose2sim_balancing_cam04.npz")


@pytest.fixture(scope="module")
def scores() -> list[Scores]:
    found = []
    for path in CLIPS:
        clip = first_person(read_clip(path))
        lifted = lift_clip(clip, open_backend(), PipelineConfig())
        found.append(scores_of_poses(lifted.pose[:, 0], clip))
    return found


def test_the_mean_p_mpjpe_is_under_80_mm(scores: list[Scores]) -> None:
    assert np.mean([one.p_mpjpe_mm for one in scores]) <= 80


def test_each_is_15_percent_under_the_best_pose_that_never_moves(scores: list[Scores]) -> None:
    for one in scores:
        assert one.p_mpjpe_mm <= 0.85 * one.constant_p_mpjpe_mm


def test_the_motion_is_there(scores: list[Scores]) -> None:
    for one in scores:
        assert one.velocity_error_mm_s < one.still_velocity_error_mm_s
