import numpy as np
import pytest

from langpose_rt.fusion.depth_doubt import LIFT_DEPTH_SHARE, learn_doubt, most_doubt
from langpose_rt.fusion.detections import Detections
from langpose_rt.fusion.fused_frame import FusedFrame
from langpose_rt.fusion.people import UNWATCHED_M2_PER_S
from tests.fusion.rigs import LAYOUT, body, detections_of
from tests.fusion.test_volume_tracker import ALL, CAMERAS, Story


def lifted_wrong(factor: float) -> Detections:
    """One camera sees somebody, and its lift has the distance wrong by a factor."""
    detections = detections_of(CAMERAS, [body()], [[0], [], [], []])
    detections.lifts.pose[0], detections.lifts.sigma_m[0] = body() - body()[0], 0.05
    centre = CAMERAS.centres[0]
    detections.lifts.root[0] = centre + factor * (body()[0] - centre)
    return detections


def along_ray(frame: FusedFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the error of the 17 joints along the rays of the first camera, and the stated one."""
    ray = body() - CAMERAS.centres[0]
    ray /= np.linalg.norm(ray, axis=-1, keepdims=True)
    spread = frame.covariance_m2[0, LAYOUT.h36m]
    off_m = np.abs(((frame.joints17[0] - body()) * ray).sum(-1))
    return off_m, np.sqrt(np.einsum("ji,jik,jk->j", ray, spread, ray))


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_who_is_seen_by_one_camera_alone_is_not_surer_than_the_lift(factor: float) -> None:
    story = Story()
    for _ in range(120):
        frame = story.step(lifted_wrong(factor))
    off_m, said_m = along_ray(frame)
    assert off_m.mean() > 0.25
    assert (off_m < 2 * said_m).all()
    assert (off_m > said_m / 3).all()


def test_doubt_grows_from_the_time_that_only_one_camera_sees_somebody() -> None:
    story = Story()
    story.see([body()], ALL, 60)
    said = [along_ray(story.step(lifted_wrong(1.0)))[1].max() for _ in range(240)]
    assert said[0] < 0.15
    assert 0.3 < said[59] < 0.5
    assert said[239] == pytest.approx(said[200], rel=0.1)
    assert along_ray(story.see([body()], ALL, 30))[1].max() < 0.05


def test_somebody_who_walks_away_from_the_one_camera_that_sees_them_is_followed() -> None:
    story = Story()
    away = -CAMERAS.centres[0, :2] / np.linalg.norm(CAMERAS.centres[0, :2])
    for step in range(150):
        walker = body(*(1.2 * step * 0.016 * away))
        detections = detections_of(CAMERAS, [walker], ALL if step < 30 else [[0], [], [], []])
        detections.lifts.pose[:], detections.lifts.sigma_m[:] = walker - walker[0], 0.05
        detections.lifts.root[:] = walker[0]
        frame = story.step(detections)
    assert np.linalg.norm(frame.joints17[0] - walker, axis=-1).mean() < 0.3


@pytest.mark.parametrize("sigma_m", [0.05, 0.15])
def test_a_joint_that_one_of_two_cameras_sees_is_not_surer_than_a_lifted_joint(
    sigma_m: float,
) -> None:
    story = Story()
    for _ in range(60):
        detections = detections_of(CAMERAS, [body()], [[0], [0], [], []])
        detections.scores[1, 16] = 0.0
        detections.lifts.pose[:], detections.lifts.sigma_m[:] = body() - body()[0], sigma_m
        detections.lifts.root[:] = body()[0]
        frame = story.step(detections)
    said_m = along_ray(frame)[1]
    (learnt_m,) = story.tracker.people.lift_sigma_m
    assert learnt_m < 0.08, "the lift has been right"
    assert said_m[16] == pytest.approx(max(learnt_m, sigma_m), rel=0.05)
    assert (said_m[:16] < 0.05).all()


def test_doubt_grows_while_one_camera_looks_and_ends_with_the_second() -> None:
    variance = np.array([[0.0, 0.5, 0.02]])
    measured = np.array([[False, True, False]])
    learn_doubt(variance, measured, np.array([[1.0, 1.0, 0.04]]), 0.5)
    np.testing.assert_allclose(variance, [[0.5 * UNWATCHED_M2_PER_S, 0.0, 0.04]])


def test_a_lift_is_surer_of_a_body_that_several_cameras_hold() -> None:
    sigma = np.full((2, 2, 1), np.nan)
    sigma[:, 0] = 0.2
    root_m = np.array([[4.0, np.nan], [4.0, np.nan]])
    most_m2 = most_doubt(sigma, root_m, np.array([True, False]), np.array([0.1, 0.1]))
    expected = [[0.2**2], [0.2**2 + (4.0 * LIFT_DEPTH_SHARE) ** 2]]
    np.testing.assert_allclose(most_m2, expected)
    doubted_m2 = most_doubt(sigma, root_m, np.array([True, False]), np.array([0.3, 0.1]))
    np.testing.assert_allclose(doubted_m2, [[0.3**2], expected[1]])
    nothing = np.full((1, 2, 1), np.nan), np.full((1, 2), np.nan), np.array([False])
    unlifted = most_doubt(*nothing, np.array([0.1]))
    assert np.isinf(unlifted).all()
