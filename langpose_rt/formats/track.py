"""Track: one person of one stream over time, the input of every file writer.

Tracks are made in `lifted_npz.py` and `recording/tracks.py`.

Motion files need a fixed frame rate and an upright axis, so before writing a track is

    resampled   linearly to a fixed rate; nothing is invented across a gap of more than 0.2 s
    rotated     from the recorded axes to axes with z up: x forward, y left, z up of a person facing
                the camera. Poses in world axes are rotated so that the up axis of the world is z
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError

LONGEST_GAP_S = 0.2
"""Frames farther apart are not interpolated."""

USUAL_RATES_HZ = (10, 12, 12.5, 15, 20, 24, 25, 30, 48, 50, 60, 75, 90, 100, 120, 150, 200, 240)
TELEVISION_RATES_HZ = tuple(rate * 1000 / 1001 for rate in (24, 30, 60, 120, 240))
"""23.976, 29.97 and their multiples, exactly."""

_USUAL_WITHIN = 0.02
_TELEVISION_WITHIN = 0.0005
_REGULAR_WITHIN = 0.001

MOST_FRAMES = 4_000_000

Z_UP_FROM_CAMERA = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""Camera axes (x right, y down, z forward) to x towards the camera, y to its right, z up."""

UP_AXES = {
    f"{sign}{axis}": np.array([float(f"{sign}1") * (axis == a) for a in "xyz"])
    for sign in ("", "-")
    for axis in "xyz"
}
"""Directions the up axis of a world may have."""


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


def motion_from_track(
    track: Track,
    rate_hz: float | None = None,
    *,
    origin_ns: int = 0,
    from_origin: bool = False,
    up: str = "z",
) -> Motion:
    """Resample a track to a fixed rate and rotate it to z up.

    Args:
        track: At least two frames.
        rate_hz: Frames a second; None is the rate of the track, see `rate_of_times`.
        origin_ns: Time that counts as 0.
        from_origin: Start at the origin, for formats without a start time; the person is missing
            until the track starts.
        up: Up axis of the world axes, a key of UP_AXES.

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
    rotation = Z_UP_FROM_CAMERA if track.frame == "camera" else z_up_from_world(up)
    joints_z_up = track.joints.astype(np.float64) @ rotation.T
    values = np.concatenate([joints_z_up, track.sigma_m[..., None].astype(np.float64)], -1)
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


def z_up_from_world(up: str) -> Float[np.ndarray, "3 3"]:
    """Return the rotation from a world with this up axis to one with z up.

    Raises:
        ConfigError: If up is not a key of UP_AXES.
    """
    if up not in UP_AXES:
        raise ConfigError(f"up is {up!r}; expected one of {', '.join(UP_AXES)}")
    z = UP_AXES[up]
    if up == "z":
        return np.eye(3)
    x = np.roll(abs(z), 1)
    return np.stack([x, np.cross(z, x), z])


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
