"""Model of large clusters: what 10, 1,000 and 100,000 streams need, from figures measured here.

python -m tests.benchmarks.cluster_scale --front-us 200 --plot docs/images/scale.svg

Streams of one person send at camera rate with random phases and jitter. A lifter core takes what
waits in one step, whose time is a + b x people (docs/benchmarks/cpu_step.md). A front costs a fixed
time per frame. The simulation finds the streams that one core carries with p99 within a limit; the
rest is arithmetic.
"""

import argparse
import math
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.benchmarks.origin import origin

STEP_MS = {1: 2.60, 8: 3.84, 64: 18.6}
"""Processor time of a step, whole path, native backend on AVX2 (docs/benchmarks/scale.md)."""

FRAME_BYTES, POSE_BYTES = 951, 1400
"""A frame of two people and its pose message, about, with ZeroMQ's framing."""

JITTER_MS = 2.0
FULL = 0.7
"""Share of a front's core that is used at most."""


@dataclass(frozen=True)
class Needs:
    """What a number of streams needs."""

    streams: int
    lifter_cores: int
    fronts: int
    front_mbit_s: float


def step_model() -> tuple[float, float]:
    """Return a and b of the time of a step, ms, fitted to the measured ones in relative error."""
    people, times = np.array(list(STEP_MS)), np.array(list(STEP_MS.values()))
    columns = np.stack([np.ones_like(times), people], 1) / times[:, None]
    (a, b), *_ = np.linalg.lstsq(columns, np.ones_like(times), rcond=None)
    return float(a), float(b)


def delays_ms(streams: int, rate_hz: float, seconds: float, seed: int = 0) -> np.ndarray:
    """Return the time from arrival to the end of its step of every frame at one core."""
    random, (a, b) = np.random.default_rng(seed), step_model()
    period_ms = 1000 / rate_hz
    frames = np.arange(int(seconds * rate_hz))
    phase = random.uniform(0, period_ms, streams)
    arrivals = frames[:, None] * period_ms + phase + random.exponential(JITTER_MS, (1, streams))
    arrivals = np.sort((arrivals + random.exponential(JITTER_MS, arrivals.shape)).ravel())
    now_ms, first, delays = 0.0, 0, []
    while first < len(arrivals):
        now_ms = max(now_ms, arrivals[first])
        last = min(int(np.searchsorted(arrivals, now_ms, "right")), first + streams)
        now_ms += a + b * (last - first)
        delays.append(now_ms - arrivals[first:last])
        first = last
    return np.concatenate(delays)


def streams_per_core(rate_hz: float, limit_ms: float) -> int:
    """Return the most streams of one person that one core carries with p99 within the limit."""
    low, high = 1, 256
    while low < high:
        middle = (low + high + 1) // 2
        if np.quantile(delays_ms(middle, rate_hz, 10.0), 0.99) <= limit_ms:
            low = middle
        else:
            high = middle - 1
    return low


def needs(streams: int, rate_hz: float, per_core: int, front_us: float) -> Needs:
    """Return what a number of streams needs."""
    per_front = FULL * 1e6 / (front_us * rate_hz)
    fronts = max(math.ceil(streams / per_front), 1)
    share = streams / fronts
    mbit_s = share * rate_hz * 2 * (FRAME_BYTES + POSE_BYTES) * 8 / 1e6
    return Needs(streams, math.ceil(streams / per_core), fronts, mbit_s)


def plot(path: Path, rate_hz: float, per_core: int, front_us: float) -> None:
    """Draw cores and fronts over streams, and p99 over the streams of one core."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "langpose"
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    counts = sorted({1, *range(4, per_core + 16, 4)})
    worst = [np.quantile(delays_ms(count, rate_hz, 10.0), 0.99) for count in counts]
    left.plot(counts, worst, color="#1f6f8b")
    left.axvline(per_core, color="#999999", linestyle=":")
    left.set(xlabel="streams of one person at one core", ylabel="p99 at the lifter, ms")
    left.set_yscale("log")
    streams = np.unique(np.logspace(0, 5, 200).astype(int))
    found = [needs(int(count), rate_hz, per_core, front_us) for count in streams]
    right.loglog(streams, [n.lifter_cores for n in found], label="lifter cores", color="#1f6f8b")
    right.loglog(streams, [n.fronts for n in found], label="fronts", color="#d1495b")
    right.set(xlabel=f"streams at {rate_hz:g} Hz", ylabel="number")
    right.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate-hz", type=float, default=60.0)
    parser.add_argument("--limit-ms", type=float, default=25.0)
    parser.add_argument("--front-us", type=float, required=True)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    a, b = step_model()
    per_core = streams_per_core(arguments.rate_hz, arguments.limit_ms)
    per_front = FULL * 1e6 / (arguments.front_us * arguments.rate_hz)
    print(origin("python -m tests.benchmarks.cluster_scale " + shlex.join(sys.argv[1:])))
    print(f"a step takes {a:.2f} ms + {b:.3f} ms a person")
    print(f"one core carries {per_core} streams, one front {per_front:.0f} at {FULL:.0%} of a core")
    for count in (10, 1_000, 100_000):
        found = needs(count, arguments.rate_hz, per_core, arguments.front_us)
        print(
            f"{found.streams} streams: {found.lifter_cores} lifter cores, {found.fronts} fronts, "
            f"{found.front_mbit_s:.0f} Mbit/s in and out of each front"
        )
    if arguments.plot is not None:
        plot(arguments.plot, arguments.rate_hz, per_core, arguments.front_us)


if __name__ == "__main__":
    main()
