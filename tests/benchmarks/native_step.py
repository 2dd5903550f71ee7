"""What a step of the default model costs on one core: the native step beside ONNX Runtime.

    python -m tests.benchmarks.native_step

Encoder and lifter of 1, 8 and 64 people whose rings are full, in scattered slots. The backends take
turns in one process, so that other load meets all of them; CPU time of this thread, medians. Prints
machine, commit and command with the figures; asserts nothing.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np

from langpose_rt.manifest import read_manifest
from langpose_rt.runtime.backend import DEFAULT_MODEL, Backend
from langpose_rt.runtime.native import instruction_sets, open_native
from langpose_rt.runtime.registry import open_backend
from tests.benchmarks.origin import origin

PERSONS = (1, 8, 64)
SLOTS = 64
FRAME_NS = 16_666_667


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--steps", type=int, default=300, help="steps of each, fewer of many people"
    )
    steps = parser.parse_args(arguments).steps
    print(origin("python -m tests.benchmarks.native_step"))
    backends = opened()
    print(f"{'CPU ms a step':<16}" + "".join(f"{name:>22}" for name in backends))
    for persons in PERSONS:
        encoder, lifter = measured_ms(list(backends.values()), persons, max(20, steps // persons))
        for part, took in (("encoder", encoder), ("lifter", lifter), ("both", encoder + lifter)):
            cells = (f"{ms:>14.3f} ({took[0] / ms:>4.1f}x)" for ms in took)
            print(f"{persons:>2} {part:<13}" + "".join(cells), flush=True)


def opened() -> dict[str, Backend]:
    """Return ONNX Runtime, then the native step with every instruction set of this processor."""
    manifest = read_manifest(DEFAULT_MODEL)
    backends: dict[str, Backend] = {"onnx": open_backend(None, "onnx", slots=SLOTS)}
    for name in instruction_sets():
        backends[f"native, {name}"] = open_native(
            DEFAULT_MODEL, manifest, slots=SLOTS, precision="fp32", instruction_set=name
        )
    return backends


def measured_ms(backends: list[Backend], persons: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the median CPU time of encoder and lifter, one number a backend."""
    random = np.random.default_rng(0)
    slots = random.permutation(SLOTS)[:persons].astype(np.int32)
    rows = random.standard_normal((persons, 17, 3)).astype(np.float32)
    extras = random.standard_normal((persons, 7)).astype(np.float32)
    back, lag_s = np.zeros(persons, np.int32), np.zeros(persons, np.float32)
    filled = backends[0].frames + 1
    took_ns = np.empty((2, steps, len(backends)))
    for backend in backends:
        backend.reset(np.arange(SLOTS, dtype=np.int32))
    for step in range(filled + steps):
        now_ns = np.full(persons, step * FRAME_NS, np.int64)
        for index, backend in enumerate(backends):
            start_ns = time.thread_time_ns()
            backend.encode(rows, extras, slots, now_ns)
            encoded_ns = time.thread_time_ns()
            backend.lift(slots, back, lag_s)
            if step >= filled:
                lifted_ns = time.thread_time_ns()
                took_ns[:, step - filled, index] = encoded_ns - start_ns, lifted_ns - encoded_ns
    encoder, lifter = np.median(took_ns, axis=1) / 1e6
    return encoder, lifter


if __name__ == "__main__":
    sys.exit(main())
