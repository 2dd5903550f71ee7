"""Windows of motion: which clip, from where, at which capture times.

Frame rates, jitter, dropped frames and pauses are drawn here, and positions are interpolated at
those times. Bodies and cameras are not known here.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, Int64

from training.data.mocap import Mocap

Rng = np.random.Generator

COMMON_RATES_HZ = (25.0, 30.0, 50.0, 60.0, 100.0, 120.0)
"""What cameras really run at; half of the clips take one of these."""


@dataclass(frozen=True, kw_only=True)
class TimeConfig:
    """How irregular capture times are. Source: ours.

    Args:
        slowest_hz, fastest_hz: Range of the frame rates.
        jittered: Share of clips whose times jitter, up to 15 % of a period (sd).
        dropping: Share of clips that lose frames, up to 15 % of them.
        pausing: Share of clips with one pause of 0.2 to 2 s.
        speed_range: Motion is played slower or faster by up to this factor.
    """

    slowest_hz: float = 25.0
    fastest_hz: float = 120.0
    jittered: float = 0.5
    dropping: float = 0.4
    pausing: float = 0.05
    speed_range: float = 1.35


def draw_times(
    rng: Rng, clips: int, frames: int, config: TimeConfig
) -> Int64[np.ndarray, "clip frame"]:
    """Capture times in ns, strictly increasing, the first one 0."""
    rate_hz = np.exp(rng.uniform(np.log(config.slowest_hz), np.log(config.fastest_hz), clips))
    common = rng.choice(COMMON_RATES_HZ, clips)
    usual = (rng.random(clips) < 0.5) & (common >= config.slowest_hz)
    usual &= common <= config.fastest_hz
    period_s = 1 / np.where(usual, common, rate_hz)[:, None]
    lost_rate = rng.uniform(0, 0.15, (clips, 1)) * (rng.random((clips, 1)) < config.dropping)
    steps = period_s * (1 + rng.poisson(lost_rate, (clips, frames)))
    pause_at = rng.integers(1, max(frames, 2), clips)
    pause_s = rng.uniform(0.2, 2.0, clips) * (rng.random(clips) < config.pausing)
    if frames > 1:
        steps[np.arange(clips), pause_at] += pause_s
    jitter = rng.uniform(0, 0.15, (clips, 1)) * (rng.random((clips, 1)) < config.jittered)
    shake = np.clip(jitter * rng.standard_normal((clips, frames)), -0.4, 0.4) * period_s
    times_s = np.cumsum(steps, axis=1) + shake
    return np.asarray(np.round((times_s - times_s[:, :1]) * 1e9), np.int64)


def draw_clips(rng: Rng, mocap: Mocap, count: int) -> Int64[np.ndarray, " clip"]:
    """Indices of clips, by source and action and not by number of recordings."""
    return rng.choice(len(mocap.clips), count, p=mocap.clip_probabilities())


def draw_windows(
    rng: Rng,
    mocap: Mocap,
    chosen: Int[np.ndarray, " clip"],
    time_ns: Int64[np.ndarray, "clip frame"],
    speed: Float[np.ndarray, " clip"],
) -> Float32[np.ndarray, "clip frame 17 3"]:
    """Joints of the chosen clips at the given times, from a random start in each.

    A clip shorter than its window is played back and forth.
    """
    fps = np.array([mocap.clips[index].fps for index in chosen])[:, None]
    duration_s = np.array([mocap.clips[index].duration_s for index in chosen])[:, None]
    first = np.array([mocap.clips[index].start for index in chosen])[:, None]
    run_s = time_ns * 1e-9 * speed[:, None]
    room_s = np.maximum(duration_s - run_s[:, -1:], 0)
    moment_s = run_s + room_s * rng.random((len(chosen), 1))
    moment_s = duration_s - np.abs(np.mod(moment_s, 2 * duration_s) - duration_s)
    return interpolate(mocap, first, np.clip(moment_s, 0, duration_s) * fps)


def interpolate(
    mocap: Mocap, first: Int[np.ndarray, "clip 1"], place: Float[np.ndarray, "clip frame"]
) -> Float32[np.ndarray, "clip frame 17 3"]:
    """Joints at fractional frame numbers `place`, counted from `first`; linear in between."""
    below = np.floor(place).astype(np.int64)
    share = (place - below).astype(np.float32)[..., None, None]
    above = first + np.ceil(place).astype(np.int64)
    start = mocap.joints_m[first + below]
    return np.asarray(start + share * (mocap.joints_m[above] - start))
