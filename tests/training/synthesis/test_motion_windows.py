"""Windows of motion: capture times, chosen clips, interpolation."""

from dataclasses import replace

import numpy as np
import pytest

from training.data.mocap import Mocap
from training.synthesis.motion_windows import (
    TimeConfig,
    draw_clips,
    draw_moments,
    draw_times,
    draw_windows,
    interpolate,
)

Rng = np.random.Generator


def test_times_rise_strictly_from_zero_whatever_is_drawn(rng: Rng) -> None:
    times = draw_times(rng, 500, 64, TimeConfig(jittered=1.0, dropping=1.0, pausing=1.0))
    assert times.dtype == np.int64
    assert (times[:, 0] == 0).all()
    assert (np.diff(times, axis=1) > 0).all()


def test_frame_rates_stay_in_their_range(rng: Rng) -> None:
    plain = TimeConfig(jittered=0.0, dropping=0.0, pausing=0.0)
    period_s = np.diff(draw_times(rng, 2000, 8, plain), axis=1) * 1e-9
    np.testing.assert_allclose(period_s, period_s[:, :1].repeat(7, 1), atol=2e-9)
    rate_hz = 1 / period_s[:, 0]
    assert 24.9 < rate_hz.min() < 26
    assert 115 < rate_hz.max() < 120.1
    at_30 = (np.abs(rate_hz - 30) < 0.01).mean()
    assert at_30 == pytest.approx(0.5 / 6, abs=0.03)


def test_dropped_frames_jitter_and_pauses_happen_as_often_as_asked(rng: Rng) -> None:
    steps = np.diff(draw_times(rng, 1000, 64, TimeConfig(dropping=1.0, jittered=0.0, pausing=0.0)))
    lost = np.round(steps / np.median(steps, axis=1, keepdims=True)) - 1
    assert lost.mean() == pytest.approx(0.075, rel=0.15)
    jittered = np.diff(
        draw_times(rng, 1000, 64, TimeConfig(dropping=0.0, jittered=1.0, pausing=0.0))
    )
    assert (jittered.std(1) / jittered.mean(1)).mean() == pytest.approx(0.075 * 2**0.5, rel=0.15)
    paused = np.diff(draw_times(rng, 1000, 64, TimeConfig(dropping=0.0, jittered=0.0, pausing=0.3)))
    assert (paused.max(1) > 0.2e9).mean() == pytest.approx(0.3, abs=0.05)


def test_between_two_frames_joints_lie_between(mocap: Mocap) -> None:
    first = np.array([[mocap.clips[1].start]])
    own = mocap.joints_m[mocap.clips[1].start :]
    place = np.array([[3.0, 3.25, 149.0]])
    found = interpolate(mocap, first, place)
    np.testing.assert_allclose(found[0, 0], own[3])
    np.testing.assert_allclose(found[0, 1], 0.75 * own[3] + 0.25 * own[4], atol=1e-6)
    np.testing.assert_allclose(found[0, 2], own[149])


def test_a_window_plays_the_clip_at_its_speed(rng: Rng, mocap: Mocap) -> None:
    time_ns = np.arange(20)[None] * 20_000_000
    chosen = np.array([0])
    root_m = [
        draw_windows(rng, mocap, chosen, time_ns, np.array([s]))[0, :, 0, 0] for s in (1.0, 2.0)
    ]
    speed = [np.diff(x).mean() / 0.02 for x in root_m]
    assert speed[0] == pytest.approx(0.5 * 2, rel=1e-3)
    assert speed[1] == pytest.approx(2 * speed[0], rel=1e-3)


def test_a_clip_that_is_too_short_is_played_back_and_forth(rng: Rng, mocap: Mocap) -> None:
    time_ns = np.arange(400)[None] * 20_000_000
    window = draw_windows(rng, mocap, np.array([3]), time_ns, np.ones(1))
    own = mocap.joints_m[mocap.clips[3].start :][:90, 0, 0]
    path = window[0, :, 0, 0]
    assert path.min() >= own.min() - 1e-5
    assert path.max() <= own.max() + 1e-5
    assert np.ptp(path) == pytest.approx(np.ptp(own), rel=0.05)
    turns = np.diff(np.sign(np.diff(path))) != 0
    assert turns.sum() == pytest.approx(8 / mocap.clips[3].duration_s, abs=1)


def test_clips_are_drawn_by_their_chances(rng: Rng, mocap: Mocap) -> None:
    counts = np.bincount(draw_clips(rng, mocap, 20_000), minlength=len(mocap.clips))
    np.testing.assert_allclose(counts / 20_000, mocap.clip_probabilities, atol=0.01)


def test_a_window_shows_the_moment_it_is_asked_for(rng: Rng, mocap: Mocap) -> None:
    time_ns = np.tile(np.arange(20) * 20_000_000, (50, 1))
    chosen, moment_s = np.zeros(50, np.int64), np.full(50, 1.5)
    windows = draw_windows(rng, mocap, chosen, time_ns, np.ones(50), moment_s=moment_s)
    own = mocap.joints_m[mocap.clips[0].start + 90]
    nearest_m = np.abs(windows - own).max((2, 3)).min(1)
    assert nearest_m.max() < 0.05
    assert len(np.unique(windows[:, 0, 0, 0])) > 40


def test_moments_are_drawn_by_group_in_the_asked_share(rng: Rng, mocap: Mocap) -> None:
    boxing = replace(mocap, clips=(replace(mocap.clips[1], text="boxing"), *mocap.clips[2:]))
    chosen, moment_s = draw_moments(rng, boxing, 4000, 0.25)
    assert np.isfinite(moment_s).mean() == pytest.approx(0.25, abs=0.03)
    inside = np.isfinite(moment_s)
    assert (chosen[inside] == 0).all()
    assert (moment_s[inside] <= boxing.clips[0].duration_s).all()
    assert np.ptp(moment_s[inside]) > 2
    assert np.isnan(draw_moments(rng, boxing, 100, 0.0)[1]).all()
    assert np.isnan(draw_moments(rng, mocap, 100, 0.25)[1]).all()


def test_no_clips_are_no_windows(rng: Rng, mocap: Mocap) -> None:
    nobody = np.zeros(0, np.int64)
    windows = draw_windows(rng, mocap, nobody, np.zeros((0, 20), np.int64), np.zeros(0))
    assert windows.shape == (0, 20, 17, 3)
