"""Consumers that read slowly, not for a while, or never again: nobody else notices."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq

from langpose_rt.streaming.client import PoseSubscriber, RigPublisher
from langpose_rt.streaming.options import PipelineConfig, ServerConfig
from langpose_rt.streaming.server import Server
from langpose_rt.streaming.sockets import SEND_HWM
from tests.fakes import SIZE, FakeBackend, person_px
from tests.peers import LOCAL, WAIT_S, wait_until

PEOPLE = np.stack([person_px((0.05 * number - 1.5, 0, 4)) for number in range(60)])
FRAMES = 3 * SEND_HWM
"""More than the server keeps for a consumer and the short buffers of a slow one take."""

FEW = 20

CONNECTIONS = Path("/proc/net/tcp")
ESTABLISHED = "01"

PLAIN_CONSUMER = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.subscribe(b"")
socket.connect(sys.argv[1])
socket.recv_multipart()
print("here", flush=True)
while True:
    socket.recv_multipart()
"""

PAUSING_CONSUMER = """
import sys, time
from langpose_rt.streaming.client import PoseSubscriber
with PoseSubscriber(sys.argv[1]) as poses:
    time.sleep(float(sys.argv[2]))
    while poses.receive(0.5) is None and not poses.rejected:
        pass
print("goes on", flush=True)
"""

PAUSE_S = 3.0
"""Longer than a peer is waited for."""

MANY, BYTES = 5000, 10_000
"""More than a consumer holds and the system's buffers take."""


@pytest.fixture
def server() -> Iterator[Server]:
    pipeline = PipelineConfig(backlog_ms=10_000.0)
    running = Server(FakeBackend(slots=64), ServerConfig(port=0, http_port=None, pipeline=pipeline))
    running.start()
    yield running
    running.stop()


def all_answered(server: Server, frames: int) -> bool:
    """Whether a healthy consumer hears the answer to every frame of a rig."""
    endpoint = f"tcp://{LOCAL}:{server.ports.keypoints}"
    with (
        PoseSubscriber(f"tcp://{LOCAL}:{server.ports.poses}", rig="rig0") as poses,
        RigPublisher(endpoint, "rig0", "cam0", skeleton="h36m17", size=SIZE) as rig,
    ):
        assert rig.wait_for_server(WAIT_S)
        wait_until(lambda: poses.heartbeat is not None)
        for _ in range(frames):
            seq = rig.publish(PEOPLE, range(len(PEOPLE)))
            message = poses.receive(WAIT_S)
            if message is None or message.src.seq != seq:
                return False
    return True


def test_a_consumer_that_reads_slowly_loses_poses_and_nobody_else_does(server: Server) -> None:
    read = 0
    with zmq.Context() as context, context.socket(zmq.SUB) as slow:
        slow.set(zmq.RCVHWM, 1)
        slow.set(zmq.RCVBUF, 4096)
        slow.subscribe(b"pose3d/")
        slow.connect(f"tcp://{LOCAL}:{server.ports.poses}")
        assert all_answered(server, FRAMES)
        while slow.poll(200):
            slow.recv_multipart()
            read += 1
    assert 0 < read < FRAMES
    assert server.snapshot().counters["internal_errors"] == 0


@pytest.mark.skipif(not CONNECTIONS.exists(), reason="connections are read from Linux's /proc")
def test_a_frozen_consumer_is_cut_and_nobody_else_notices(server: Server) -> None:
    before = connections(server.ports.poses)
    endpoint = f"tcp://{LOCAL}:{server.ports.poses}"
    command = [sys.executable, "-c", PLAIN_CONSUMER, endpoint]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as frozen:
        assert frozen.stdout is not None
        assert frozen.stdout.readline() == "here\n"
        theirs = connections(server.ports.poses) - before
        assert len(theirs) == 1
        frozen.send_signal(signal.SIGSTOP)
        assert all_answered(server, FEW)
        wait_until(lambda: not theirs & connections(server.ports.poses))
        frozen.kill()
    assert all_answered(server, FEW)


def connections(port: int) -> set[str]:
    """Addresses of the peers that are connected to a port of this machine."""
    rows = [line.split() for line in CONNECTIONS.read_text().splitlines()[1:]]
    return {
        row[2]
        for row in rows
        if row[3] == ESTABLISHED and int(row[1].partition(":")[2], 16) == port
    }


def test_a_consumer_that_does_not_read_for_seconds_lives_on() -> None:
    """libzmq aborts it (issue 3937) if its full socket reconnects for want of a heartbeat."""
    with zmq.Context() as context, context.socket(zmq.XPUB) as server:
        server.set(zmq.SNDHWM, 0)
        server.set(zmq.LINGER, 0)
        endpoint = f"tcp://{LOCAL}:{server.bind_to_random_port(f'tcp://{LOCAL}')}"
        command = [sys.executable, "-c", PAUSING_CONSUMER, endpoint, str(PAUSE_S)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as consumer:
            assert server.poll(WAIT_S * 1000), "the consumer did not subscribe"
            for _ in range(MANY):
                server.send_multipart([b"pose3d/rig0/cam0/", b"x" * BYTES])
            said, _ = consumer.communicate(timeout=WAIT_S)
        assert said == "goes on\n"
        assert consumer.returncode == 0
