import numpy as np

from langpose_rt.fusion.birth import find_people
from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.detections import Detections
from langpose_rt.geometry.skeleton import FLIP_INDICES
from tests.fusion.rigs import LAYOUT, body, detections_of, ring

CAMERAS = CameraArray.of_cameras(ring(4))
AWAKE = np.ones(4, bool)


def groups_of(detections: Detections) -> list[set[int]]:
    free = np.arange(len(detections))
    return [set(g.members) for g in find_people(detections, free, CAMERAS, LAYOUT, AWAKE)]


def test_everybody_is_found_from_nothing() -> None:
    people = [body(-0.8, 0.3), body(0.7, 0.5, turned=1.0), body(0.1, -0.9, turned=2.0)]
    detections = detections_of(CAMERAS, people, [[0, 1, 2], [2, 0, 1], [1, 2], [0, 2, 1]])
    found = find_people(detections, np.arange(11), CAMERAS, LAYOUT, AWAKE)
    assert {frozenset(g.members) for g in found} == {
        frozenset({0, 4, 8}), frozenset({1, 5, 6, 10}), frozenset({2, 3, 7, 9}),
    }  # fmt: skip
    for group in found:
        away = [np.nanmax(np.linalg.norm(group.joints17 - joints, axis=-1)) for joints in people]
        assert min(away) < 0.01
        assert not group.doubtful


def test_two_people_in_one_camera_each_are_not_one_person() -> None:
    people = [body(-0.8, 0.3), body(0.7, -0.9, turned=1.5)]
    assert groups_of(detections_of(CAMERAS, people, [[0], [1], [], []])) == []


def test_a_person_of_one_camera_is_left_alone() -> None:
    people = [body(), body(0.9, 0.9)]
    assert groups_of(detections_of(CAMERAS, people, [[0, 1], [0], [0], [0]])) == [{0, 2, 3, 4}]


def test_two_views_are_doubtful_while_another_camera_looks_there_and_sees_nobody() -> None:
    detections = detections_of(CAMERAS, [body()], [[0], [0], [], []])
    assert find_people(detections, np.arange(2), CAMERAS, LAYOUT, AWAKE)[0].doubtful
    asleep = np.array([True, True, False, False])
    assert not find_people(detections, np.arange(2), CAMERAS, LAYOUT, asleep)[0].doubtful


def test_a_view_with_exchanged_sides_is_still_the_same_person() -> None:
    detections = detections_of(CAMERAS, [body()], [[0], [0], [0], [0]])
    detections.rays[1] = detections.rays[1][FLIP_INDICES]
    assert groups_of(detections) == [{0, 1, 2, 3}]


def test_no_person_is_twice_as_tall_as_people_are() -> None:
    giant = 2.2 * body()
    assert groups_of(detections_of(CAMERAS, [giant], [[0], [0], [0], [0]])) == []


def test_a_pair_far_from_where_its_lifts_have_it_is_nobody() -> None:
    detections = detections_of(CAMERAS, [body()], [[0], [0], [], []])
    detections.lifts.root[:] = body()[0]
    assert groups_of(detections) == [{0, 1}]
    centre = CAMERAS.centres[0]
    detections.lifts.root[0] = centre + 2.0 * (body()[0] - centre)
    assert groups_of(detections) == []


def test_too_few_joints_in_common_make_nobody() -> None:
    detections = detections_of(CAMERAS, [body()], [[0], [0], [], []])
    detections.scores[0, 4:] = 0
    assert groups_of(detections) == []
