"""Match the detections of every camera to the people who are already known in space.

A person is predicted, seen with every camera, and compared with its detections in body heights;
each camera is assigned as a whole. Who matches nobody is left to `birth.py`.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.detections import Detections
from langpose_rt.fusion.joint_layout import JointLayout
from langpose_rt.geometry.skeleton import FLIP_INDICES, REFERENCE_STATURE_M

REFUSED = 1e6
"""Cost of a match that must not be made."""

GATE = 0.25
"""A detection farther from a person's prediction than this, in body heights, is somebody else."""

GUESS_GATE = 0.12
"""Likewise in a camera that has not seen the person lately, where their depth is a guess."""

GATE_PER_S = 0.4
"""Growth of the gate per second that the person was out of sight."""

WIDEST_GATE = 0.45

_CAP = 0.4
_LEAST_JOINTS = 3
_BOTH_ORDERS = np.stack([np.arange(17), FLIP_INDICES])


def match_cost(
    joints17_world: Float[np.ndarray, "person 17 3"],
    detections: Detections,
    cameras: CameraArray,
    layout: JointLayout,
) -> Float[np.ndarray, "person detection"]:
    """Return the mean distance between predicted and detected joints, in body heights.

    Distances are capped, so that one wild joint does not cost a match. A detection that has left
    and right exchanged costs as much as one that has not.
    """
    people = len(joints17_world)
    if not people or not len(detections):
        return np.full((people, len(detections)), REFUSED)
    rays, depth = cameras.project(joints17_world)
    expected = rays[detections.camera][:, None]
    unit = depth[detections.camera][:, None] / REFERENCE_STATURE_M
    orders = layout.h36m[_BOTH_ORDERS]
    away = expected - detections.rays[:, orders][:, :, None]
    cost = _mean(away, unit, detections.scores[:, orders])
    return np.asarray(cost.min(1).T)


def _mean(
    away: Float[np.ndarray, "detection order person 17 2"],
    unit: Float[np.ndarray, "detection 1 person 17"],
    scores: Float[np.ndarray, "detection order 17"],
) -> Float[np.ndarray, "detection order person"]:
    x, y = away[..., 0], away[..., 1]
    distance = np.sqrt(x * x + y * y) * unit
    weight = scores[:, :, None] * np.isfinite(distance)
    total = weight.sum(-1)
    mean = np.einsum("...j,...j->...", np.fmin(distance, _CAP), weight) / np.maximum(total, 1e-9)
    enough = ((weight > 0).sum(-1) >= _LEAST_JOINTS) & (total > 0)
    return np.asarray(np.where(enough, mean, REFUSED))


def gates(age_s: Float[np.ndarray, " person"]) -> Float[np.ndarray, " person"]:
    """Return the largest cost of a match, by how long ago each person was last seen."""
    return np.asarray(np.minimum(GATE + GATE_PER_S * age_s, WIDEST_GATE))


def assign(
    cost: Float[np.ndarray, "person detection"],
    camera: Int[np.ndarray, " detection"],
    cameras: int,
) -> Int[np.ndarray, "person camera"]:
    """Give every person at most one detection of each camera so that the costs are least.

    Args:
        cost: REFUSED or more where a match must not be made.
        camera: Camera of every detection, in rising order.
        cameras: How many cameras there are.

    Returns:
        Index of the detection; -1 for none.
    """
    chosen = np.full((len(cost), cameras), -1, np.intp)
    if not cost.size:
        return chosen
    ends = np.searchsorted(camera, np.arange(cameras + 1))
    for index in range(cameras):
        start, end = ends[index], ends[index + 1]
        if start == end:
            continue
        own = cost[:, start:end]
        person, detection = linear_sum_assignment(own)
        good = own[person, detection] < REFUSED
        chosen[person[good], index] = start + detection[good]
    return chosen


def refuse(
    cost: Float[np.ndarray, "person detection"],
    gate: Float[np.ndarray, "person camera"],
    camera: Int[np.ndarray, " detection"],
) -> Float[np.ndarray, "person detection"]:
    """Return the costs with REFUSED beyond the gate of the person in that camera."""
    return np.where(cost <= gate[:, camera], cost, REFUSED)
