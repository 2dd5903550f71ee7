"""Many rigs for minutes: frames shed, latency, processor time, and whether memory grows.

python -m tests.benchmarks.rigs --rigs 16 --persons 1 --rate-hz 60 --seconds 600
"""

import argparse

from langpose_rt.benchmark.child_server import child_server
from tests.benchmarks.fleet import Fleet, Phase, Sent, fleet_process, frames_per_s
from tests.benchmarks.ledger import Ledger, listening
from tests.benchmarks.origin import print_report
from tests.benchmarks.watch import Watch, settled_status, watching

WARM_UP_S = 60.0


def figures(sent: Sent, ledger: Ledger, watch: Watch, counters: dict[str, int]) -> dict[str, float]:
    """Everything that is reported, by name."""
    warm_s = min(WARM_UP_S, (sent.begun_ns[-1] - sent.begun_ns[0]) / 4e9)
    p50, p95, p99 = ledger.added_ms(sent.begun_ns[0] + round(1e9))
    cpu = watch.cpu_share(2.0)
    person_frames_per_s = frames_per_s(sent, 0) * (sum(ledger.persons) / max(len(ledger), 1))
    slope, error = watch.growth_mb_per_h(warm_s)
    return {
        "frames_sent": sum(sent.frames[0]),
        "frames_per_s": frames_per_s(sent, 0),
        "answered": counters["frames"],
        "received": len(ledger),
        "missed_by_this_consumer": ledger.missed,
        "shed": counters["shed"],
        "gap": counters["gap"],
        "added_p50_ms": p50,
        "added_p95_ms": p95,
        "added_p99_ms": p99,
        "server_cpu_share": cpu,
        "server_cpu_ms_per_person_frame": 1e3 * cpu / person_frames_per_s,
        "sent_late_p99_ms": sent.behind_ms[0],
        "sent_late_most_ms": sent.most_behind_ms[0],
        "resident_mb": watch.resident_mb[-1],
        "growth_mb_per_h": slope,
        "growth_standard_error": error,
        "growth_after_s": warm_s,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rigs", type=int, default=16)
    parser.add_argument("--persons", type=int, default=1)
    parser.add_argument("--rate-hz", type=float, default=60.0)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--untracked", action="store_true", help="the server tracks")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    fleet = Fleet(rigs=arguments.rigs, persons=arguments.persons, tracked=not arguments.untracked)
    phases = [Phase(rate_hz=arguments.rate_hz, seconds=arguments.seconds)]
    with (
        child_server(["--slots", str(max(64, fleet.rigs * fleet.persons))]) as server,
        listening(server.pose_endpoint) as ledger,
        fleet_process(server.keypoint_endpoint, fleet, phases) as rigs,
        watching(server) as watch,
    ):
        sent = rigs.wait()
        counters = settled_status(server)["counters"]
    report = figures(sent, ledger, watch, counters)
    print_report("rigs", report, as_json=arguments.json)


if __name__ == "__main__":
    main()
