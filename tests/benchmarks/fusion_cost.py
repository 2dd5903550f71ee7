"""Cost of a tick: five cameras and four people who are lifted, on one core, wall and CPU time.

python -m tests.benchmarks.fusion_cost
"""

import argparse
import os
import time

import numpy as np

from langpose_rt.fusion.volume import CaptureVolume
from langpose_rt.geometry.skeleton import SKELETONS
from tests.benchmarks.fusion_accuracy import scenes
from tests.benchmarks.origin import print_report

WARM_UP = 10


def tick_ms(cameras: int, people: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wall and CPU milliseconds of every tick, and CPU milliseconds of feeding its frames."""
    scene = next(iter(scenes(1, cameras, people, first=seed, lifted=True)))
    volume = CaptureVolume(scene.cameras, SKELETONS["h36m17"])
    wall, cpu, fed, feeding = [], [], [], 0.0
    for place, frame in enumerate(scene.frames):
        start = time.thread_time()
        volume.feed(
            frame.camera,
            frame.stamp_ns,
            frame.keypoints,
            now_ns=frame.arrival_ns,
            lifts=frame.lifts,
        )
        feeding += time.thread_time() - start
        more = scene.frames[place + 1 : place + 2]
        if not more or more[0].arrival_ns > frame.arrival_ns:
            start_wall, start = time.perf_counter(), time.thread_time()
            volume.tick(frame.arrival_ns)
            cpu.append(time.thread_time() - start)
            wall.append(time.perf_counter() - start_wall)
            fed.append(feeding)
            feeding = 0.0
    return tuple(1000 * np.array(values[WARM_UP:]) for values in (wall, cpu, fed))  # type: ignore[return-value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    report: dict[str, object] = {"load of the machine": os.getloadavg()[0]}
    for cameras, people in ((5, 4), (2, 1), (4, 6)):
        wall, cpu, fed = tick_ms(cameras, people)
        name = f"{cameras} cameras {people} people"
        report[f"{name}: tick CPU ms p50 p99"] = np.quantile(cpu, (0.5, 0.99)).tolist()
        report[f"{name}: tick wall ms p50 p99"] = np.quantile(wall, (0.5, 0.99)).tolist()
        report[f"{name}: feeding CPU ms p50"] = float(np.median(fed))
    print_report("fusion_cost", report, as_json=arguments.json)


if __name__ == "__main__":
    main()
