"""Clips of langpose-bench-1: motion, cameras, detectors, gaps and frame rates, drawn once.

All ranges are written out here, so that the defaults of training may change without changing the
benchmark; any change of the benchmark changes its hash. benchmark.py scores the clips.
"""

import hashlib
from dataclasses import dataclass
from itertools import cycle

import numpy as np

from training.data.mocap import Mocap, MotionClip
from training.evaluation.fingerprints import Fingerprint, fingerprint
from training.synthesis.batches import DataConfig, Footage, film
from training.synthesis.cameras import CameraConfig
from training.synthesis.detector_noise import NoiseConfig
from training.synthesis.masks import MaskConfig
from training.synthesis.motion_windows import TimeConfig, draw_times, interpolate

VERSION = "langpose-bench-1"
SEED = 20_240_900_449
CLIPS_PER_SOURCE = 24
MOST_FRAMES = 256
LEAST_FRAMES = 16
APART_S = 6.0
"""Time per clip of a recording, so that a few long recordings can fill a source."""


PUBLISHED = Fingerprint(
    exact="fd306c9c9c64e3543249e6a6813411c2631f68209534a2a8836aa0cc5bbc93d2",
    sums={
        "rays": 109.49339,
        "scores": -465.39802,
        "gravity": 0.0,
        "pose_camera_m": -185.05708,
        "stature_m": -4.15044,
    },
)
"""Fingerprint over the published validation mocap: bandai1, bandai2, cmu, reactidle."""

CONDITIONS = DataConfig(
    reboned=0.0,
    mixed=0.0,
    swung=0.0,
    redefined=0.5,
    derived=0.0,
    gravity_known=0.0,
    lengths_known=0.0,
    lens_wrong=0.3,
    lens_assumed=0.1,
    times=TimeConfig(
        slowest_hz=25.0,
        fastest_hz=120.0,
        jittered=0.5,
        dropping=0.4,
        pausing=0.0,
        speed_range=1.0,
    ),
    cameras=CameraConfig(
        narrowest_deg=35.0,
        widest_deg=100.0,
        lowest_m=0.3,
        highest_m=3.0,
        nearest_m=1.5,
        farthest_m=10.0,
        roll_deg=4.0,
        off_centre=0.7,
    ),
    noise=NoiseConfig(strongest=2.0, clean=0.0, swap_share=0.008, scoreless=0.1, lying=0.35),
    masks=MaskConfig(
        whole=0.5,
        joint_rate=0.2,
        frame_rate=0.1,
        part_rate=0.12,
        window_share=0.15,
        never_share=0.12,
    ),
)
"""Conditions of the benchmark; bodies, motion and speed are not changed."""


_HASHED = ("rays", "scores", "time_ns", "gravity", "pose_camera_m", "stature_m", "source")


@dataclass(frozen=True, kw_only=True)
class BenchmarkClip:
    """Drawn clip: footage of one recording, and its origin."""

    source: str
    action: str
    name: str
    footage: Footage


def draw_benchmark(mocap: Mocap, conditions: DataConfig = CONDITIONS) -> list[BenchmarkClip]:
    """Draw the clips of the benchmark over a validation mocap, in a fixed order.

    Args:
        mocap: Validation split.
        conditions: CONDITIONS, or others for curves over the same motion.
    """
    drawn = []
    for number, source in enumerate(mocap.sources):
        for count, clip in enumerate(_spread(mocap, source)):
            rng = np.random.default_rng([SEED, number, count])
            drawn.append(_draw_clip(rng, mocap, clip, number, conditions))
    return drawn


def benchmark_hash(clips: list[BenchmarkClip]) -> str:
    """Return the SHA-256 of every drawn array and name; bits, so it depends on the processor."""
    digest = hashlib.sha256(VERSION.encode())
    for clip in clips:
        digest.update(f"{clip.source}/{clip.name}".encode())
        for name in _HASHED:
            digest.update(np.ascontiguousarray(getattr(clip.footage, name)).tobytes())
    return digest.hexdigest()


def fingerprint_of(clips: list[BenchmarkClip]) -> Fingerprint:
    """Return the fingerprint of the clips; see `fingerprints.is_same`."""
    names = [f"{clip.source}/{clip.name}" for clip in clips]
    return fingerprint(VERSION, SEED, names, [clip.footage for clip in clips])


def _spread(mocap: Mocap, source: str) -> list[MotionClip]:
    """Select up to CLIPS_PER_SOURCE clips, cycling through the actions; long ones may repeat."""
    offers: dict[str, list[MotionClip]] = {}
    for clip in mocap.clips:
        if clip.source == source:
            times = max(1, int(clip.duration_s / APART_S))
            offers.setdefault(clip.action, []).extend([clip] * times)
    rng = np.random.default_rng([SEED, len(source), *source.encode()])
    queues = [[clips[i] for i in rng.permutation(len(clips))] for clips in offers.values()]
    chosen: list[MotionClip] = []
    for queue in cycle(queues):
        if len(chosen) == CLIPS_PER_SOURCE or not any(queues):
            return chosen
        if queue:
            chosen.append(queue.pop())
    return chosen


def _draw_clip(
    rng: np.random.Generator, mocap: Mocap, clip: MotionClip, source: int, conditions: DataConfig
) -> BenchmarkClip:
    time_ns = draw_times(rng, 1, MOST_FRAMES, conditions.times)
    fitting = int((time_ns[0] * 1e-9 <= clip.duration_s).sum())
    time_ns = time_ns[:, : max(fitting, LEAST_FRAMES)]
    run_s = time_ns * 1e-9
    start_s = rng.random() * max(clip.duration_s - run_s[0, -1], 0)
    place = np.minimum(start_s + run_s, clip.duration_s) * clip.fps
    joints_m = interpolate(mocap, np.array([[clip.start]]), place)
    footage = film(rng, joints_m, time_ns, np.array([source], np.int64), conditions)
    return BenchmarkClip(source=clip.source, action=clip.action, name=clip.name, footage=footage)
