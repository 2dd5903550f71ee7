"""Parity: a distance in mm that is nothing for the same poses and exact for shifted ones."""

import math

import numpy as np
import pytest

from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.camera import Intrinsics, pixel_to_ray
from langpose_rt.geometry.person_frame import AnchorState, anchor_step
from langpose_rt.manifest import Parity
from langpose_rt.runtime.parity import (
    MAX_MEAN_MM,
    MAX_WORST_MM,
    ParityClip,
    demo_parity_clip,
    lift_clip,
    parity,
    parity_clip,
    within_limits,
)
from langpose_rt.runtime.registry import open_backend
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
        np.testing.assert_array_equal(clip.extras[frame, :7], expected.extras[0])


@pytest.mark.parametrize(("length_input", "channels"), [(False, 7), (True, 24)])
def test_a_model_gets_the_lengths_it_takes(length_input: bool, channels: int) -> None:
    backend, clip = FakeBackend(length_input=length_input), walking_clip()
    assert clip.for_backend(backend).extras.shape == (6, channels)
    poses, _ = lift_clip(backend, clip)  # the fake refuses any other number of inputs
    assert len(poses) == 6
    lengths = clip.extras[:, 7:]
    assert (lengths[:, -1] == 1).all()
    assert len(set(lengths[0].tolist())) == 17, "every length is another number"


def test_the_demo_clip_is_whole_finite_and_named_after_its_file() -> None:
    clip, source = demo_parity_clip(), read_clip(DEMO_CLIP)
    assert clip.name == DEMO_CLIP.stem
    np.testing.assert_array_equal(clip.time_ns, source.t_ns)
    assert clip.rows.shape == (len(source.t_ns), 17, 3)
    assert clip.extras.shape == (len(source.t_ns), 24)
    assert np.isfinite(clip.rows).all()
    assert np.isfinite(clip.extras).all()
    assert (clip.rows[..., 2] > 0).mean() > 0.9, "nearly all joints are seen"


def test_float32_onnx_is_torch_to_a_hundredth_of_a_millimetre() -> None:
    onnx, torch = open_backend(None, "onnx", slots=1), open_backend(None, "torch", slots=1)
    assert parity(onnx, torch, demo_parity_clip()).worst_mm <= 0.01


@pytest.mark.parametrize(
    ("mean_mm", "worst_mm", "within"),
    [
        (MAX_MEAN_MM, MAX_WORST_MM, True),
        (1.01 * MAX_MEAN_MM, MAX_WORST_MM, False),
        (MAX_MEAN_MM, 1.01 * MAX_WORST_MM, False),
        (math.nan, math.nan, False),
    ],
)
def test_the_limits_are_for_the_mean_and_the_worst_joint(
    mean_mm: float, worst_mm: float, within: bool
) -> None:
    measured = Parity(clip="walk", frames=1, mean_mm=mean_mm, worst_mm=worst_mm)
    assert within_limits(measured) == within
