"""Track: one person of one stream over time, the input of every file writer.

Tracks are made in `lifted_npz.py` and `recording/tracks.py`.

Motion files need a fixed frame rate and an upright axis, so before writing a track is

    resampled   linearly to a fixed rate; nothing is invented across a gap of more than 0.2 s
    rotated     from the recorded axes to axes with z up: x forward, y left, z up of a person facing
                the camera. Poses in world axes are assumed to be z up and kept as they are
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError

LONGEST_GAP_S = 0.2
"""Frames farther apart are not interpolated."""

USUAL_RATES_HZ = (10, 12, 12.5, 15, 20, 24, 25, 30, 48, 50, 60, 75, 90, 100, 120, 150, 200, 240)
_USUAL_WITHIN = 0.02

MOST_FRAMES = 4_000_000

Z_UP_FROM_CAMERA = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Camera axes (x right, y down, z forward) to x towards the camera, y to its right, z up."""

_AXES = {"camera": Z_UP_FROM_CAMERA, "world": np.eye(3)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """A person of one stream, at the capture times, in metres.

    Attributes:
        stream: "rig/camera".
        person: Id of the person.
        t_ns: Rising capture times.
        joints: Absolute positions where the root is known, else relative to it.
        sigma_m: Predicted standard deviation of every joint.
        frame: Axes of the joints: "camera" or "world".
    """

    stream: str
    person: int
    t_ns: Int[np.ndarray, " frame"]
    joints: Float[np.ndarray, "frame 17 3"]
    sigma_m: Float[np.ndarray, "frame 17"]
    frame: str = "camera"


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """A track at a fixed rate with z up.

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


def motion_from_track(track: Track, rate_hz: float | None = None, *, origin_ns: int = 0) -> Motion:
    """Resample a track to a fixed rate and rotate it to z up.

    Args:
        track: At least two frames.
        rate_hz: Frames a second; None is the median rate of the track, or the usual one within
            2 % of it.
        origin_ns: Time that counts as 0.

    Raises:
        ConfigError: If the track is too short, the rate is out of range, or there would be too many
            frames.
    """
    if len(track.t_ns) < 2:
        raise ConfigError(f"person {track.person} of {track.stream} has a single frame; expected 2")
    t_s = (track.t_ns - track.t_ns[0]) / NS_PER_S
    rate_hz = usual_rate_hz(float(1 / np.median(np.diff(t_s)))) if rate_hz is None else rate_hz
    if not 0.1 <= rate_hz <= 10_000:
        raise ConfigError(f"--rate is {rate_hz:g}; expected 0.1 to 10000 Hz")
    # the tolerance keeps the last frame of a regular clip in spite of rounding
    frames = int(t_s[-1] * rate_hz + 1e-6) + 1
    if frames > MOST_FRAMES:
        raise ConfigError(
            f"person {track.person} of {track.stream} would have {frames} frames; "
            "choose a lower --rate"
        )
    joints_z_up = track.joints.astype(np.float64) @ _AXES[track.frame].T
    values = np.concatenate([joints_z_up, track.sigma_m[..., None].astype(np.float64)], -1)
    found = _resampled(values, t_s, np.arange(frames) / rate_hz)
    first_s = int(track.t_ns[0] - origin_ns) / NS_PER_S
    return Motion(rate_hz=rate_hz, first_s=first_s, joints=found[..., :3], sigma_m=found[..., 3])


def usual_rate_hz(rate_hz: float) -> float:
    """Return the usual frame rate within 2 %, if there is one; else the rate to a hundredth."""
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
    return np.asarray(found)
