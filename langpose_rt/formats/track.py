"""Track: one person of one stream over time, the input of every file writer.

Tracks are made in `lifted_npz.py` and `recording/tracks.py`.

Motion files need a fixed frame rate and an upright axis, so before writing a track is

    resampled   linearly to a fixed rate; nothing is invented across a gap of more than 0.2 s
    levelled    from the recorded axes to level ones: z up against gravity; a person who faces the
                camera faces x. Without a known gravity the camera is taken for level, and z for the
                up axis of a world (`geometry/level_axes.py`)
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError
from langpose_rt.geometry.level_axes import Vector, level_from_pose

LONGEST_GAP_S = 0.2
"""Frames farther apart are not interpolated."""

USUAL_RATES_HZ = (10, 12, 12.5, 15, 20, 24, 25, 30, 48, 50, 60, 75, 90, 100, 120, 150, 200, 240)
TELEVISION_RATES_HZ = tuple(rate * 1000 / 1001 for rate in (24, 30, 60, 120, 240))
"""23.976, 29.97 and their multiples, exactly."""

_USUAL_WITHIN = 0.02
_TELEVISION_WITHIN = 0.0005
_REGULAR_WITHIN = 0.001

MOST_FRAMES = 4_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """A person of one stream, at the capture times, in metres.

    Attributes:
        stream: "rig/camera".
        person: Id of the person.
        t_ns: Rising capture times.
        joints: Absolute positions where the root is known, else relative to it.
        sigma_m: Predicted standard deviation of every joint.
        frame: Axes of the joints: "camera", "world" or "level".
        gravity: Unit vector that points down, in those axes; None if it is not known.
        level_src: Source of the gravity, as in pose messages.
        name: Name of the person, where a tracker gave a text.
    """

    stream: str
    person: int
    t_ns: Int[np.ndarray, " frame"]
    joints: Float[np.ndarray, "frame 17 3"]
    sigma_m: Float[np.ndarray, "frame 17"]
    frame: str = "camera"
    gravity: Vector | None = None
    level_src: str = "none"
    name: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """A track at a fixed rate in level axes, with z up.

    Attributes:
        rate_hz: Frames a second.
        first_s: Time of the first frame since the first one of the recording.
        joints: In metres; NaN where the person is missing.
        sigma_m: Predicted standard deviation of every joint; NaN likewise.
    """

    rate_hz: float
    first_s: float
    joints: Float[np.ndarray, "frame 17 3"]
    sigma_m: Float[np.ndarray, "frame 17"]

    @property
    def present(self) -> Bool[np.ndarray, " frame"]:
        """Frames in which the person is present."""
        return np.asarray(np.isfinite(self.joints).all((1, 2)))


def motion_from_track(
    track: Track,
    rate_hz: float | None = None,
    *,
    origin_ns: int = 0,
    from_origin: bool = False,
) -> Motion:
    """Resample a track to a fixed rate and rotate it to level axes.

    Args:
        track: At least two frames.
        rate_hz: Frames a second; None is the rate of the track, see `rate_of_times`.
        origin_ns: Time that counts as 0.
        from_origin: Start at the origin, for formats without a start time; the person is missing
            until the track starts.

    Raises:
        ConfigError: If the track is too short, the rate is out of range, or there would be too many
            frames.
    """
    if len(track.t_ns) < 2:
        raise ConfigError(f"person {track.person} of {track.stream} has a single frame; expected 2")
    start_ns = min(origin_ns, int(track.t_ns[0])) if from_origin else int(track.t_ns[0])
    t_s = (track.t_ns - start_ns) / NS_PER_S
    rate_hz = rate_of_times(track.t_ns) if rate_hz is None else rate_hz
    if not 0.1 <= rate_hz <= 10_000:
        raise ConfigError(f"--rate is {rate_hz:g}; expected 0.1 to 10000 Hz")
    # the tolerance keeps the last frame of a regular clip in spite of rounding
    frames = int(t_s[-1] * rate_hz + 1e-6) + 1
    if frames > MOST_FRAMES:
        raise ConfigError(
            f"person {track.person} of {track.stream} would have {frames} frames; "
            "choose a lower --rate"
        )
    joints = levelled(track).joints
    values = np.concatenate([joints, track.sigma_m[..., None].astype(np.float64)], -1)
    found = _resampled(values, t_s, np.arange(frames) / rate_hz)
    first_s = (start_ns - origin_ns) / NS_PER_S
    return Motion(rate_hz=rate_hz, first_s=first_s, joints=found[..., :3], sigma_m=found[..., 3])


def rate_of_times(t_ns: Int[np.ndarray, " frame"]) -> float:
    """Return the frame rate of capture times, so that frame n lies n intervals after the first.

    Regular times (a file) keep their own rate, 29.97 as 30000/1001. Times with jitter (a live
    camera) get the usual rate within 2 %. Missing frames of a gap are counted.
    """
    steps_ns = np.diff(t_ns).astype(np.float64)
    median_ns = float(np.median(steps_ns))
    frames = np.maximum(np.rint(steps_ns / median_ns), 1)
    rate_hz = float(frames.sum() / steps_ns.sum()) * NS_PER_S
    regular = abs(steps_ns - frames * NS_PER_S / rate_hz).max() <= _REGULAR_WITHIN * median_ns + 1
    return _near_rate(rate_hz) if regular else usual_rate_hz(rate_hz)


def _near_rate(rate_hz: float) -> float:
    rates = (*TELEVISION_RATES_HZ, *map(float, USUAL_RATES_HZ))
    nearest = min(rates, key=lambda rate: abs(rate - rate_hz))
    close = abs(nearest - rate_hz) <= _TELEVISION_WITHIN * nearest
    return nearest if close else round(rate_hz, 4)


def levelled(track: Track) -> Track:
    """Return a track in level axes."""
    if track.frame == "level":
        return track
    rotation = level_from_pose(track.frame, track.gravity)
    joints = track.joints.astype(np.float64) @ rotation.T
    return replace(track, joints=joints, frame="level", gravity=(0.0, 0.0, -1.0))


def usual_rate_hz(rate_hz: float) -> float:
    """Return the usual frame rate within 2 %, if there is one; else the rate to a hundredth."""
    for television in TELEVISION_RATES_HZ:
        if abs(television - rate_hz) <= _TELEVISION_WITHIN * television:
            return television
    nearest = min(map(float, USUAL_RATES_HZ), key=lambda usual: abs(usual - rate_hz))
    return nearest if abs(nearest - rate_hz) <= _USUAL_WITHIN * nearest else round(rate_hz, 2)


def in_axes(motion: Motion, R: Float[np.ndarray, "3 3"]) -> Motion:
    """Return a motion rotated from z up to other axes."""
    return replace(motion, joints=motion.joints @ R.T)


def _resampled(
    values: Float[np.ndarray, "frame 17 4"],
    t_s: Float[np.ndarray, " frame"],
    wanted_s: Float[np.ndarray, " wanted"],
) -> Float[np.ndarray, "wanted 17 4"]:
    """Interpolate values at other times, linearly; NaN within long gaps."""
    after = np.clip(np.searchsorted(t_s, wanted_s), 1, len(t_s) - 1)
    before = after - 1
    step_s = t_s[after] - t_s[before]
    share = np.clip((wanted_s - t_s[before]) / step_s, 0.0, 1.0)[:, None, None]
    found = values[before] * (1 - share) + values[after] * share
    at_a_frame = np.minimum(wanted_s - t_s[before], t_s[after] - wanted_s) < 1e-6
    found[(step_s > LONGEST_GAP_S) & ~at_a_frame] = np.nan
    found[wanted_s < t_s[0] - 1e-6] = np.nan
    return np.asarray(found)
