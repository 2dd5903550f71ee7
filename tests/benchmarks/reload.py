"""A model is changed again and again under load: frames lost to it, and what the others notice.

python -m tests.benchmarks.reload --rigs 4 --persons 2 --times 10

Every change opens the model's folder anew, lets it rehearse beside the one that answers, and
switches between two steps; every third time the folder is none, and the old model must stay.
"""

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from langpose_rt.benchmark.child_server import ChildServer, child_server
from langpose_rt.client.control import ControlClient
from langpose_rt.config import NS_PER_S
from langpose_rt.errors import LangPoseError
from tests.benchmarks.fleet import Fleet, Phase, Sent, fleet_process
from tests.benchmarks.ledger import Ledger, listening
from tests.benchmarks.origin import print_report
from tests.benchmarks.watch import settled_status

FIRST_S, EVERY_S = 3.0, 8.0
NO_MODEL = Path("/no/such/model")


@dataclass
class Changes:
    """When each change was asked for and answered, in unix ns, and how many were refused."""

    begun_ns: list[int] = field(default_factory=list)
    ended_ns: list[int] = field(default_factory=list)
    refused: int = 0


def promote_shadow(control: ControlClient, changes: Changes, folder: Path | None) -> None:
    """One change, noted."""
    changes.begun_ns.append(time.time_ns())
    try:
        control.reload(folder)
    except LangPoseError:
        changes.refused += 1
    changes.ended_ns.append(time.time_ns())


def control_endpoint(server: ChildServer) -> str:
    """Where a server takes control requests."""
    return f"tcp://127.0.0.1:{server.announcement['control_port']}"


def figures(sent: Sent, ledger: Ledger, changes: Changes, shed: int) -> dict[str, object]:
    """Everything that is reported, by name."""
    stream, seq = np.array(ledger.stream), np.array(ledger.seq)
    arrived_ns, added_ns = np.array(ledger.arrived_ns), np.array(ledger.added_ns)
    during = np.zeros(len(ledger), bool)
    most_lost = 0
    for begun_ns, ended_ns in zip(changes.begun_ns, changes.ended_ns, strict=True):
        now = (arrived_ns >= begun_ns) & (arrived_ns < ended_ns + NS_PER_S)
        during |= now
        for one in range(len(ledger.topics)):
            numbers = seq[now & (stream == one)]
            most_lost = max(most_lost, int((np.diff(numbers) - 1).sum()) if len(numbers) else 0)
    lost = np.array(ledger.shed) + np.array(ledger.gap)
    took_s = (np.array(changes.ended_ns) - np.array(changes.begun_ns)) / NS_PER_S
    longest_ms = max(
        float(np.diff(arrived_ns[stream == one]).max() / 1e6) for one in range(len(ledger.topics))
    )
    return {
        "frames_sent": sum(map(sum, sent.frames)),
        "frames_answered": len(ledger),
        "shed": shed,
        "missed_by_this_consumer": ledger.missed,
        "changes": len(changes.begun_ns) - changes.refused,
        "refused": changes.refused,
        "took_s_p50_max": np.quantile(took_s, (0.5, 1)).tolist(),
        "most_frames_a_stream_lost_in_a_change": most_lost,
        "frames_lost_percent_without_and_in_changes": [
            float(100 * lost[now].sum() / (lost[now].sum() + now.sum()))
            for now in (~during, during)
        ],
        "longest_silence_of_a_stream_ms": longest_ms,
        "added_p50_p99_ms_without": (np.quantile(added_ns[~during], (0.5, 0.99)) / 1e6).tolist(),
        "added_p50_p99_ms_in_changes": (np.quantile(added_ns[during], (0.5, 0.99)) / 1e6).tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rigs", type=int, default=4)
    parser.add_argument("--persons", type=int, default=2)
    parser.add_argument("--rate-hz", type=float, default=60.0)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    fleet = Fleet(rigs=arguments.rigs, persons=arguments.persons)
    seconds = FIRST_S + EVERY_S * arguments.times
    phases = [Phase(rate_hz=arguments.rate_hz, seconds=seconds)]
    changes = Changes()
    with (
        child_server([]) as server,
        ControlClient(control_endpoint(server)) as control,
        listening(server.pose_endpoint) as ledger,
        fleet_process(server.keypoint_endpoint, fleet, phases) as rigs,
    ):
        begun_s = time.monotonic()
        for number in range(arguments.times):
            time.sleep(max(0.0, begun_s + FIRST_S + EVERY_S * number - time.monotonic()))
            promote_shadow(control, changes, NO_MODEL if number % 3 == 2 else None)
        sent = rigs.wait()
        shed = settled_status(server)["counters"]["shed"]
    report = figures(sent, ledger, changes, shed)
    print_report("reload", report, as_json=arguments.json)


if __name__ == "__main__":
    main()
