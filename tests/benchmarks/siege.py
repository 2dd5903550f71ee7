"""Mixed mischief: all attacks interleaved for minutes, beside an honest rig that is accounted for.

python -m tests.benchmarks.siege --minutes 3

Every few seconds other attacks begin. Every frame of the honest rig is answered, or is in a counter
of its stream; memory, the end after SIGTERM and the state of the server are reported.
"""

import argparse
import time
from contextlib import suppress
from typing import Any

import numpy as np

from langpose_rt.benchmark.child_server import child_server
from tests.attackers import ATTACKS, HONEST, attacked, honest_rig, seconds_to_end
from tests.background import repeating
from tests.benchmarks.origin import print_report
from tests.benchmarks.watch import settled_status, status_of

AT_ONCE, CHANGE_S = 3, 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate-hz", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rng, most_mb, rounds = np.random.default_rng(arguments.seed), 0.0, 0
    until_s = time.monotonic() + 60 * arguments.minutes
    own: dict[str, Any] = {}
    with child_server([]) as server:

        def look() -> None:
            """Keep what is said of the honest stream, which a server forgets after ten seconds."""
            with suppress(OSError):
                streams = status_of(server)["streams"]
                own.update(next((one for one in streams if one["rig"] == HONEST), {}))

        with repeating(look, 1.0), honest_rig(server, rate_hz=arguments.rate_hz) as account:
            while time.monotonic() < until_s:
                with attacked(server, *rng.choice(list(ATTACKS), AT_ONCE, replace=False)):
                    for _ in range(round(CHANGE_S / 0.1)):
                        time.sleep(0.1)
                        most_mb = max(most_mb, server.resident_mb() or 0.0)
                rounds += 1
        status = settled_status(server)
        counted = sum(own["totals"][name] for name in ("late", "dup", "gap", "shed", "failed"))
        report = {
            "rounds": rounds,
            "sent": account.sent,
            "answered": len(account.answered),
            "counted_as_lost": counted,
            "unaccounted": account.lost - counted,
            "late_p50_p99_ms": np.quantile(account.added_ms, (0.5, 0.99)).tolist(),
            "most_resident_mb": most_mb,
            "resident_mb_afterwards": server.resident_mb(),
            "state": status["state"],
            "internal_errors": status["counters"]["internal_errors"],
            "rejected": [f"{name} {count}" for name, count in status["rejected"].items()],
            "ended_after_s": seconds_to_end(server.pid),
        }
    print_report("siege", report, as_json=arguments.json)


if __name__ == "__main__":
    main()
