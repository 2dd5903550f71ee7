"""What the sliding window costs on this CPU: NumPy beside C++, at 1, 8 and 64 persons.

    python -m tests.benchmarks.window

Prints machine, commit and command with the figures; asserts nothing.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

from langpose_rt.window import native as host
from langpose_rt.window import reference
from langpose_rt.window.reference import Window
from tests.benchmarks.origin import origin

PERSONS = (1, 8, 64)
BLOCKS, FRAMES, CHANNELS, FEATURES = 4, 32, 256, 256
"""The `live` model: four blocks of one 256-wide token, a ring of 32."""

MAX_AGE_NS = 2_000_000_000
CALLS, ROUNDS = 200, 15


def main() -> None:
    """Print the table."""
    print(origin("python -m tests.benchmarks.window"))
    print(f"C++ built: {host.HOST_IS_NATIVE}")
    print(f"{BLOCKS} blocks x {FRAMES} frames x {CHANNELS} channels; float32; best of {ROUNDS}")
    print(f"{'us per call':<12}" + "".join(f"{f'{n} persons':>24}" for n in PERSONS))
    print(f"{'':<12}" + "".join(f"{'NumPy':>9}{'C++':>8}{'ratio':>7}" for _ in PERSONS))
    for name in ("push", "key_bias", "feature_at", "reset"):
        cells = []
        for persons in PERSONS:
            times = {twin: _best_us(_call(twin, name, persons)) for twin in (reference, host)}
            slow, fast = times[reference], times[host]
            cells.append(f"{slow:>9.1f}{fast:>8.1f}{slow / fast:>6.1f}x")
        print(f"{name:<12}" + "".join(cells), flush=True)


def _call(twin: object, name: str, persons: int) -> Callable[[], object]:
    """One operation on a full window, for persons in scattered slots."""
    random = np.random.default_rng(0)
    window = Window.empty(2 * persons, BLOCKS, FRAMES, CHANNELS, FEATURES)
    slots = random.permutation(2 * persons)[:persons].astype(np.int32)
    keys = random.standard_normal((persons, BLOCKS, CHANNELS), np.float32)
    features = random.standard_normal((persons, FEATURES), np.float32)
    time_ns = np.full(persons, FRAMES, np.int64)
    for frame in range(FRAMES):
        reference.push(window, slots, keys, keys, features, np.full(persons, frame, np.int64))
    arguments = {
        "push": (keys, keys, features, time_ns),
        "key_bias": (time_ns, MAX_AGE_NS),
        "feature_at": (np.full(persons, 3, np.int32),),
    }.get(name, ())
    function = getattr(twin, name)
    if name != "reset":
        return lambda: function(window, slots, *arguments)

    def reset_full() -> None:
        window.fill[slots] = FRAMES
        function(window, slots)

    return reset_full


def _best_us(call: Callable[[], object]) -> float:
    """The fastest of several rounds: other load on the machine only ever adds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        for _ in range(CALLS):
            call()
        best = min(best, time.perf_counter_ns() - start)
    return best / CALLS / 1e3


if __name__ == "__main__":
    sys.exit(main())
