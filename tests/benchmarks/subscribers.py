"""A hundred subscribers, ten of them slow and five frozen: what the others notice of it.

python -m tests.benchmarks.subscribers --seconds 20

Three phases of one run: the healthy alone, all together, the healthy alone again. A slow one reads
one message a second into short buffers; a frozen one is a process that SIGSTOP holds.
"""

import argparse
import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import zmq

from langpose_rt.benchmark.child_server import ChildServer, child_server
from langpose_rt.config import NS_PER_S
from tests.benchmarks.fleet import Fleet, Phase, Sent, fleet_process
from tests.benchmarks.origin import print_report
from tests.benchmarks.watch import Watch, watching

SEND_HWM = 256
SLOW_EVERY_S = 1.0
_FROZEN_WAIT_S = 10.0
_LAST_S = 0.5
_ESTABLISHED = "01"
_SPAWN = multiprocessing.get_context("spawn")


class _Source(msgspec.Struct):
    t: int


class _Head(msgspec.Struct):
    src: _Source


@dataclass(kw_only=True)
class Readers:
    """Subscribers in a process of their own."""

    process: BaseProcess
    pipe: "Pipe"

    def connect(self) -> None:
        """Begin; returns when every socket has been told where to connect."""
        self.pipe.send("connect")
        assert self.pipe.recv() == "connected"

    def figures(self) -> list[tuple[int, int]]:
        """End them, and give (capture, arrival) in unix ns of every message they have read."""
        self.pipe.send("end")
        found: list[tuple[int, int]] = self.pipe.recv()
        self.process.join()
        return found


def _read(endpoint: str, count: int, pause_s: float, pipe: "Pipe") -> None:
    """Read with so many sockets until told to end; with a pause, slowly."""
    decode, found = msgspec.msgpack.Decoder(_Head).decode, []
    pipe.send("ready")
    pipe.recv()
    context, poller = zmq.Context(), zmq.Poller()
    for _ in range(count):
        socket = context.socket(zmq.SUB)
        if pause_s:
            socket.set(zmq.RCVHWM, 4)
            socket.set(zmq.RCVBUF, 4096)
        socket.subscribe(b"pose3d/")
        socket.connect(endpoint)
        poller.register(socket, zmq.POLLIN)
    pipe.send("connected")
    while not pipe.poll(pause_s):
        for socket, _ in poller.poll(50):
            parts = socket.recv_multipart()
            found.append((decode(parts[1]).src.t, time.time_ns()))
    pipe.send(found)
    context.destroy(linger=0)


@contextmanager
def readers(endpoint: str, count: int, pause_s: float = 0.0) -> Any:
    """A process of subscribers, who connect when they are told to, until the block ends."""
    here, there = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_read, args=(endpoint, count, pause_s, there), daemon=True)
    process.start()
    there.close()
    try:
        assert here.recv() == "ready"
        yield Readers(process=process, pipe=here)
    finally:
        process.kill()
        process.join()


def served_ports(port: int) -> set[int]:
    """Ports of the peers the server holds a connection to at one of its ports."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {
        int(row[2].partition(":")[2], 16)
        for row in rows
        if row[3] == _ESTABLISHED and int(row[1].partition(":")[2], 16) == port
    }


def cut_after_s(frozen: Sequence[BaseProcess], theirs: set[int], port: int) -> list[float]:
    """Freeze processes, and see after how long each of their connections is gone."""
    for process in frozen:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
    begun_s, gone = time.monotonic(), dict[int, float]()
    while theirs - set(gone) and time.monotonic() - begun_s < _FROZEN_WAIT_S:
        held = served_ports(port)
        for peer in theirs - set(gone) - held:
            gone[peer] = time.monotonic() - begun_s
        time.sleep(0.02)
    return [gone.get(peer, float("inf")) for peer in theirs]


@dataclass(kw_only=True)
class Trouble:
    """What came of the phase with slow and frozen subscribers."""

    cut_s: list[float]
    slow_read: int
    resident_mb: list[float]


def trouble(
    server: ChildServer, slow: Readers, frozen: Sequence[Readers], *, until_s: float, watch: Watch
) -> Trouble:
    """Let slow and frozen subscribers in until that moment of the monotonic clock."""
    port, before = int(server.announcement["output_port"]), len(watch.resident_mb)
    slow.connect()
    time.sleep(0.5)
    others = served_ports(port)
    for one in frozen:
        one.connect()
    time.sleep(0.5)
    cut_s = cut_after_s([one.process for one in frozen], served_ports(port) - others, port)
    time.sleep(max(0.0, until_s - time.monotonic()))
    slow_read = len(slow.figures())
    return Trouble(cut_s=cut_s, slow_read=slow_read, resident_mb=watch.resident_mb[before:])


def figures(
    sent: Sent, read: Sequence[tuple[int, int]], healthy: int, found: Trouble, watch: Watch
) -> dict[str, object]:
    """Everything that is reported, by name."""
    captured_ns, arrived_ns = np.array(read).T
    delay_ms = (arrived_ns - captured_ns) / 1e6
    phases = []
    for first_ns, last_ns in zip(sent.begun_ns[:-1], sent.begun_ns[1:], strict=True):
        kept = (captured_ns >= first_ns + NS_PER_S) & (captured_ns < last_ns)
        phases.append(np.quantile(delay_ms[kept], (0.5, 0.99)).tolist())
    alone = (phases[0][1] + phases[2][1]) / 2
    return {
        "frames_sent": sum(map(sum, sent.frames)),
        "messages_read_by_each_healthy": len(read) / healthy,
        "healthy_p50_p99_ms_alone": phases[0],
        "healthy_p50_p99_ms_with_the_others": phases[1],
        "healthy_p50_p99_ms_alone_again": phases[2],
        "p99_grown_by_percent": 100 * (phases[1][1] / alone - 1),
        "frozen_cut_after_s": sorted(found.cut_s),
        "read_by_all_slow": found.slow_read,
        "resident_mb_before": watch.resident_mb[0],
        "resident_mb_most_with_the_others": max(found.resident_mb),
        "resident_mb_after": watch.resident_mb[-1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--healthy", type=int, default=85)
    parser.add_argument("--slow", type=int, default=10)
    parser.add_argument("--frozen", type=int, default=5)
    parser.add_argument("--rigs", type=int, default=2)
    parser.add_argument("--persons", type=int, default=1)
    parser.add_argument("--rate-hz", type=float, default=60.0)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each phase")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    fleet = Fleet(rigs=arguments.rigs, persons=arguments.persons)
    phases = [Phase(rate_hz=arguments.rate_hz, seconds=arguments.seconds)] * 3
    with ExitStack() as stack:
        server = stack.enter_context(child_server([]))
        endpoint = server.pose_endpoint
        healthy = stack.enter_context(readers(endpoint, arguments.healthy))
        slow = stack.enter_context(readers(endpoint, arguments.slow, SLOW_EVERY_S))
        frozen = [stack.enter_context(readers(endpoint, 1)) for _ in range(arguments.frozen)]
        healthy.connect()
        rigs = stack.enter_context(fleet_process(server.keypoint_endpoint, fleet, phases))
        watch = stack.enter_context(watching(server))
        begun_s = time.monotonic()
        time.sleep(arguments.seconds)
        until_s = begun_s + 2 * arguments.seconds
        found = trouble(server, slow, frozen, until_s=until_s, watch=watch)
        sent = rigs.wait()
        time.sleep(_LAST_S)
        read = healthy.figures()
    report = figures(sent, read, arguments.healthy, found, watch)
    print_report("subscribers", report, as_json=arguments.json)


if __name__ == "__main__":
    main()
