"""Simulate detector noise on exact keypoints: offsets, correlated jitter, misses, swaps, scores.

All displacements are fractions of the projected stature. joint_definitions.py changes the joint
definitions, masks.py hides joints.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from langpose_rt.config import NUM_JOINTS
from training.synthesis.random_processes import bursts, drift, steps_s

Rng = np.random.Generator

OFFSET_SD = np.array(
    [1.3, 1.0, 0.9, 0.8, 1.0, 0.9, 0.8, 1.1, 1.5, 1.6, 2.0, 1.1, 0.7, 0.8, 1.1, 0.7, 0.8],
    np.float32,
) / np.float32(100)
"""Spread of the mean error of a joint over a clip, in statures."""

HIP_OFFSET_SD = 0.014
"""Share of the offset common to hip, both hip joints and (half) the spine."""

JITTER_SD = np.array(
    [0.9, 1.0, 0.9, 0.9, 1.0, 0.9, 0.9, 0.7, 0.8, 0.9, 1.1, 0.8, 1.0, 1.2, 0.8, 1.0, 1.2],
    np.float32,
) / np.float32(100)
"""Robust spread of the varying part of the error."""

BURST_SHARE = np.array(
    [0.6, 0.8, 2.0, 3.0, 0.8, 2.0, 3.0, 0.2, 0.3, 3.0, 5.0, 0.4, 2.5, 6.0, 0.4, 2.5, 6.0],
    np.float32,
) / np.float32(100)
"""Share of frames in which a joint is an outlier."""

_LONG_S = np.float32(1000.0)
"""Correlation time of the jitter."""

LIMBS = (
    ((1, 2, 3), (4, 5, 6)),
    ((2, 3), (5, 6)),
    ((14, 15, 16), (11, 12, 13)),
    ((15, 16), (12, 13)),
)
"""Limbs a detector swaps, right and left."""


@dataclass(frozen=True, kw_only=True)
class NoiseConfig:
    """Strength of the detector noise.

    Source: ours, after detectors measured against 3D (docs/model/training.md, "Detector noise").

    Args:
        strongest: A clip's noise is scaled by a factor between 0 and this.
        clean: Share of clips without any noise.
        swap_share: Mean share of the time that a pair of limbs is swapped.
        scoreless: Share of clips whose scores are all 1.
        lying: Probability that an outlier keeps a high score.
        offsets: Factor on the constant error of a joint over a clip.
        bursts: Factor on the frequency of outliers.
        correlated: Correlate the jitter in time; otherwise it is white noise.
    """

    strongest: float = 2.0
    clean: float = 0.1
    swap_share: float = 0.008
    scoreless: float = 0.1
    lying: float = 0.35
    offsets: float = 1.0
    bursts: float = 1.0
    correlated: bool = True


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Noisy keypoints and scores of a detector; score 0 marks a missing joint."""

    joints_px: Float32[np.ndarray, "clip frame 17 2"]
    scores: Float32[np.ndarray, "clip frame 17"]


def detect(
    rng: Rng,
    joints_px: Float32[np.ndarray, "clip frame 17 2"],
    stature_px: Float32[np.ndarray, "clip frame"],
    in_view: Bool[np.ndarray, "clip frame 17"],
    time_ns: Int64[np.ndarray, "clip frame"],
    *,
    config: NoiseConfig,
) -> Detections:
    """Add offsets, jitter, outliers and swaps, and scores that mostly reflect the error."""
    clips = len(joints_px)
    dt_s = steps_s(time_ns)
    strength = rng.uniform(0, config.strongest, clips) * (rng.random(clips) >= config.clean)
    strength = strength.astype(np.float32)
    shown_px = _swap(rng, joints_px, dt_s, config.swap_share * strength)
    offset = _offset(rng, clips)[:, None] * np.float32(config.offsets)
    jitter = _jitter(rng, dt_s if config.correlated else dt_s + _LONG_S)
    often = BURST_SHARE * np.float32(config.bursts) * strength[:, None]
    away = bursts(rng, dt_s, often, rng.uniform(0.03, 0.3, clips))
    moving = jitter + _burst(rng, dt_s, away)
    error = (offset + moving) * strength[:, None, None, None]
    found_px = shown_px + error * stature_px[:, :, None, None]
    distance = np.sqrt(np.square(error).sum(-1))
    scores = _scores(rng, distance, away, dt_s, config)
    return Detections(joints_px=found_px, scores=_lose_outside(rng, scores, in_view))


