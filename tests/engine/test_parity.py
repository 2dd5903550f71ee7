"""Parity: a distance in mm that is nothing for the same poses and exact for shifted ones."""

import numpy as np
import pytest

from langpose_rt.engine.parity import ParityClip, lift_clip, parity, parity_clip
from langpose_rt.geometry.camera import Intrinsics, pixel_to_ray
from langpose_rt.geometry.person_frame import AnchorState, anchor_step
from tests.fakes import LENS, FakeBackend, person_px


class ShiftedBackend(FakeBackend):
    """As the fake, with one joint off by 17 mm of the reference body."""

    def lift(
        self, slots: np.ndarray, frames_back: np.ndarray, lag_s: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        poses, sigma = super().lift(slots, frames_back, lag_s)
        poses[:, 5, 2] += 0.017
        return poses, sigma


def walking_clip(frames: int = 6, intrinsics: Intrinsics = LENS) -> ParityClip:
    keypoints = np.stack([person_px((0.1 * k, 0.0, 4.0)) for k in range(frames)])
    return parity_clip("walk", keypoints, intrinsics, 20_000_000 * np.arange(1, frames + 1))


def test_a_backend_agrees_with_itself() -> None:
    measured = parity(FakeBackend(), FakeBackend(), walking_clip())
    assert (measured.frames, measured.mean_mm, measured.worst_mm) == (6, 0, 0)
    assert measured.clip == "walk, stature 1.70 m"


def test_a_shifted_joint_is_its_distance_in_mm() -> None:
    measured = parity(ShiftedBackend(), FakeBackend(), walking_clip())
    assert measured.worst_mm == pytest.approx(17.0, abs=1e-3)
    assert measured.mean_mm == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("back", [0, 2])
def test_a_clip_is_answered_with_the_true_lag_and_leaves_nothing_behind(back: int) -> None:
    backend = FakeBackend()
    poses, sigmas = lift_clip(backend, walking_clip(6), frames_back=back)
    assert poses.shape == (6 - back, 17, 3)
    assert sigmas.shape == (6 - back, 17)
    assert [own[1] for own in backend.lifts] == [back] * (6 - back)
    assert backend.history[0] == []


def test_rows_are_those_of_the_live_path() -> None:
    keypoints = np.stack([person_px((0.1 * k, 0.0, 4.0)) for k in range(4)])
    keypoints[2, 16] = 0
    time_ns = np.array([5, 25, 45, 75]) * 1_000_000
    clip = parity_clip("walk", keypoints, LENS, time_ns)
    state, gravity = AnchorState.empty(1), np.full((1, 3), np.nan, np.float32)
    for frame, dt_s in enumerate((0.0, 0.02, 0.02, 0.03)):
        rays = pixel_to_ray(keypoints[frame : frame + 1, :, :2], LENS)
        scores, dt = keypoints[frame : frame + 1, :, 2], np.array([dt_s], np.float32)
        expected = anchor_step(state, rays, scores, dt, gravity)
        np.testing.assert_array_equal(clip.rows[frame], expected.rows[0])
        np.testing.assert_array_equal(clip.extras[frame], expected.extras[0])
