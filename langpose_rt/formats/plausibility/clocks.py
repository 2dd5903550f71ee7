"""Plausibility checks of capture clocks: unit and speed."""

import math

import numpy as np
from jaxtyping import Int

from langpose_rt.formats.plausibility.finding import Finding

MIN_INTERVAL_NS = 900_000
"""Shortest plausible interval between frames: a little less than that of 1000 Hz."""

_LONGEST_INTERVAL_NS = 2_000_000_000
_FRAME_RATES_HZ = (1.0, 1000.0)
_USUAL_RATE_HZ = 50.0
_UNITS_NS = {"microseconds": 1e3, "milliseconds": 1e6, "seconds": 1e9, "ticks of 100 ns": 1e2}
_CLOCK_SPEEDS = (0.3, 4.0)
"""Capture time over receive time; within these, poses are less than 50 mm off."""


def clock_finding(t_ns: Int[np.ndarray, " frame"]) -> Finding | None:
    """Check the interval between frames against the frame rates of cameras.

    Args:
        t_ns: Rising capture times, nominally in nanoseconds.
    """
    if len(t_ns) < 2:
        return None
    interval = float(np.median(np.diff(t_ns)))
    if interval >= _LONGEST_INTERVAL_NS:
        detail = f"frames are {interval / 1e9:.3g} s apart; if that is wrong, send nanoseconds"
        return Finding("slow_clock", detail, impossible=False)
    if interval >= MIN_INTERVAL_NS:
        return None
    unit = _time_unit(t_ns, interval)
    looks = f"; they look like {unit}" if unit else ""
    detail = f"frames are {interval:g} ns apart{looks}; expected nanoseconds"
    return Finding("bad_clock", detail, impossible=True)


def _time_unit(t_ns: Int[np.ndarray, " frame"], interval: float) -> str:
    if (np.diff(t_ns) == 1).all():
        return "frame numbers"
    rates = {unit: 1e9 / max(interval * ns, 1e-9) for unit, ns in _UNITS_NS.items()}
    least, most = _FRAME_RATES_HZ
    likely = [unit for unit, rate in rates.items() if least <= rate <= most]
    return min(likely, key=lambda unit: abs(math.log(rates[unit] / _USUAL_RATE_HZ)), default="")


def clock_speed_finding(captured_ns: int, received_ns: int) -> Finding | None:
    """Check how fast a capture clock runs against the receive clock.

    Args:
        captured_ns: Capture time between two frames that are far apart.
        received_ns: Time between their arrivals.
    """
    speed = captured_ns / max(received_ns, 1)
    if _CLOCK_SPEEDS[0] <= speed <= _CLOCK_SPEEDS[1]:
        return None
    detail = (
        f"capture times run {speed:.3g} times as fast as the frames arrive; expected nanoseconds, "
        "unless a recording is played at another speed or a detector is slower than its video"
    )
    return Finding("odd_clock", detail, impossible=False)
