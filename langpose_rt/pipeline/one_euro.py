"""Low-pass One-Euro filter for many persons at once: published poses, never model input.

The caller assigns slots to persons and resets them.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError

SMOOTHINGS = {"off": None, "low": (6.0, 60.0), "high": (1.5, 3.0)}
"""Cutoff at rest in Hz, and by how many Hz a speed of 1 m/s raises it.

The delay is 1 / (2 pi cutoff): ``low`` 27 ms at rest and 2 ms at 1 m/s, ``high`` 106 ms and 35 ms.

Source: ours; the shape of the filter is Casiez et al.'s.
"""

SPEED_CUTOFF_HZ = 3.0
_NEVER = np.int64(-1)


def smoothing_named(name: str) -> tuple[float, float] | None:
    """Return cutoff and its rise of one of SMOOTHINGS; None for no smoothing.

    Raises:
        ConfigError: If there is no such smoothing.
    """
    if name not in SMOOTHINGS:
        raise ConfigError(f"unknown smoothing {name!r}; expected one of {', '.join(SMOOTHINGS)}")
    return SMOOTHINGS[name]


class OneEuro:
    """A low-pass filter per point whose cutoff rises with the point's speed.

    The speed is the length of the velocity vector, so that turning the axes turns the result and
    changes nothing else.

    Args:
        slots: Number of persons.
        cutoff_hz: Cutoff at rest, one per point.
        rise_hz: How much a speed of 1 m/s adds to it, one per point.

    Source:
        Casiez, Roussel and Vogel, CHI 2012, algorithm 1. Ours: speed is a vector's length, and is
        taken between the points themselves, so that it does not grow with the filter's own delay.
    """

    def __init__(self, slots: int, cutoff_hz: Sequence[float], rise_hz: Sequence[float]) -> None:
        points = len(cutoff_hz)
        self._cutoff_hz = np.array(cutoff_hz, np.float32)
        self._rise_hz = np.array(rise_hz, np.float32)
        self._value = np.zeros((slots, points, 3), np.float32)
        self._raw = np.zeros((slots, points, 3), np.float32)
        self._velocity = np.zeros((slots, points, 3), np.float32)
        self._time_ns = np.full(slots, _NEVER)

    def step(
        self,
        slots: Int[np.ndarray, " batch"],
        points_m: Float[np.ndarray, "batch point 3"],
        time_ns: Int[np.ndarray, " batch"],
    ) -> Float[np.ndarray, "batch point 3"]:
        """Return the newest points of the given persons, smoothed.

        Args:
            slots: Distinct slots of the persons.
            points_m: Finite points.
            time_ns: Capture times since the stream's origin, not negative, rising per slot.

        Returns:
            A new array; the first points of a person come back as they are.
        """
        before = self._time_ns[slots]
        known = (before >= 0)[:, None, None]
        dt_s = (np.maximum(time_ns - before, 1000) / NS_PER_S).astype(np.float32)[:, None]
        value, velocity = self._value[slots], self._velocity[slots]
        now = (points_m - self._raw[slots]) / dt_s[..., None]
        share = _share(np.float32(SPEED_CUTOFF_HZ), dt_s)[..., None]
        velocity = np.where(known, velocity + share * (now - velocity), 0)
        speed = np.sqrt((velocity * velocity).sum(-1))
        share = _share(self._cutoff_hz + self._rise_hz * speed, dt_s)[..., None]
        value = np.where(known, value + share * (points_m - value), points_m)
        self._value[slots], self._raw[slots] = value, points_m
        self._velocity[slots], self._time_ns[slots] = velocity, time_ns
        return value

    def reset(self, slots: Int[np.ndarray, " batch"]) -> None:
        """Clear the state of the given persons."""
        self._time_ns[slots] = _NEVER


def _share(cutoff_hz: np.ndarray | np.float32, dt_s: np.ndarray) -> np.ndarray:
    """Return the weight of the newest value in a first-order low pass."""
    angle = 2 * np.pi * cutoff_hz * dt_s
    return np.asarray(angle / (angle + 1.0), np.float32)
