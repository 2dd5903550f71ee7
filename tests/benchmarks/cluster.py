"""A cluster beside one server: added latency, processor time of the front, gap after a kill.

python -m tests.benchmarks.cluster --lifters 3 --rigs 6 --rate-hz 60 --seconds 10
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import zmq

from langpose_rt.benchmark.child_server import child_server
from langpose_rt.client.control import ControlClient
from tests.background import process
from tests.benchmarks.origin import origin
from tests.cluster.traffic import Traffic, traffic
from tests.commands import COMMAND, ENVIRONMENT
from tests.fakes import keypoint_parts, person_px
from tests.peers import LOCAL

SETTLE_S = 2.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PROXY = (
    "import zmq; c = zmq.Context(); a = c.socket(zmq.XSUB); b = c.socket(zmq.XPUB)\n"
    "p = [s.bind_to_random_port('tcp://127.0.0.1') for s in (a, b)]; print(*p, flush=True)\n"
    "zmq.proxy(a, b)"
)


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
def running_cluster(lifters: int) -> Iterator[tuple[int, dict[str, int], ControlClient]]:
    """A cluster in processes of its own: pid of the front, its ports, and a control client."""
    words = [*COMMAND, "--log-level", "error", "cluster", "--lifters", str(lifters)]
    words += ["--port", "0", "--no-http", "--json"]
    with process(words, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as front:
        ports = json.loads(front.stdout.readline())
        endpoint = f"tcp://{LOCAL}:{ports['control_port']}"
        with ControlClient(endpoint, timeout_s=20.0) as control:
            while control.hello().state != "ready":
                time.sleep(0.2)
            yield front.pid, ports, control
        front.send_signal(signal.SIGTERM)
        front.wait(20)


def measured(
    port: int, poses: int, arguments: argparse.Namespace, pid: int
) -> tuple[np.ndarray, float]:
    """Return the delays and the processor time of a process per frame in microseconds."""
    rigs = [f"rig{number}" for number in range(arguments.rigs)]
    with traffic(port, poses, rigs, arguments.rate_hz) as run:
        run.run_for(SETTLE_S)
        before_s, sent, since_s = cpu_s(pid), sum(run.sent.values()), time.monotonic()
        run.run_for(arguments.seconds)
        frames = sum(run.sent.values()) - sent
        used_us = 1e6 * (cpu_s(pid) - before_s) / max(frames, 1)
    print(f"  {answered(run)}")
    return delays_ms(run, since_s), used_us


def proxy_us(rate_hz: float, seconds: float) -> float:
    """Return the processor time of a bare ZeroMQ proxy per message in microseconds."""
    parts = keypoint_parts(*[person_px((0, 0, 4))] * 2, ids=[-1, -1])
    with process([sys.executable, "-c", PROXY], stdout=subprocess.PIPE, text=True) as proxy:
        into, out = map(int, proxy.stdout.readline().split())
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        rig, consumer = context.socket(zmq.PUB), context.socket(zmq.SUB)
        rig.connect(f"tcp://{LOCAL}:{into}")
        consumer.connect(f"tcp://{LOCAL}:{out}")
        consumer.subscribe(b"")
        time.sleep(1.0)
        before_s, began_s, count = cpu_s(proxy.pid), time.monotonic(), round(rate_hz * seconds)
        for number in range(count):
            time.sleep(max(began_s + number / rate_hz - time.monotonic(), 0))
            rig.send_multipart(parts)
            while consumer.poll(0):
                consumer.recv_multipart()
        used_us = 1e6 * (cpu_s(proxy.pid) - before_s) / count
        context.destroy(linger=0)
        proxy.stdout.close()
    return used_us


def gap_after_kill(ports: dict[str, int], arguments: argparse.Namespace, front: int) -> None:
    """Kill one lifter under load and print what its streams and the others notice."""
    rigs = [f"kill{number}" for number in range(arguments.rigs)]
    with traffic(ports["port"], ports["output_port"], rigs, arguments.rate_hz) as run:
        run.run_for(SETTLE_S)
        listed = Path(f"/proc/{front}/task/{front}/children")
        children = [int(word) for path in listed.parent.parent.glob("*/children")
                    for word in path.read_text().split()]  # fmt: skip
        os.kill(children[0], signal.SIGKILL)
        killed_s = time.monotonic()
        run.run_for(3.0)
    moved = [rig for rig in rigs if len(set(run.vias(rig))) > 1]
    for rig in rigs:
        after = [h.at_s - killed_s for h in run.heard[rig] if h.at_s > killed_s]
        steps = np.diff([0.0, *after])
        kind = "moved" if rig in moved else "stayed"
        print(f"  {rig} {kind}: longest gap {steps.max():.3f} s, lost {len(run.missing(rig))}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lifters", type=int, default=3)
    parser.add_argument("--rigs", type=int, default=6)
    parser.add_argument("--rate-hz", type=float, default=60.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    print(origin("python -m tests.benchmarks.cluster " + shlex.join(sys.argv[1:])))
    print(f"load average {os.getloadavg()}")
    with (
        child_server(["--max-streams", "4096"]) as server,
        running_cluster(arguments.lifters) as (front, ports, _),
    ):
        for turn in range(2):
            print(f"turn {turn}: {arguments.rigs} rigs of two people at {arguments.rate_hz:g} Hz")
            where = server.announcement
            for name, port, poses, pid in (
                ("one server", int(where["port"]), int(where["output_port"]), server.pid),
                ("cluster", ports["port"], ports["output_port"], front),
            ):
                delays, used_us = measured(port, poses, arguments, pid)
                p50, p99 = np.quantile(delays, (0.5, 0.99))
                what = "of the front " if name == "cluster" else "of the server"
                print(
                    f"  {name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, {used_us:.0f} us {what} a frame"
                )
        bare_us = proxy_us(arguments.rigs * arguments.rate_hz, arguments.seconds)
        print(f"bare ZeroMQ proxy: {bare_us:.0f} us a message")
        gap_after_kill(ports, arguments, front)
    print(f"load average {os.getloadavg()}")


if __name__ == "__main__":
    main()
