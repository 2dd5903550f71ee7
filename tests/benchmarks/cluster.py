"""A cluster beside one server: added latency; what killed, frozen, new and drained lifters cost.

Between the two stands the same server behind ZeroMQ's own proxy, one each way: what two more
processes on the way cost where nothing is done in them.

python -m tests.benchmarks.cluster --lifters 3 --rigs 6 --rate-hz 20 --seconds 10
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from langpose_rt.benchmark.child_server import child_server
from langpose_rt.client.control import ControlClient
from tests.background import process
from tests.benchmarks.origin import origin
from tests.cluster.traffic import Traffic, traffic
from tests.commands import COMMAND, ENVIRONMENT
from tests.peers import LOCAL, WAIT_S

SETTLE_S = 2.0
PATIENT = ("--max-wait-ms", "2000")
"""On a busy machine frames are late, and few are to be lost for that: they hide the others."""

PROXIES = (
    "import sys, threading, zmq; c = zmq.Context()\n"
    "rigs, frames, poses, people = (c.socket(k) for k in (zmq.XSUB, zmq.XPUB) * 2)\n"
    "print(*(s.bind_to_random_port('tcp://127.0.0.1') for s in (rigs, people)), flush=True)\n"
    "for s, port in zip((frames, poses), sys.argv[1:]): s.connect(f'tcp://127.0.0.1:{port}')\n"
    "threading.Thread(target=zmq.proxy, args=(poses, people), daemon=True).start()\n"
    "zmq.proxy(rigs, frames)"
)

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Return the processor time of a process."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS_PER_S


def delays_ms(run: Traffic, since_s: float) -> np.ndarray:
    """Return the times from sending a frame to hearing its pose."""
    return np.array(
        [
            1000 * (heard.at_s - run.sent_s[rig, heard.message.src.seq])
            for rig in run.rigs
            for heard in run.heard[rig]
            if run.sent_s[rig, heard.message.src.seq] > since_s
        ]
    )


def answered(run: Traffic) -> str:
    frames, lost = sum(run.sent.values()), sum(len(run.missing(rig)) for rig in run.rigs)
    return f"{frames} frames, {lost} without an answer"


@contextmanager
def running_cluster(
    lifters: int, more: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, int], ControlClient]]:
    """A cluster in processes of its own: pid of the front, its ports, and a control client."""
    words = [*COMMAND, "--log-level", "error", "cluster", "--lifters", str(lifters)]
    words += ["--port", "0", "--no-http", "--json", *more]
    with process(words, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as front:
        ports = json.loads(front.stdout.readline())
        endpoint = f"tcp://{LOCAL}:{ports['control_port']}"
        with ControlClient(endpoint, timeout_s=20.0) as control:
            wait_for_lifters(control, lifters)
            yield front.pid, ports, control
        front.send_signal(signal.SIGTERM)
        front.wait(20)


@contextmanager
def proxied(port: int, poses: int) -> Iterator[tuple[int, int, int]]:
    """A server behind two bare proxies: their process and ports."""
    words = [sys.executable, "-c", PROXIES, str(port), str(poses)]
    with process(words, stdout=subprocess.PIPE, text=True) as started:
        into, out = map(int, started.stdout.readline().split())
        yield started.pid, into, out
        started.stdout.close()


def measured(
    port: int, poses: int, arguments: argparse.Namespace, pid: int
) -> tuple[np.ndarray, float]:
    """Return the delays and the processor time of a process per frame in microseconds."""
    rigs = [f"rig{number}-{time.monotonic():.0f}" for number in range(arguments.rigs)]
    with traffic(port, poses, rigs, arguments.rate_hz) as run:
        run.run_for(SETTLE_S)
        before_s, sent, since_s = cpu_s(pid), sum(run.sent.values()), time.monotonic()
        run.run_for(arguments.seconds)
        frames = sum(run.sent.values()) - sent
        used_us = 1e6 * (cpu_s(pid) - before_s) / max(frames, 1)
    print(f"  {answered(run)}")
    return delays_ms(run, since_s), used_us


@contextmanager
def disturbed(what: str, ports: dict[str, int], arguments: argparse.Namespace) -> Iterator[Traffic]:
    """Load during which something happens; print what streams that moved and others lost."""
    rigs = [f"{what.split(maxsplit=1)[0]}{number}" for number in range(arguments.rigs)]
    with traffic(ports["port"], ports["output_port"], rigs, arguments.rate_hz) as run:
        run.run_for(SETTLE_S)
        before = {rig: set(run.vias(rig)) for rig in rigs}
        since_s = time.monotonic()
        yield run
        run.run_for(SETTLE_S)
    for kind, moved in (("moved", True), ("stayed", False)):
        chosen = [rig for rig in rigs if (set(run.vias(rig)) != before[rig]) == moved]
        times = [[h.at_s for h in run.heard[rig] if h.at_s > since_s] for rig in chosen]
        gaps = [float(np.diff(heard).max()) for heard in times]
        old = sum(run.vias(rig) != sorted(run.vias(rig)) for rig in chosen)
        lost, sent = (sum(c) for c in ([len(run.missing(r)) for r in chosen],
                                       [run.sent[r] for r in chosen]))  # fmt: skip
        ids = all(run.ids(rig) == {(0, 1)} for rig in chosen)
        print(
            f"  {what}, {len(chosen)} streams {kind}: longest gap {max(gaps, default=0):.3f} s, "
            f"{lost} of {sent} frames lost, {old} heard an old assignment, ids kept: {ids}"
        )


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    words = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(word) for text in words for word in text.split()]


def busiest(control: ControlClient, front: int) -> int:
    """Return the process of the lifter with the most streams."""
    lifters = control.status()["lifters"]
    name = max(lifters, key=lambda lifter: lifter["streams"])["lifter"]
    words = {pid: Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in children(front)}
    return next(pid for pid, said in words.items() if name in said)


def wait_for_lifters(control: ControlClient, count: int) -> None:
    """Wait until so many lifters take part."""
    until_s = time.monotonic() + WAIT_S
    while sum(lf["state"] == "ready" for lf in control.status()["lifters"]) != count:
        assert time.monotonic() < until_s, "the lifters are not as they should be"
        time.sleep(0.1)


def disturbances(ports: dict[str, int], control: ControlClient, front: int,
                 arguments: argparse.Namespace) -> None:  # fmt: skip
    """Kill, cut off and drain lifters under load, and print what it costs."""
    with disturbed("killed", ports, arguments) as run:
        os.kill(busiest(control, front), signal.SIGKILL)
        run.run_for(2 * SETTLE_S)
    wait_for_lifters(control, arguments.lifters)
    with disturbed("frozen (a node lost)", ports, arguments) as run:
        victim = busiest(control, front)
        os.kill(victim, signal.SIGSTOP)
        run.run_for(SETTLE_S)
    with disturbed("added", ports, arguments) as run:
        os.kill(victim, signal.SIGCONT)
        wait_for_lifters(control, arguments.lifters)
    with disturbed("drained", ports, arguments):
        control.drain("lifter-0")
        wait_for_lifters(control, arguments.lifters - 1)
    counters = control.status()["counters"]
    print("  lifters: " + ", ".join(f"{name} {counters[name]}" for name in ("shed", "late", "gap")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lifters", type=int, default=3)
    parser.add_argument("--rigs", type=int, default=6)
    parser.add_argument("--rate-hz", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    print(origin("python -m tests.benchmarks.cluster " + shlex.join(sys.argv[1:])))
    print(f"load average {os.getloadavg()}")
    with (
        child_server([*PATIENT]) as server,
        proxied(*(int(server.announcement[name]) for name in ("port", "output_port"))) as bare,
        running_cluster(arguments.lifters, PATIENT) as (front, ports, control),
    ):
        for turn in range(arguments.turns):
            print(f"turn {turn}: {arguments.rigs} rigs of two people at {arguments.rate_hz:g} Hz")
            where = server.announcement
            for name, port, poses, pid in (
                ("one server", int(where["port"]), int(where["output_port"]), server.pid),
                ("behind bare proxies", bare[1], bare[2], bare[0]),
                ("cluster", ports["port"], ports["output_port"], front),
            ):
                delays, used_us = measured(port, poses, arguments, pid)
                p50, p99 = np.quantile(delays, (0.5, 0.99))
                whose = {"one server": "server", "cluster": "front"}.get(name, "proxies")
                print(
                    f"  {name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, "
                    f"{used_us:.0f} us of the {whose} a frame"
                )
        disturbances(ports, control, front, arguments)
    print(f"load average {os.getloadavg()}")


if __name__ == "__main__":
    main()
