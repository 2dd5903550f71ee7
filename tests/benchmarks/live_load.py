"""Two minutes of live load on a real server: shed frames, latency, and whether memory grows.

python -m tests.benchmarks.live_load --persons 8 --seconds 120
"""

import argparse
import shlex
import sys

from langpose_rt.benchmark.child_server import child_server
from langpose_rt.benchmark.load import Load, run_load
from tests.benchmarks.origin import origin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--persons", type=int, default=8)
    parser.add_argument("--rate-hz", type=float, default=60.0)
    parser.add_argument("--seconds", type=float, default=120.0)
    arguments = parser.parse_args()
    load = Load(persons=arguments.persons, rate_hz=arguments.rate_hz, seconds=arguments.seconds)
    with child_server([]) as server:
        result = run_load(server, load)
    latency, memory = result.latency, result.resident_mb
    half = len(memory) // 2
    print(origin("python -m tests.benchmarks.live_load " + shlex.join(sys.argv[1:])))
    print(f"{load.persons} people x {load.rate_hz:g} Hz x {load.seconds:g} s, through sockets")
    print(
        f"frames sent {result.frames_sent}, answered {result.frames_answered}, shed {result.shed}"
    )
    print(
        f"server-added latency p50 {latency.p50_ms:.2f}, p95 {latency.p95_ms:.2f}, "
        f"p99 {latency.p99_ms:.2f} ms, without the first second"
    )
    if half:
        grown = memory[-1] - memory[half]
        print(f"memory {memory[-1]:.1f} MB, grown by {grown:.2f} MB in the second half")


if __name__ == "__main__":
    main()
