import numpy as np
import pytest

from langpose_rt.fusion.detections import MonocularLifts
from langpose_rt.fusion.time_alignment import CameraHistory
from tests.fusion.rigs import MS


def moving(x: float, *, speed: float, t_ms: float) -> np.ndarray:
    """A body of 17 rays that moves to the side at a constant speed (rays a second)."""
    spread = np.stack([np.linspace(-0.1, 0.1, 17), np.linspace(-0.3, 0.3, 17)], -1)
    return spread + np.array([x + speed * t_ms / 1000, 0.0])


def history(times_ms: list[float], *bodies: tuple[float, float]) -> CameraHistory:
    kept = CameraHistory()
    for t_ms in times_ms:
        rays = np.stack([moving(x, speed=speed, t_ms=t_ms) for x, speed in bodies])
        assert kept.push(
            round(t_ms * MS), rays, np.ones((len(bodies), 17)), MonocularLifts.missing(len(bodies))
        )
    return kept


@pytest.mark.parametrize("t_ms", [33.0, 41.5, 50.0, 66.0])
def test_between_frames_joints_move_on_lines(t_ms: float) -> None:
    frame = history([0, 33, 66], (0.0, 0.5)).at(round(t_ms * MS))
    assert frame is not None
    np.testing.assert_allclose(frame.rays[0], moving(0.0, speed=0.5, t_ms=t_ms), atol=1e-9)
    assert (frame.scores == 1).all()


def test_people_keep_their_number_when_they_cross() -> None:
    kept = history([*range(0, 640, 16)], (-0.2, 1.0), (0.2, -1.0))
    frame = kept.at(620 * MS)
    assert frame is not None
    order = np.argsort(frame.track)
    np.testing.assert_allclose(frame.rays[order, 8, 0], [-0.2 + 0.62, 0.2 - 0.62], atol=1e-9)


def test_a_gap_of_more_than_60_ms_is_sat_out() -> None:
    kept = history([0, 70], (0.0, 0.5))
    assert kept.at(35 * MS) is None
    assert kept.at(70 * MS) is not None


def test_past_the_newest_frame_a_camera_is_extrapolated_for_a_while() -> None:
    kept = history([0, 16, 32, 48, 64], (0.0, 0.5))
    frame = kept.at(90 * MS)
    assert frame is not None
    np.testing.assert_allclose(frame.rays[0], moving(0.0, speed=0.5, t_ms=90), atol=1e-9)
    assert kept.at(90 * MS, extrapolate=False) is None
    assert kept.at(120 * MS) is None


def test_before_the_first_frame_there_is_nobody() -> None:
    assert history([50, 66], (0.0, 0.0)).at(20 * MS) is None
    assert CameraHistory().at(0) is None


def test_a_frame_out_of_order_is_refused() -> None:
    kept = history([0, 16], (0.0, 0.0))
    assert not kept.push(
        16 * MS, np.zeros((0, 17, 2)), np.zeros((0, 17)), MonocularLifts.missing(0)
    )


def test_a_joint_that_one_frame_misses_is_taken_from_the_nearer_one_with_less_trust() -> None:
    kept = CameraHistory()
    for t_ms in (0, 30):
        scores = np.ones((1, 17))
        scores[0, 3] = float(t_ms == 0)
        rays = moving(0.0, speed=1.0, t_ms=t_ms)[None]
        kept.push(t_ms * MS, rays, scores, MonocularLifts.missing(1))
    near, far = kept.at(10 * MS), kept.at(20 * MS)
    assert near is not None
    assert far is not None
    assert near.scores[0, 3] == 0.5
    np.testing.assert_allclose(near.rays[0, 3], moving(0.0, speed=1.0, t_ms=0)[3])
    assert far.scores[0, 3] == 0


def test_lifts_may_come_later_and_are_interpolated() -> None:
    kept = history([0, 30], (0.0, 0.0))
    for t_ms, x in ((0, 1.0), (30, 4.0)):
        lifts = MonocularLifts(
            pose=np.full((1, 17, 3), x), sigma_m=np.full((1, 17), 0.05), root=np.full((1, 3), x)
        )
        kept.lift_newest(t_ms * MS, lifts)
    frame = kept.at(10 * MS)
    assert frame is not None
    np.testing.assert_allclose(frame.lifts.root, 2.0)
