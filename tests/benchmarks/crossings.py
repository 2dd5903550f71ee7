"""Id switches and cost of the tracker over many drawn crossings of two and three people.

python -m tests.benchmarks.crossings --first 1000 --count 200
"""

import argparse
import shlex
import sys
import time
from collections import Counter
from itertools import count

import numpy as np

from langpose_rt.pipeline.tracker import Tracker
from tests.benchmarks.origin import origin
from tests.crossings import Crossing, draw_crossing, read_walkers, switches
from tests.fakes import person_px

MEMORY_S = 1.0


def tracked(crossing: Crossing) -> list[list[int]]:
    """The tracker's id of every detection; coordinates in image sizes, as the stream gives them."""
    tracker, scale = (
        Tracker(count().__next__, MEMORY_S),
        np.array([max(crossing.size_px)] * 2 + [1.0]),
    )
    ids, before_ns = [], 0
    for time_ns, keypoints in zip(crossing.time_ns, crossing.keypoints, strict=True):
        ids.append(tracker.ids_of(keypoints / scale, time_ns, before_ns))
        before_ns = time_ns
    return ids


def cost_us(people: int, frames: int = 1000) -> tuple[float, float]:
    """Median and 99th percentile of one frame with so many people who walk in rows."""
    rows = np.stack([person_px((person % 5 - 2.0, 0, 4 + person // 5)) for person in range(people)])
    rng, tracker, took_s = np.random.default_rng(0), Tracker(count().__next__, MEMORY_S), []
    for frame in range(frames):
        shaken = (rows + rng.normal(0, 1, rows.shape) * [1, 1, 0]) / np.array([1280, 1280, 1])
        start_s = time.perf_counter()
        tracker.ids_of(shaken, frame * 16_000_000, (frame - 1) * 16_000_000)
        took_s.append(time.perf_counter() - start_s)
    p50, p99 = np.quantile(1e6 * np.array(took_s), (0.5, 0.99)).tolist()
    return p50, p99


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=1000, help="first seed")
    parser.add_argument("--count", type=int, default=200, help="crossings drawn")
    arguments = parser.parse_args()
    walkers = read_walkers()
    print(origin("python -m tests.benchmarks.crossings " + shlex.join(sys.argv[1:])))
    found: Counter[int] = Counter()
    hidden_s = []
    for seed in range(arguments.first, arguments.first + arguments.count):
        crossing = draw_crossing(walkers, seed)
        hidden_s.append(crossing.occlusion_s)
        if number := switches(crossing, tracked(crossing)):
            found[seed] = number
    print(
        f"{arguments.count} crossings, seeds {arguments.first} on: {found.total()} id switches "
        f"(CLEAR MOT) in {len(found)} of them: seeds {sorted(found)}"
    )
    print(
        f"somebody is not detected for a while in {np.mean(np.array(hidden_s) > 0):.0%} of them, "
        f"for {np.max(hidden_s):.2f} s at most"
    )
    for people in (1, 8, 20):
        p50, p99 = cost_us(people)
        print(f"{people:2d} people: {p50:.0f} us a frame, p99 {p99:.0f} us")


if __name__ == "__main__":
    main()
