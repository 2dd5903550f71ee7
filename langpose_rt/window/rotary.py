"""Rotary phases of continuous time: the position of a frame is its capture time, not its index."""

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.config import NS_PER_S

SHORTEST_PERIOD_S = 0.1
"""More than two frames of a 25 Hz camera, so that 25 Hz does not alias."""

LONGEST_PERIOD_S = 10.0


def rotary_periods_ns(count: int) -> Int[np.ndarray, " half"]:
    """Return the periods of the channel pairs, geometric from the shortest to the longest.

    Source: ours; RoPE (Su et al. 2021) with seconds in place of indices.
    """
    return np.round(np.geomspace(SHORTEST_PERIOD_S, LONGEST_PERIOD_S, count) * NS_PER_S).astype(
        np.int64
    )


def rotary_table(
    time_ns: Int[np.ndarray, "*batch"], periods_ns: Int[np.ndarray, " half"]
) -> tuple[Float[np.ndarray, "*batch half"], Float[np.ndarray, "*batch half"]]:
    """Compute cosine and sine of every period's phase at the given times.

    The time is reduced modulo the period in whole nanoseconds before the conversion to float, so
    precision does not depend on the uptime.

    Args:
        time_ns: Capture times since an origin that all frames of a stream share.
        periods_ns: Periods from `rotary_periods_ns`.

    Returns:
        New float32 arrays (cos, sin).
    """
    phase = (time_ns[..., None] % periods_ns) * (2.0 * np.pi / periods_ns)
    return np.cos(phase).astype(np.float32), np.sin(phase).astype(np.float32)
