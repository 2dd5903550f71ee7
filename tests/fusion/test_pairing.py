import numpy as np

from langpose_rt.fusion.birth import FARTHEST_RAYS, meeting_points
from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.detections import Detections
from langpose_rt.fusion.pairing import REVIEW_EVERY_NS, PairingReview, Repaired
from tests.fusion.rigs import LAYOUT, body, detections_of, pair_in_one_plane, ring

TWO, FOUR = CameraArray.of_cameras(ring(2)), CameraArray.of_cameras(ring(4))
PEOPLE = pair_in_one_plane(TWO)
BOTH = [[0, 1], [0, 1]]
RIGHT, CROSSED = np.array([[0, 2], [1, 3]]), np.array([[0, 3], [1, 2]])


def reviewed(
    match: np.ndarray, detections: Detections, times: int, cameras: CameraArray = TWO
) -> tuple[list[Repaired], list[int]]:
    review = PairingReview(cameras, LAYOUT)
    for n in range(times):
        answer = review.observe(n * REVIEW_EVERY_NS, match, detections)
        if answer != ([], []):
            break
    return answer


def test_views_of_two_people_meet_although_they_are_not_of_one() -> None:
    detections = detections_of(TWO, PEOPLE, BOTH)
    _, off, good = meeting_points(detections, np.array([0]), np.array([3]), TWO, LAYOUT)
    assert good.all()
    assert off < FARTHEST_RAYS


def test_people_who_were_paired_crosswise_exchange_their_views() -> None:
    repaired, gone = reviewed(CROSSED, detections_of(TWO, PEOPLE, BOTH), 10)
    assert [(one.row, one.members) for one in repaired] == [(0, (0, 2)), (1, (1, 3))]
    assert gone == []
    for one, joints in zip(repaired, PEOPLE, strict=True):
        np.testing.assert_allclose(one.joints17, joints, atol=1e-6)


def test_one_picture_changes_nobody() -> None:
    assert reviewed(CROSSED, detections_of(TWO, PEOPLE, BOTH), 1) == ([], [])


def test_right_pairs_are_left_alone_under_noise() -> None:
    rng, review = np.random.default_rng(0), PairingReview(TWO, LAYOUT)
    for n in range(100):
        detections = detections_of(TWO, PEOPLE, BOTH)
        detections.rays[:] += rng.normal(0, 0.006, detections.rays.shape)
        assert review.observe(n * REVIEW_EVERY_NS, RIGHT, detections) == ([], [])


def test_a_view_of_nobody_goes_to_whom_it_fits() -> None:
    crossed = np.array([[0, 3]])  # the other two views belong to nobody
    repaired, gone = reviewed(crossed, detections_of(TWO, PEOPLE, BOTH), 10)
    assert [one.members for one in repaired] == [(0, 2)]
    assert gone == []


def test_a_person_of_three_views_is_left_alone() -> None:
    detections = detections_of(FOUR, PEOPLE, [[0, 1], [0, 1], [0], []])
    match = np.array([[0, 3, 4, -1], [1, 2, -1, -1]])
    assert reviewed(match, detections, 10, FOUR) == ([], [])


def test_people_far_apart_cost_nothing_to_tell_apart() -> None:
    people = [body(-0.8, 0.3), body(0.7, -0.9, turned=1.5)]
    assert reviewed(RIGHT, detections_of(TWO, people, BOTH), 10) == ([], [])


def test_tracks_that_are_gone_are_forgotten() -> None:
    review, detections = PairingReview(TWO, LAYOUT), detections_of(TWO, PEOPLE, BOTH)
    for n in range(8):  # three reviews never fall into half a second
        assert review.observe(n * 12 * REVIEW_EVERY_NS * 2, CROSSED, detections) == ([], [])
