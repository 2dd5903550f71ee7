import numpy as np

from langpose_rt.fusion.association import (
    GATE,
    REFUSED,
    WIDEST_GATE,
    assign,
    gates,
    match_cost,
    refuse,
)
from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.geometry.skeleton import FLIP_INDICES
from tests.fusion.rigs import LAYOUT, body, detections_of, ring

CAMERAS = CameraArray.of_cameras(ring(3))


def test_a_person_costs_nothing_where_they_are_and_a_lot_elsewhere() -> None:
    people = [body(-0.6), body(0.6)]
    detections = detections_of(CAMERAS, people, [[0, 1], [1, 0], [0]])
    cost = match_cost(np.stack(people), detections, CAMERAS, LAYOUT)
    own = np.array([[0, 1, 1, 0, 0]]).repeat(2, 0) == np.arange(2)[:, None]
    assert cost[own].max() < 1e-6
    assert cost[~own].min() > 0.15


def test_exchanged_sides_cost_nothing() -> None:
    detections = detections_of(CAMERAS, [body()], [[0], [0], [0]])
    detections.rays[1] = detections.rays[1][FLIP_INDICES]
    assert match_cost(body()[None], detections, CAMERAS, LAYOUT).max() < 1e-6


def test_one_wild_joint_does_not_cost_the_match() -> None:
    detections = detections_of(CAMERAS, [body()], [[0], [0], [0]])
    detections.rays[0, 16] += 5.0
    assert match_cost(body()[None], detections, CAMERAS, LAYOUT)[0, 0] < GATE


def test_unknown_joints_do_not_count_and_too_few_joints_match_nobody() -> None:
    detections = detections_of(CAMERAS, [body()], [[0], [0], [0]])
    known = body()
    known[3:] = np.nan
    assert match_cost(known[None], detections, CAMERAS, LAYOUT)[0, 0] < 1e-6
    known[2:] = np.nan
    assert match_cost(known[None], detections, CAMERAS, LAYOUT)[0, 0] == REFUSED


def test_every_camera_is_assigned_as_a_whole() -> None:
    cost = np.array([[0.10, 0.12, 0.3], [0.11, 0.30, 0.1]])
    camera = np.array([0, 0, 2])
    assert assign(cost, camera, 3).tolist() == [[1, -1, -1], [0, -1, 2]]


def test_nobody_is_matched_beyond_the_gate() -> None:
    cost = np.array([[0.1, 0.3]])
    refused = refuse(cost, np.array([[0.2, 0.2]]), np.array([0, 1]))
    assert assign(refused, np.array([0, 1]), 2).tolist() == [[0, -1]]


def test_the_gate_opens_with_time_out_of_sight_up_to_a_limit() -> None:
    now, later, much_later = gates(np.array([0.0, 0.2, 60.0])).tolist()
    assert now == GATE < later < much_later == WIDEST_GATE


def test_nobody_and_nothing_are_no_error() -> None:
    nothing = detections_of(CAMERAS, [body()], [[], [], []])
    assert match_cost(body()[None], nothing, CAMERAS, LAYOUT).shape == (1, 0)
    assert assign(np.empty((0, 2)), np.array([0, 1]), 2).shape == (0, 2)