def _offset(rng: Rng, clips: int) -> Float32[np.ndarray, "clip 17 2"]:
    offset = rng.standard_normal((clips, NUM_JOINTS, 2), dtype=np.float32) * OFFSET_SD[:, None]
    shared = rng.standard_normal((clips, 1, 2), dtype=np.float32) * np.float32(HIP_OFFSET_SD)
    offset[:, (0, 1, 4)] += shared
    offset[:, 7:8] += shared / 2
    return np.asarray(offset)


def _jitter(
    rng: Rng, dt_s: Float32[np.ndarray, "clip frame"]
) -> Float32[np.ndarray, "clip frame 17 2"]:
    """Draw correlated errors with fast and slow parts; lag-1 correlation near 0.75 at 50 Hz."""
    clips = len(dt_s)
    tau_s = np.exp(rng.uniform(np.log(0.03), np.log(0.25), clips))
    spread = np.exp(0.3 * rng.standard_normal((clips, 1, NUM_JOINTS, 1), dtype=np.float32))
    return np.asarray(drift(rng, dt_s, tau_s, (NUM_JOINTS, 2)) * (spread * JITTER_SD[:, None]))


def _burst(
    rng: Rng, dt_s: Float32[np.ndarray, "clip frame"], away: Bool[np.ndarray, "clip frame 17"]
) -> Float32[np.ndarray, "clip frame 17 2"]:
    """Draw large slow displacements where `away`; about 10 % of stature, heavy-tailed."""
    clips = len(dt_s)
    size = 0.09 * np.exp(0.5 * rng.standard_normal((clips, 1, NUM_JOINTS, 1), dtype=np.float32))
    place = drift(rng, dt_s, rng.uniform(0.1, 0.5, clips), (NUM_JOINTS, 2))
    return np.asarray(place * np.float32(1) * size * away[..., None])


def _swap(
    rng: Rng,
    joints_px: Float32[np.ndarray, "clip frame 17 2"],
    dt_s: Float32[np.ndarray, "clip frame"],
    share: Float32[np.ndarray, " clip"],
) -> Float32[np.ndarray, "clip frame 17 2"]:
    clips = len(joints_px)
    shares = np.repeat(share[:, None], len(LIMBS), 1) * rng.exponential(1.0, (clips, len(LIMBS)))
    swapped = bursts(rng, dt_s, shares, rng.uniform(0.03, 0.4, clips))
    result = joints_px.copy()
    for limb, (right, left) in enumerate(LIMBS):
        where = np.nonzero(swapped[:, :, limb])
        pair = result[where]
        pair[:, right + left] = pair[:, left + right]
        result[where] = pair
    return result


def _scores(
    rng: Rng,
    distance: Float32[np.ndarray, "clip frame 17"],
    away: Bool[np.ndarray, "clip frame 17"],
    dt_s: Float32[np.ndarray, "clip frame"],
    config: NoiseConfig,
) -> Float32[np.ndarray, "clip frame 17"]:
    """Draw scores that decrease with the error, plus a drift; outliers may keep high scores.

    Source: the shape a / (a + d) from MotionBERT's generator; the rest ours.
    """
    clips = len(dt_s)
    told = np.where(away & (rng.random((clips, 1, NUM_JOINTS)) < config.lying), 0.01, distance)
    score = 0.05 / (0.05 + told)
    wander = rng.uniform(0.02, 0.12, (clips, 1, 1)).astype(np.float32)
    score = score + wander * drift(rng, dt_s, np.full(clips, 0.2), (NUM_JOINTS,))
    power = np.exp(0.5 * rng.standard_normal((clips, 1, 1), dtype=np.float32))
    score = np.clip(score, 0.02, 1.0) ** power
    score *= rng.uniform(0.75, 1.0, (clips, 1, 1)).astype(np.float32)
    floor = rng.uniform(0, 0.3, (clips, 1, 1)) * (rng.random((clips, 1, 1)) < 0.5)
    lost = score < floor
    score = np.where(rng.random((clips, 1, 1)) < config.scoreless, 1.0, score)
    return np.asarray(np.where(lost, 0, np.clip(score, 0, 1)), np.float32)


def _lose_outside(
    rng: Rng,
    scores: Float32[np.ndarray, "clip frame 17"],
    in_view: Bool[np.ndarray, "clip frame 17"],
) -> Float32[np.ndarray, "clip frame 17"]:
    """Drop joints outside the image, or keep them with a low score, as detectors do."""
    guessing = rng.random((len(scores), 1, 1)) < 0.25
    outside = np.where(guessing, scores * np.float32(0.3), 0)
    return np.asarray(np.where(in_view, scores, outside), np.float32)
