"""Messages a second of the front of a cluster at full load, beside the bare ZeroMQ proxy.

python -m tests.benchmarks.cluster_front --rigs 64 --seconds 10

Behind the front is a lifter that answers every frame at once with a pose of two people, and lifts
nothing: what is measured is the front. Rigs and consumer keep a number of frames on their way, so
that the front never waits and drops nothing. A frame is two messages of the front, and one of the
proxy.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import msgspec
import numpy as np
import zmq

from langpose_rt.protocol.control import Hello, Ports, Reply, decode_request, encode_control
from langpose_rt.protocol.poses import encode_pose
from tests.background import process
from tests.benchmarks.cluster import cpu_s
from tests.benchmarks.origin import origin
from tests.commands import COMMAND, ENVIRONMENT
from tests.fakes import keypoint_parts, person_px
from tests.peers import LOCAL, WAIT_S
from tests.protocol.samples import MODEL, pose_sample

EPOCH, PEOPLE = 77, 2
WARM_UP = 2000
Socket = zmq.Socket[bytes]
PROXY = (
    "import zmq; c = zmq.Context(); a = c.socket(zmq.XSUB); b = c.socket(zmq.XPUB)\n"
    "p = [s.bind_to_random_port('tcp://127.0.0.1') for s in (a, b)]; print(*p, flush=True)\n"
    "zmq.proxy(a, b)"
)


def answer_frames() -> None:
    """Be a lifter that answers at once: print its control port, then serve until killed."""
    context: zmq.Context[Socket] = zmq.Context()
    frames, poses, control = (context.socket(kind) for kind in (zmq.SUB, zmq.PUB, zmq.ROUTER))
    for socket in (frames, poses):
        socket.set(zmq.RCVHWM if socket is frames else zmq.SNDHWM, 0)
    frames.subscribe(b"")
    ports = Ports(*(s.bind_to_random_port(f"tcp://{LOCAL}") for s in (frames, poses, control)))
    hello = Hello(
        version=1, server="answers", epoch=EPOCH, state="ready", model=MODEL, ports=ports,
        formats=(), limits={}, t=0,
    )  # fmt: skip
    print(json.dumps(ports.control), flush=True)
    sample = replace(pose_sample(PEOPLE), actions=None, embedding=None, echo=None)
    _, header, *arrays = encode_pose(sample)
    pose = msgspec.msgpack.decode(header) | {"epoch": EPOCH}
    poller = zmq.Poller()
    for socket in (frames, control):
        poller.register(socket, zmq.POLLIN)
    while True:
        for socket, _ in poller.poll():
            if socket is control:
                name, *_, raw = control.recv_multipart()
                request = decode_request(raw)
                reply = Reply.refusal(request, "unknown_op", "it answers frames only")
                if request.op == "hello":
                    reply = Reply.of(request, hello)
                control.send_multipart([name, encode_control(reply)])
                continue
            topic, header, *_ = frames.recv_multipart()
            frame = msgspec.msgpack.decode(header)
            pose["src"] = {name: frame[name] for name in ("epoch", "seq", "t")}
            pose["via"] = frame["via"]["epoch"]
            answer = [topic.replace(b"kp2d", b"pose3d"), msgspec.msgpack.encode(pose), *arrays]
            poses.send_multipart(answer)


@contextmanager
def front() -> Iterator[tuple[int, int, int]]:
    """A front over such a lifter: its pid, port of the keypoints, port of the poses."""
    words = [sys.executable, "-m", "tests.benchmarks.cluster_front", "--answer"]
    with process(words, stdout=subprocess.PIPE, text=True) as lifter:
        endpoint = f"tcp://{LOCAL}:{json.loads(lifter.stdout.readline())}"
        words = [*COMMAND, "--log-level", "error", "cluster", "--lifter", endpoint]
        words += ["--port", "0", "--no-http", "--json", "--lost-after-ms", "5000"]
        with process(words, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as started:
            ports = json.loads(started.stdout.readline())
            yield started.pid, ports["port"], ports["output_port"]


@contextmanager
def proxy() -> Iterator[tuple[int, int, int]]:
    """The bare proxy, likewise."""
    with process([sys.executable, "-c", PROXY], stdout=subprocess.PIPE, text=True) as started:
        into, out = map(int, started.stdout.readline().split())
        yield started.pid, into, out
        started.stdout.close()


def rates(where: tuple[int, int, int], arguments: argparse.Namespace) -> tuple[float, float]:
    """Return the frames a second that came through, and the processor time of each in us."""
    pid, into, out = where
    context: zmq.Context[Socket] = zmq.Context()
    rig, consumer = context.socket(zmq.XPUB), context.socket(zmq.SUB)
    for socket, high_water in ((rig, zmq.SNDHWM), (consumer, zmq.RCVHWM)):
        socket.set(high_water, 0)
    consumer.connect(f"tcp://{LOCAL}:{out}")
    for topic in (b"pose3d/", b"kp2d/"):
        consumer.subscribe(topic)
    rig.connect(f"tcp://{LOCAL}:{into}")
    assert rig.poll(WAIT_S * 1000), "nobody subscribed"
    time.sleep(1.0)
    people = [person_px((x, 0, 4)) for x in range(PEOPLE)]
    names = [f"rig{number}" for number in range(arguments.rigs)]
    sent = heard = begun = 0
    began_s = used_s = 0.0
    while not begun or time.monotonic() - began_s < arguments.seconds:
        if heard >= WARM_UP and not begun:
            begun, began_s, used_s = heard, time.monotonic(), cpu_s(pid)
        while sent - heard < arguments.on_their_way:
            seq, number = divmod(sent, arguments.rigs)
            parts = keypoint_parts(*people, rig=names[number], seq=seq, ids=[-1] * PEOPLE)
            rig.send_multipart(parts)
            sent += 1
        assert consumer.poll(WAIT_S * 1000), f"{sent - heard} frames were lost"
        while consumer.poll(0):
            consumer.recv_multipart()
            heard += 1
    took_s, frames, used_s = time.monotonic() - began_s, heard - begun, cpu_s(pid) - used_s
    context.destroy(linger=0)
    return frames / took_s, 1e6 * used_s / frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rigs", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--on-their-way", type=int, default=100, help="frames at once")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.answer:
        answer_frames()
    print(origin("python -m tests.benchmarks.cluster_front " + shlex.join(sys.argv[1:])))
    print(f"load average {os.getloadavg()[0]:.1f} at the start")
    found: dict[str, list[float]] = {"front": [], "proxy": []}
    for _ in range(arguments.turns):
        for name, opened, messages in (("front", front, 2), ("proxy", proxy, 1)):
            with opened() as where:
                per_s, used_us = rates(where, arguments)
            found[name].append(used_us / messages)
            print(
                f"{name}: {per_s * messages:.0f} messages/s in real time beside rigs and lifter; "
                f"{used_us / messages:.0f} us of processor time each"
            )
    for name, used_us in found.items():
        each_us = float(np.median(used_us))
        print(f"{name}: {1e6 / each_us:.0f} messages/s of one core ({each_us:.0f} us each)")
    print(f"load average {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
