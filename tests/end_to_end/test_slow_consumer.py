"""A consumer that stops reading for a while, in a process of its own: it loses poses, no more."""

import subprocess
import sys

import zmq

from tests.peers import LOCAL, WAIT_S

CONSUMER = """
import sys, time
from langpose_rt.streaming.client import PoseSubscriber
with PoseSubscriber(sys.argv[1]) as poses:
    print("here", flush=True)
    time.sleep(float(sys.argv[2]))
    while poses.receive(0.5) is None and not poses.rejected:
        pass
print("goes on", flush=True)
"""

MESSAGES, MESSAGE_BYTES = 5000, 10_000
"""More than a consumer holds and the system's buffers take."""

PAUSE_S = 3.0
"""Longer than a peer is waited for."""


def test_a_consumer_that_does_not_read_for_seconds_lives_on() -> None:
    """libzmq aborts it (issue 3937) if its full socket reconnects for want of a heartbeat."""
    with zmq.Context() as context, context.socket(zmq.XPUB) as server:
        server.set(zmq.SNDHWM, 0)
        server.set(zmq.LINGER, 0)
        endpoint = f"tcp://{LOCAL}:{server.bind_to_random_port(f'tcp://{LOCAL}')}"
        command = [sys.executable, "-c", CONSUMER, endpoint, str(PAUSE_S)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as consumer:
            assert server.poll(WAIT_S * 1000), "the consumer did not subscribe"
            for _ in range(MESSAGES):
                server.send_multipart([b"pose3d/rig0/cam0/", b"x" * MESSAGE_BYTES])
            said, _ = consumer.communicate(timeout=WAIT_S)
        assert said.split("\n")[1] == "goes on"
        assert consumer.returncode == 0
