"""What the pipeline's own Python costs per person: everything but the model.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.pipeline

Prints machine, commit and command with the figures; asserts nothing.
"""

import time

import numpy as np

from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.pipeline import Pipeline
from tests.benchmarks.origin import origin
from tests.fakes import MS, POSE, FakeBackend, keypoint_parts, person_px

CROWDS = ((1, 1), (1, 8), (8, 1), (16, 1))
"""Streams, and people in each."""

FRAMES, WARM = 1500, 200


class NoBackend(FakeBackend):
    """Answers at once, so that what is left is the pipeline."""

    def encode(
        self, rows: np.ndarray, extras: np.ndarray, slots: np.ndarray, time_ns: np.ndarray
    ) -> np.ndarray:
        del rows, extras, time_ns
        return np.zeros((len(slots), 4), np.float32)

    def lift(
        self, slots: np.ndarray, frames_back: np.ndarray, lag_s: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        del frames_back, lag_s
        return np.repeat(POSE[None], len(slots), 0), np.full((len(slots), 17), 0.02, np.float32)

    def reset(self, slots: np.ndarray) -> None:
        pass


def main() -> None:
    """Print the table."""
    print(origin("OMP_NUM_THREADS=1 python -m tests.benchmarks.pipeline"))
    print("us of CPU per person and frame, median; wire to wire without the model, filter low")
    print(f"{'streams x people':<18}{'ids':>10}{'receive':>9}{'step':>7}{'both':>7}")
    for streams, people in CROWDS:
        for tracked in (True, False):
            receive, step, both = _cost_us(streams, people, tracked=tracked)
            ids = "given" if tracked else "tracker"
            print(f"{streams} x {people:<14}{ids:>10}{receive:>9.0f}{step:>7.0f}{both:>7.0f}")


def _cost_us(streams: int, people: int, *, tracked: bool) -> tuple[float, float, float]:
    pipeline = Pipeline(NoBackend(64, 32), PipelineConfig())
    crowd = [person_px((0.5 * person - 1.5, 0.1, 4)) for person in range(people)]
    ids = range(people) if tracked else [-1] * people
    costs = []
    for frame in range(FRAMES):
        now_ms = 16 * frame
        messages = [
            keypoint_parts(*crowd, rig=f"rig{stream}", seq=frame, t_ms=now_ms, ids=list(ids))
            for stream in range(streams)
        ]
        start_ns = time.process_time_ns()
        for parts in messages:
            pipeline.receive(parts, now_ms * MS)
        received_ns = time.process_time_ns()
        pipeline.step(now_ms * MS)
        costs.append((received_ns - start_ns, time.process_time_ns() - received_ns))
    receive, step = np.median(np.array(costs[WARM:]), axis=0) / (1000 * streams * people)
    return receive, step, receive + step


if __name__ == "__main__":
    main()
