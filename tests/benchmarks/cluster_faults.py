"""A cluster under a seeded mix of faults: every frame is accounted for.

python -m tests.benchmarks.cluster_faults --minutes 60 --seed 0

Lifters are killed, frozen and ended, one more comes and goes, and the model is loaded again, all
while rigs send. After every cycle the rigs fall silent and the books must balance: every frame was
answered once, in order and with the same ids. A frame without an answer is accounted for only where
the poses before and after it are of the same assignment, and the one after it says how many were
shed: a lifter that is new to a stream is also sent frames that another has answered, and what it
sheds of them says nothing of those that are missing. No pose of an old assignment comes after one
of a new. Exit code 1 if anything was wrong.
"""

import argparse
import itertools
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from langpose_rt.client.control import ControlClient
from tests.background import process
from tests.benchmarks.cluster import children, running_cluster, wait_for_lifters
from tests.benchmarks.origin import origin
from tests.cluster.traffic import Traffic, traffic
from tests.commands import COMMAND, ENVIRONMENT
from tests.peers import LOCAL, WAIT_S

CYCLE_S, FAULT_EVERY_S = 40.0, 8.0
LIFTERS = 3
PATIENT = ("--max-wait-ms", "10000")
"""Lifters shed nothing for its age: a frozen one is given up long before."""


@dataclass
class Faults:
    """What may happen to a cluster: one more lifter at a known port, and those of the front."""

    control: ControlClient
    front: int
    port: int
    stack: ExitStack
    random: random.Random
    guest: "subprocess.Popen[str] | None" = None

    def kill(self) -> None:
        """A lifter dies; the front starts it again."""
        os.kill(self.random.choice(children(self.front)), signal.SIGKILL)

    def freeze(self) -> None:
        """A lifter is not heard for a while, as if its machine were cut off, and wakes up."""
        pid = self.random.choice(children(self.front))
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self.random.uniform(0.1, 3.0))
        os.kill(pid, signal.SIGCONT)

    def end(self) -> None:
        """A lifter ends in good order, unasked by the front."""
        os.kill(self.random.choice(children(self.front)), signal.SIGTERM)

    def join_or_leave(self) -> None:
        """One more lifter comes, or goes."""
        if self.guest is not None:
            self.guest.terminate()
            self.guest.wait(WAIT_S)
            self.guest = None
            return
        words = [*COMMAND, "--log-level", "error", "serve", "--no-http", "--behind-front", *PATIENT]
        words += ["--port", "0", "--output-port", "0", "--control-port", str(self.port)]
        started = process(words, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
        self.guest = self.stack.enter_context(started)

    def reload(self) -> None:
        """Every lifter opens its model again, one after the other."""
        self.control.reload()

    def any(self) -> str:
        """Let one of them happen; return its name."""
        kinds: list[Callable[[], None]] = [
            self.kill, self.freeze, self.end, self.join_or_leave, self.reload
        ]  # fmt: skip
        kind = self.random.choice(kinds)
        kind()
        return kind.__name__


def shed(run: Traffic, rig: str) -> set[int]:
    """Return the frames of a rig without an answer that a lifter is known to have shed."""
    found: set[int] = set()
    messages = [heard.message for heard in run.heard[rig]]
    for before, after in itertools.pairwise(messages):
        between = set(range(before.src.seq + 1, after.src.seq))
        if before.via == after.via and len(between) == after.drop.shed:
            found |= between
    return found


def wrong(run: Traffic, books: Counter[str]) -> list[str]:
    """Return what is wrong with the answers of a cycle, and add them to the books."""
    found = []
    for rig in run.rigs:
        seqs, vias = run.seqs(rig), run.vias(rig)
        explained, lost = shed(run, rig), set(run.missing(rig)) - shed(run, rig)
        books.update(sent=run.sent[rig], answered=len(set(seqs)), shed=len(explained))
        if lost:
            found.append(f"{rig}: {len(lost)} without an answer: {sorted(lost)[:20]}")
        if seqs != sorted(set(seqs)):
            found.append(f"{rig}: answered twice or out of order")
        if vias != sorted(vias):
            found.append(f"{rig}: an old assignment after a new one")
        if run.ids(rig) != {(0, 1)}:
            found.append(f"{rig}: ids {sorted(run.ids(rig))[:4]}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rigs", type=int, default=6)
    parser.add_argument("--rate-hz", type=float, default=15.0)
    arguments = parser.parse_args()
    print(origin("python -m tests.benchmarks.cluster_faults " + shlex.join(sys.argv[1:])))
    books, kinds, errors = Counter[str](), Counter[str](), list[str]()
    until_s, cycle = time.monotonic() + 60 * arguments.minutes, 0
    with socket.socket() as free:
        free.bind((LOCAL, 0))
        port = free.getsockname()[1]
    more = [*PATIENT, "--lifter", f"tcp://{LOCAL}:{port}"]
    with (
        ExitStack() as stack,
        running_cluster(LIFTERS, more) as (front, ports, control),
    ):
        faults = Faults(control, front, port, stack, random.Random(arguments.seed))
        while time.monotonic() < until_s:
            rigs = [f"cycle{cycle}rig{number}" for number in range(arguments.rigs)]
            happened = []
            with traffic(ports["port"], ports["output_port"], rigs, arguments.rate_hz) as run:
                end_s = time.monotonic() + CYCLE_S
                run.run_for(FAULT_EVERY_S / 2)
                while time.monotonic() < end_s:
                    happened.append(faults.any())
                    run.run_for(FAULT_EVERY_S)
            found = wrong(run, books)
            kinds.update(happened)
            errors += found
            print(
                f"cycle {cycle}, load {os.getloadavg()[0]:.1f}: {', '.join(happened)}; "
                f"{sum(run.sent.values())} frames; {'; '.join(found) or 'all accounted for'}",
                flush=True,
            )
            wait_for_lifters(control, LIFTERS + (faults.guest is not None))
            cycle += 1
    print(
        f"{books['sent']} frames: {books['answered']} answered, {books['shed']} shed, "
        f"{books['sent'] - books['answered'] - books['shed']} lost; {dict(kinds)}"
    )
    return int(bool(errors))


if __name__ == "__main__":
    sys.exit(main())
