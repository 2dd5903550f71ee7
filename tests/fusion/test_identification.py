import numpy as np

from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.detections import Detections
from langpose_rt.fusion.identification import Identification
from tests.fusion.rigs import LAYOUT, MS, body, detections_of, ring

CAMERAS = CameraArray.of_cameras(ring(4))
AWAKE = np.ones(4, bool)
TWO = [body(-0.6), body(0.6)]


def lifted(detections: Detections, joints: np.ndarray) -> Detections:
    """The first detection with an exact lift."""
    detections.lifts.pose[0], detections.lifts.sigma_m[0] = joints - joints[0], 0.05
    detections.lifts.root[0] = joints[0]
    return detections


def test_views_that_meet_are_one_person_and_known_again() -> None:
    who = Identification(CAMERAS, LAYOUT)
    first = who.match(0, detections_of(CAMERAS, TWO, [[0, 1]] * 4), AWAKE)
    assert sorted(map(sorted, first.tolist())) == [[0, 2, 4, 6], [1, 3, 5, 7]]
    again = who.match(16 * MS, detections_of(CAMERAS, TWO, [[1, 0]] * 4), AWAKE)
    np.testing.assert_array_equal(again // 2, first // 2)
    np.testing.assert_array_equal(again % 2, 1 - first % 2)
    assert who.people.ids.tolist() == [0, 1]


def test_a_number_is_never_given_twice() -> None:
    who = Identification(CAMERAS, LAYOUT)
    who.match(0, detections_of(CAMERAS, TWO[:1], [[0]] * 4), AWAKE)
    assert who.forget(3000 * MS, 2.0).tolist() == []
    who.match(3000 * MS, detections_of(CAMERAS, TWO[:1], [[0]] * 4), AWAKE)
    assert who.people.ids.tolist() == [1]


def test_those_who_stay_keep_their_rows_when_somebody_is_forgotten() -> None:
    who = Identification(CAMERAS, LAYOUT)
    who.match(0, detections_of(CAMERAS, TWO, [[0, 1]] * 4), AWAKE)
    who.people.seen_ns[:] = [0, 2500 * MS]
    assert who.forget(3000 * MS, 2.0).tolist() == [1]
    assert who.people.ids.tolist() == [1]


def test_somebody_lifted_by_one_camera_is_taken_in_after_a_probation() -> None:
    who = Identification(CAMERAS, LAYOUT)
    for step in range(5):
        seen = lifted(detections_of(CAMERAS, [body()], [[0], [], [], []]), body())
        match = who.match(25 * step * MS, seen, AWAKE)
        assert len(match) == (25 * step >= 100)
    assert match.tolist() == [[0, -1, -1, -1]]


def test_somebody_out_of_sight_is_found_where_they_could_have_gone() -> None:
    who = Identification(CAMERAS, LAYOUT)
    who.match(0, detections_of(CAMERAS, [body()], [[0]] * 4), AWAKE)
    who.people.confirmed[:] = True
    match = who.match(400 * MS, detections_of(CAMERAS, [body(0.5)], [[0]] * 4), AWAKE)
    assert who.people.ids.tolist() == [0]
    assert (match >= 0).all()
