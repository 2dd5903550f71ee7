"""Windows of motion: which clip, from where, at which capture times.

Frame rates, jitter, dropped frames and pauses are drawn here, and positions are interpolated at
those times. Bodies and cameras are not known here.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, Int64

from training.data.mocap import Mocap
from training.data.pose_groups import GROUP_WEIGHTS

Rng = np.random.Generator

COMMON_RATES_HZ = (25.0, 30.0, 50.0, 60.0, 100.0, 120.0)
"""Frame rates of real cameras in Hz; half of the clips take one of these."""


@dataclass(frozen=True, kw_only=True)
class TimeConfig:
    """Irregularity of capture times. Source: ours.

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
    """Draw indices of clips, by source and action and not by number of recordings."""
    return rng.choice(len(mocap.clips), count, p=mocap.clip_probabilities)


def draw_moments(
    rng: Rng, mocap: Mocap, count: int, posed: float
) -> tuple[Int64[np.ndarray, " clip"], Float64[np.ndarray, " clip"]]:
    """Draw clips, a share of them by what the body does at one moment.

    Args:
        rng: Random numbers.
        mocap: Motion.
        count: How many to draw.
        posed: Share that is drawn by pose group; the others are drawn by source and action.

    Returns:
        Index of every clip, and the moment its window should show; NaN where any will do.
    """
    chosen = draw_clips(rng, mocap, count)
    moment_s = np.full(count, np.nan)
    groups = mocap.moments
    if not groups or posed <= 0:
        return chosen, moment_s
    weights = np.array([GROUP_WEIGHTS[one.group] for one in groups])
    by_pose = rng.random(count) < posed
    drawn = rng.choice(len(groups), count, p=weights / weights.sum())
    for number, group in enumerate(groups):
        here = np.nonzero(by_pose & (drawn == number))[0]
        picked = rng.choice(len(group.clip), len(here), p=group.chance)
        chosen[here], moment_s[here] = group.clip[picked], group.moment_s[picked]
    return chosen, moment_s


def draw_windows(
    rng: Rng,
    mocap: Mocap,
    chosen: Int[np.ndarray, " clip"],
    time_ns: Int64[np.ndarray, "clip frame"],
    speed: Float[np.ndarray, " clip"],
    *,
    moment_s: Float[np.ndarray, " clip"] | None = None,
) -> Float32[np.ndarray, "clip frame 17 3"]:
    """Cut windows of the chosen clips at the given times, each from a random start.

    A clip shorter than its window is played back and forth.

    Args:
        rng: Random numbers.
        mocap: Motion.
        chosen: Index of every clip.
        time_ns: Capture times.
        speed: Factor on the speed of the motion.
        moment_s: Moments of the clips that windows should show where they are not NaN; a window
            begins up to its own length before its moment.
    """
    own = [mocap.clips[index] for index in chosen]
    fps = np.array([clip.fps for clip in own], np.float64)[:, None]
    duration_s = np.array([clip.duration_s for clip in own], np.float64)[:, None]
    first = np.array([clip.start for clip in own], np.int64)[:, None]
    run_s = time_ns * 1e-9 * speed[:, None]
    room_s = np.maximum(duration_s - run_s[:, -1:], 0)
    share = rng.random((len(chosen), 1))
    start_s = room_s * share
    if moment_s is not None:
        wanted_s = np.clip(moment_s[:, None] - run_s[:, -1:] * share, 0, room_s)
        start_s = np.where(np.isnan(moment_s[:, None]), start_s, wanted_s)
    place_s = run_s + start_s
    place_s = duration_s - np.abs(np.mod(place_s, 2 * duration_s) - duration_s)
    return interpolate(mocap, first, np.clip(place_s, 0, duration_s) * fps)


def interpolate(
    mocap: Mocap, first: Int[np.ndarray, "clip 1"], place: Float[np.ndarray, "clip frame"]
) -> Float32[np.ndarray, "clip frame 17 3"]:
    """Joints at fractional frame numbers `place`, counted from `first`; linear in between."""
    below = np.floor(place).astype(np.int64)
    share = (place - below).astype(np.float32)[..., None, None]
    above = first + np.ceil(place).astype(np.int64)
    start = mocap.joints_m[first + below]
    return np.asarray(start + share * (mocap.joints_m[above] - start))
