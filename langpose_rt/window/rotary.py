"""Rotary angles of continuous time: the position of a frame is its capture time, not its number."""

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.config import NS_PER_S

SHORTEST_PERIOD_S = 0.1
"""Below two frames of a 25 Hz camera, so that 25 Hz does not alias."""

LONGEST_PERIOD_S = 10.0


def rotary_periods_ns(count: int) -> Int[np.ndarray, " half"]:
    """Periods of the rotating channel pairs, geometric from the shortest to the longest.

    Source: ours; RoPE (Su et al. 2021) with seconds in place of indices.
    """
    return np.round(np.geomspace(SHORTEST_PERIOD_S, LONGEST_PERIOD_S, count) * NS_PER_S).astype(
        np.int64
    )


def rotary_table(
    time_ns: Int[np.ndarray, "*batch"], periods_ns: Int[np.ndarray, " half"]
) -> tuple[Float[np.ndarray, "*batch half"], Float[np.ndarray, "*batch half"]]:
    """Cosine and sine of every period's phase at the given times.

    The time is reduced to one period in whole nanoseconds before it becomes a float, so the angle
    is as exact after a year of uptime as in the first second.

    Args:
        time_ns: Capture times since any origin that all frames of a stream share.
        periods_ns: From `rotary_periods_ns`.

    Returns:
        New float32 arrays (cos, sin).
    """
    phase = (time_ns[..., None] % periods_ns) * (2.0 * np.pi / periods_ns)
    return np.cos(phase).astype(np.float32), np.sin(phase).astype(np.float32)
