"""Twice what a server can lift, for half a minute: how frames are shed, and how it recovers.

python -m tests.benchmarks.overload --rigs 8 --persons 4 --seconds 30

The capacity is measured first, in the same run: the most frames a second that are lifted while the
load rises. The backlog rule bounds what a delivered frame has waited: 100 ms in the queue, one step
under way, and its own.
"""

import argparse

import numpy as np

from langpose_rt.benchmark.child_server import ChildServer, child_server
from langpose_rt.config import NS_PER_S
from tests.benchmarks.fleet import Fleet, Phase, Sent, fleet_process, frames_per_s
from tests.benchmarks.ledger import NS_PER_MS, Ledger, listening
from tests.benchmarks.origin import print_report
from tests.benchmarks.watch import settled_status

STEP, STEPS, STEP_S = 1.3, 12, 4.0
"""The load rises by this factor, so often, for so long each; the most that is lifted counts."""

CALM_SHARE = 0.4
NORMAL_S = 0.5
"""Back to normal: for so long nothing is shed, and the median is within 1.5 times the calm p95."""


def capacity(server: ChildServer, fleet: Fleet, first_hz: float) -> float:
    """The most frames a second that are lifted while ever more come."""
    phases = [Phase(rate_hz=first_hz * STEP**step, seconds=STEP_S) for step in range(STEPS)]
    with (
        listening(server.pose_endpoint) as ledger,
        fleet_process(server.keypoint_endpoint, fleet, phases) as rigs,
    ):
        sent = rigs.wait()
    lifted, _ = np.histogram(ledger.arrived_ns, bins=np.array(sent.begun_ns))
    return float((lifted / np.diff(sent.begun_ns)).max() * NS_PER_S)


def figures(sent: Sent, ledger: Ledger, lifted_per_s: float) -> dict[str, object]:
    """What came of calm, overload and calm again."""
    _, begun_ns, over_ns, _ = sent.begun_ns
    captured_ns = np.array(ledger.captured_ns)
    stream, shed = np.array(ledger.stream), np.array(ledger.shed) + np.array(ledger.gap)
    during = (captured_ns >= begun_ns) & (captured_ns < over_ns)
    per_stream = [int(shed[during & (stream == one)].sum()) for one in range(len(ledger.topics))]
    return {
        "capacity_frames_per_s": lifted_per_s,
        "offered_frames_per_s": frames_per_s(sent, 1),
        "sent_late_p99_ms": sent.behind_ms[1],
        "delivered": int(during.sum()),
        "shed_per_stream": per_stream,
        "shed_max_over_min": max(per_stream) / max(min(per_stream), 1),
        "lost_before_the_server": int(np.array(ledger.gap)[during].sum()),
        "added_p50_p95_p99_calm_ms": ledger.added_ms(sent.begun_ns[0] + NS_PER_S, begun_ns),
        "added_p50_p95_p99_overload_ms": ledger.added_ms(begun_ns, over_ns),
        "added_most_overload_ms": float(np.array(ledger.added_ns)[during].max() / NS_PER_MS),
        "added_p50_p95_p99_after_ms": ledger.added_ms(over_ns + 2 * NS_PER_S),
        "recovered_after_s": recovery_s(ledger, sent),
    }


def recovery_s(ledger: Ledger, sent: Sent) -> float:
    """From the end of the overload to the first half second that is as before; inf if none is."""
    arrived_ns, added_ns = np.array(ledger.arrived_ns), np.array(ledger.added_ns)
    lost = np.array(ledger.shed) + np.array(ledger.gap)
    _, begun_ns, over_ns, end_ns = sent.begun_ns
    usual_ns = 1.5 * np.quantile(added_ns[arrived_ns < begun_ns], 0.95)
    for first_ns in range(over_ns, end_ns - round(NORMAL_S * NS_PER_S), NS_PER_S // 50):
        now = (arrived_ns >= first_ns) & (arrived_ns < first_ns + NORMAL_S * NS_PER_S)
        if now.any() and not lost[now].any() and np.median(added_ns[now]) <= usual_ns:
            return (first_ns - over_ns) / NS_PER_S
    return float("inf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rigs", type=int, default=8)
    parser.add_argument("--persons", type=int, default=4)
    parser.add_argument("--first-hz", type=float, default=20.0, help="the load rises from here")
    parser.add_argument("--times", type=float, default=2.0, help="overload, in capacities")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    fleet = Fleet(rigs=arguments.rigs, persons=arguments.persons)
    with child_server(["--slots", str(max(64, fleet.rigs * fleet.persons))]) as server:
        lifted_per_s = capacity(server, fleet, arguments.first_hz)
        fair_hz = lifted_per_s / fleet.rigs
        calm = Phase(rate_hz=CALM_SHARE * fair_hz, seconds=5.0)
        phases = [calm, Phase(rate_hz=arguments.times * fair_hz, seconds=arguments.seconds), calm]
        with listening(server.pose_endpoint) as ledger:
            with fleet_process(server.keypoint_endpoint, fleet, phases) as rigs:
                sent = rigs.wait()
            counters = settled_status(server)["counters"]
    report = figures(sent, ledger, lifted_per_s) | {
        "missed_by_this_consumer": ledger.missed,
        "internal_errors": counters["internal_errors"],
    }
    print_report("overload", report, as_json=arguments.json)


if __name__ == "__main__":
    main()
