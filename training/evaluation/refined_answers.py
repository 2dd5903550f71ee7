"""Answers moved towards the 2D they were lifted from, by the refiner that serves live."""

from dataclasses import replace

import numpy as np

from langpose_rt.config import RayRefinement
from langpose_rt.geometry.camera import root_from_pose
from langpose_rt.geometry.ray_refinement import RayRefiner
from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M
from training.evaluation.scores import Answer
from training.synthesis.batches import Footage

DETECTOR_SIGMA_M = 0.03
"""As in the live pipeline: what a detector adds to the doubt of every joint."""


def refine_answer(footage: Footage, answer: Answer, parameters: RayRefinement) -> Answer:
    """Refine the answers of one clip, frame after frame.

    Args:
        footage: One clip.
        answer: With sigma.
        parameters: How much the 2D is trusted.
    """
    if answer.sigma is None:
        return answer
    scale = np.float32(footage.stature_m[0] / REFERENCE_STATURE_M)
    refiner, slot = RayRefiner(1), np.array([0])
    root_m, poses = np.full((1, 3), np.nan, np.float32), []
    for row, frame in enumerate(answer.frames):
        pose_m = answer.pose_camera[row][None] * scale
        sigma_m = answer.sigma[row][None] * scale
        rays, scores = footage.rays[:, frame], footage.scores[:, frame]
        weights = scores / (sigma_m**2 + DETECTOR_SIGMA_M**2)
        root_m = root_from_pose(pose_m, rays, weights, root_m)
        pose_m, _ = refiner.step(
            slot,
            pose_m,
            root_m,
            rays=rays,
            scores=scores,
            sigma_m=sigma_m,
            time_ns=footage.time_ns[:, frame],
            parameters=parameters,
        )
        poses.append(pose_m[0] / scale)
    return replace(answer, pose_camera=np.stack(poses))
