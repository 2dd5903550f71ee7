"""An honest rig at 60 Hz beside each kind of bad one: the frames that the honest one lost.

python -m tests.benchmarks.fairness --seconds 10

The honest rig loses nothing on a machine that can lift its own frames beside what the others are
granted.
"""

import argparse
import time

import numpy as np

from langpose_rt.benchmark.child_server import child_server
from tests.attackers import attacked, honest_rig
from tests.benchmarks.origin import print_report
from tests.benchmarks.watch import settled_status

BAD_RIGS = (
    "a crowd that dies",
    "ids that change",
    "four ghosts",
    "sixty crowds",
    "seventy cameras",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    report: dict[str, object] = {}
    for bad in (None, *BAD_RIGS):
        with child_server([]) as server:
            with attacked(server, *([bad] if bad else [])), honest_rig(server) as account:
                time.sleep(arguments.seconds)
            counters = settled_status(server)["counters"]
        name = (bad or "alone").replace(" ", "_")
        report[f"{name}_sent"], report[f"{name}_lost"] = account.sent, account.lost
        report[f"{name}_late_p50_p99_ms"] = np.quantile(account.added_ms, (0.5, 0.99)).tolist()
        report[f"{name}_people_refused"] = counters["slots_refused"]
    print_report("fairness", report, as_json=arguments.json)


if __name__ == "__main__":
    main()
