"""Consumers that read slowly, or not for a while: they lose poses, and nobody else notices."""

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import zmq

from langpose_rt.client.publisher import RigPublisher
from langpose_rt.client.subscriber import PoseSubscriber
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.server import Server
from langpose_rt.server.sockets import SEND_HWM
from tests.background import process
from tests.fakes import SIZE, FakeBackend, person_px
from tests.peers import LOCAL, WAIT_S, wait_until

PEOPLE = np.stack([person_px((0.05 * number - 1.5, 0, 4)) for number in range(60)])
FRAMES = 3 * SEND_HWM
"""More than the server keeps for a consumer and the short buffers of a slow one take."""

CONSUMER = """
import sys, time
from langpose_rt.client.subscriber import PoseSubscriber
with PoseSubscriber(sys.argv[1]) as poses:
    time.sleep(float(sys.argv[2]))
    while poses.receive(0.5) is None and not poses.rejected:
        pass
print("goes on", flush=True)
"""

CONNECTING_SERVER = """
import sys, time, zmq
from langpose_rt.server.sockets import connected_socket, received
socket = connected_socket(zmq.Context(), sys.argv[1])
time.sleep(float(sys.argv[2]))
for _ in range(50):
    received(socket)
    time.sleep(0.01)
print("goes on", flush=True)
"""
"""The socket of `serve --connect`."""

PAUSE_S = 3.0
"""Longer than a peer is waited for."""

MANY, BYTES = 3000, 10_000
"""More than a consumer holds and the system's buffers take."""


@pytest.fixture
def server() -> Iterator[Server]:
    pipeline = PipelineConfig(max_wait_ms=10_000.0)
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


@pytest.mark.parametrize("program", [CONSUMER, CONNECTING_SERVER], ids=["consumer", "server"])
def test_who_connects_and_does_not_read_for_seconds_lives_on(program: str) -> None:
    """libzmq aborts it (issue 3937) if its full socket reconnects for want of a heartbeat."""
    with zmq.Context() as context, context.socket(zmq.XPUB) as other:
        other.set(zmq.SNDHWM, 0)
        other.set(zmq.LINGER, 0)
        endpoint = f"tcp://{LOCAL}:{other.bind_to_random_port(f'tcp://{LOCAL}')}"
        command = [sys.executable, "-c", program, endpoint, str(PAUSE_S)]
        with process(command, stdout=subprocess.PIPE, text=True) as reader:
            assert other.poll(WAIT_S * 1000), "nobody subscribed"
            for _ in range(MANY):
                other.send_multipart([b"pose3d/rig0/cam0/", b"x" * BYTES])
            said, _ = reader.communicate(timeout=WAIT_S)
        assert said == "goes on\n"
        assert reader.returncode == 0
