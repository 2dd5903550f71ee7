"""Clips of langpose-bench-2: rare poses, new combinations of limbs, clean and noisy, drawn once.

Clips are drawn by pose group over the validation split and the held-out subjects. langpose-bench-1
(benchmark_clips.py) asks how well common motion of few people is lifted, this one where a model
fails. All ranges are written out here; whatever changes the drawn arrays changes the hash.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from training.data.mocap import Mocap
from training.data.pose_groups import GROUP_WEIGHTS, pose_groups
from training.evaluation.benchmark_clips import CONDITIONS as NOISY
from training.evaluation.fingerprints import Fingerprint, fingerprint
from training.synthesis.batches import Footage, draw_motion, film
from training.synthesis.detector_noise import NoiseConfig
from training.synthesis.masks import MaskConfig
from training.synthesis.motion_windows import draw_times

VERSION = "langpose-bench-2"
SEED = 20_261_128
CLIPS = 3
"""Of every group under every condition; half of them, rounded down, with limbs of others."""

FRAMES = 128

PUBLISHED = Fingerprint(
    exact="55867274efabb9196930a4430ceeaf8e6985aa909c6804035496dd78cdf6a402",
    sums={
        "rays": -186.40994,
        "scores": 786.77794,
        "gravity": 9.37491,
        "pose_camera_m": 237.37184,
        "stature_m": 16.49863,
    },
)
"""Fingerprint over the published mocap: validation split and held-out subjects."""

APART_S = 1.0
"""Two moments of one clip are at least so far apart, where there are enough."""

OTHER = "other"
"""Group of the frames whose pose is in no group."""

_NOISY = replace(NOISY, redefined=0.7, derived=0.8, posed=0.5, recombined=0.0)
_CLEAN = replace(
    _NOISY,
    redefined=0.0,
    derived=0.0,
    lens_wrong=0.0,
    lens_assumed=0.0,
    noise=NoiseConfig(clean=1.0, scoreless=1.0, swap_share=0.0),
    masks=MaskConfig(whole=1.0),
)
CONDITIONS = {
    "clean": replace(_CLEAN, gravity_known=0.0),
    "clean, gravity known": replace(_CLEAN, gravity_known=1.0),
    "noisy": replace(_NOISY, gravity_known=0.0),
    "noisy, gravity known": replace(_NOISY, gravity_known=1.0),
}
"""Everything that is drawn beside the motion. Metric bones and true speed."""


@dataclass(frozen=True, kw_only=True)
class Benchmark2Clip:
    """One drawn clip.

    Attributes:
        group: Pose group it was drawn for.
        condition: One of CONDITIONS.
        recombined: Whether limbs may come from other clips.
        footage: Of this clip alone.
        members: For every pose group the frames that belong to it; OTHER for the rest.
    """

    group: str
    condition: str
    recombined: bool
    footage: Footage
    members: dict[str, Bool[np.ndarray, " frame"]]


def joined(parts: Sequence[Mocap]) -> Mocap:
    """Put several splits into one mocap."""
    starts = np.cumsum([0] + [len(part.joints_m) for part in parts])
    clips = [
        replace(clip, start=clip.start + int(at))
        for part, at in zip(parts, starts, strict=False)
        for clip in part.clips
    ]
    return Mocap(joints_m=np.concatenate([part.joints_m for part in parts]), clips=tuple(clips))


def draw_benchmark2(mocap: Mocap) -> list[Benchmark2Clip]:
    """Draw the clips of the benchmark, in a fixed order.

    Args:
        mocap: Validation split and held-out subjects, `joined`.
    """
    drawn = []
    for number, group in enumerate(sorted(GROUP_WEIGHTS)):
        for count, condition in enumerate(CONDITIONS):
            rng = np.random.default_rng([SEED, number, count])
            picked = _pick(rng, mocap, group)
            if picked is not None:
                drawn += _draw(rng, mocap, *picked, group=group, condition=condition)
    return drawn


def benchmark2_hash(clips: list[Benchmark2Clip]) -> str:
    """SHA-256 over every drawn array; bits, so another machine may round differently."""
    digest = hashlib.sha256(VERSION.encode())
    for clip in clips:
        digest.update(f"{clip.group}/{clip.condition}".encode())
        for name in ("rays", "scores", "time_ns", "gravity", "pose_camera_m", "stature_m"):
            digest.update(np.ascontiguousarray(getattr(clip.footage, name)).tobytes())
    return digest.hexdigest()


def fingerprint_of(clips: list[Benchmark2Clip]) -> Fingerprint:
    """Return the fingerprint of the clips; see `fingerprints.is_same`."""
    names = [f"{clip.group}/{clip.condition}" for clip in clips]
    return fingerprint(VERSION, SEED, names, [clip.footage for clip in clips])


def _pick(
    rng: np.random.Generator, mocap: Mocap, group: str
) -> tuple[Int64[np.ndarray, " clip"], Float64[np.ndarray, " clip"]] | None:
    """Moments of a group, apart from one another; None where nobody shows it."""
    found = [one for one in mocap.moments if one.group == group]
    if not found:
        return None
    moments = found[0]
    order = rng.choice(len(moments.clip), len(moments.clip), replace=False, p=moments.chance)
    chosen: list[int] = []
    for index in order:
        near = [
            one
            for one in chosen
            if moments.clip[one] == moments.clip[index]
            and abs(moments.moment_s[one] - moments.moment_s[index]) < APART_S
        ]
        if not near and len(chosen) < CLIPS:
            chosen.append(int(index))
    return moments.clip[chosen], moments.moment_s[chosen]


def _draw(
    rng: np.random.Generator,
    mocap: Mocap,
    chosen: Int64[np.ndarray, " clip"],
    moment_s: Float64[np.ndarray, " clip"],
    *,
    group: str,
    condition: str,
) -> list[Benchmark2Clip]:
    """Film every picked moment; the odd ones with limbs of other clips."""
    config, drawn = CONDITIONS[condition], []
    for number in range(len(chosen)):
        recombined = number % 2 == 1
        time_ns = draw_times(rng, 1, FRAMES, config.times)
        joints_m, _ = draw_motion(
            rng,
            mocap,
            chosen[number : number + 1],
            time_ns,
            replace(config, recombined=float(recombined)),
            moment_s=moment_s[number : number + 1],
        )
        members = pose_groups(joints_m[0])
        members[OTHER] = ~np.any(list(members.values()), axis=0)
        drawn.append(
            Benchmark2Clip(
                group=group,
                condition=condition,
                recombined=recombined,
                footage=film(rng, joints_m, time_ns, np.zeros(1, np.int64), config),
                members=members,
            )
        )
    return drawn
