"""What the plausibility checks of a stream cost per message, at 1, 8 and 64 people.

python -m tests.benchmarks.plausibility

CPU time of the thread, so that other load on the machine does not count. "first" are the messages
that are checked closely, "settled" those of a stream that has proved plausible. Prints machine,
commit and command with the figures; asserts nothing.
"""

import time
from dataclasses import replace

import numpy as np

from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.formats.readers import read_clip
from langpose_rt.pipeline.offline import frames_of_clip
from langpose_rt.pipeline.stream_plausibility import SETTLED_FRAMES, StreamPlausibility
from langpose_rt.protocol.messages import KeypointMessage
from tests.benchmarks.origin import origin

PEOPLE = (1, 8, 64)
MESSAGES = 4096
STEP_NS = 16_666_667


def main() -> None:
    """Print the table."""
    print(origin("python -m tests.benchmarks.plausibility"))
    print(f"{'microseconds':<14}{'first':>10}{'settled':>10}{'median':>10}{'p99':>10}")
    frames = list(frames_of_clip(read_clip(DEMO_CLIP), "rig0", "cam0", epoch=1))
    for people in PEOPLE:
        spent_us = _spent_us(frames, people)
        first, settled = spent_us[:SETTLED_FRAMES], spent_us[SETTLED_FRAMES:]
        cells = first.mean(), settled.mean(), np.median(settled), np.quantile(settled, 0.99)
        name = f"{people} people"
        print(f"{name:<14}" + "".join(f"{cell:>10.1f}" for cell in cells), flush=True)


def _spent_us(frames: list[KeypointMessage], people: int) -> np.ndarray:
    """Microseconds of every message of a stream that repeats the clip."""
    stream, spent_ns = StreamPlausibility(), []
    for number in range(MESSAGES):
        frame = frames[number % len(frames)]
        keypoints = np.repeat(frame.keypoints, people, 0)
        t_ns = number * STEP_NS
        message = replace(frame, seq=number, t_ns=t_ns, keypoints=keypoints)
        start_ns = time.thread_time_ns()
        stream.check(message, t_ns)
        spent_ns.append(time.thread_time_ns() - start_ns)
    assert not stream.new_findings()
    return np.array(spent_ns) / 1e3


if __name__ == "__main__":
    main()
