"""Rigs and consumers around a real server, over real sockets on free ports."""

import itertools
import json
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq

from langpose_rt.client.control import ControlClient
from langpose_rt.client.publisher import RigPublisher
from langpose_rt.client.subscriber import PoseSubscriber
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.protocol.messages import (
    Event,
    Heartbeat,
    PoseMessage,
    SchemaMessage,
    decode_pose,
    decode_status,
)
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.server import Server
from tests.background import process
from tests.fakes import MS, POSE, SIZE, FakeBackend, keypoint_parts, person_px
from tests.peers import LOCAL, WAIT_S, Peers, next_of, peers, wait_until

PERSON = person_px((0, 0, 4))
StatusMessage = Heartbeat | SchemaMessage | Event


@pytest.fixture
def server() -> Iterator[Server]:
    pipeline = PipelineConfig(smoothing="off", max_wait_ms=10_000.0)
    running = Server(FakeBackend(), ServerConfig(port=0, http_port=None, pipeline=pipeline))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def others() -> Iterator[Peers]:
    with peers() as found:
        yield found


def publisher(server: Server, rig: str) -> RigPublisher:
    endpoint = f"tcp://{LOCAL}:{server.ports.keypoints}"
    found = RigPublisher(endpoint, rig, "cam0", skeleton="h36m17", size=SIZE)
    assert found.wait_for_server(WAIT_S)
    return found


class Ears:
    """Everything a server says, collected until it is enough."""

    def __init__(self, server: Server, others: Peers) -> None:
        self._socket = others.connect(zmq.SUB, server.ports.poses)
        self._socket.subscribe(b"")
        self.poses: list[PoseMessage] = []
        self.notices: list[StatusMessage] = []
        self.until(lambda: self.of(SchemaMessage) != [])

    def until(self, enough: Callable[[], bool]) -> None:
        while not enough():
            assert self.take(WAIT_S), "the server has fallen silent"

    def take(self, wait_s: float = 0.0) -> bool:
        """One message, if one comes in time."""
        if not self._socket.poll(wait_s * 1000):
            return False
        parts = self._socket.recv_multipart()
        if parts[0].startswith(b"pose3d/"):
            self.poses.append(decode_pose(parts))
        else:
            self.notices.append(decode_status(parts))
        return True

    def of(self, kind: type[StatusMessage]) -> list[StatusMessage]:
        return [notice for notice in self.notices if isinstance(notice, kind)]

    def rejected(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for event in self.of(Event):
            assert isinstance(event, Event)
            if event.kind == "reject":
                counts[event.reason] = counts.get(event.reason, 0) + event.count
        return counts


def bad_messages() -> dict[str, list[bytes]]:
    """One message for each way of being wrong that has a reason of its own."""
    topic, header, payload = keypoint_parts(PERSON, rig="evil")

    def changed(**values: object) -> list[bytes]:
        return [topic, msgspec.msgpack.encode(msgspec.msgpack.decode(header) | values), payload]

    return {
        "bad_parts": [topic],
        "too_large": [topic, header, payload, b"x" * 700_000, b"x" * 700_000],
        "header_too_large": changed(filler="x" * 9000),
        "bad_topic": [b"kp2d/evil!/cam0/", header, payload],
        "bad_header": [topic, header[: len(header) // 2], payload],
        "unknown_protocol": changed(p="http"),
        "unknown_version": changed(v=99),
        "unknown_schema": changed(s="kp2d/7"),
        "unknown_format": changed(fmt="octopus8"),
        "bad_time": changed(t="tomorrow"),
        "bad_shape": [topic, header, payload[:-4]],
        "bad_ids": changed(ids=[1, 2, 3]),
        "bad_json": [topic, b'{"people": [', b""],
    }


def test_bad_messages_are_told_apart_and_cost_another_rig_nothing(
    server: Server, others: Peers
) -> None:
    ears, evil = Ears(server, others), others.publisher(server.ports.keypoints)
    frames = 60
    with publisher(server, "good") as good:
        wrong = list(bad_messages().values())
        for frame in range(frames):
            good.publish(PERSON[None], ids=[1], t_ns=frame * 16 * MS)
            if frame < len(wrong):
                evil.send_multipart(wrong[frame])
            time.sleep(16 * MS / 1e9)  # a rig that sends at once is beyond its share
        ears.until(
            lambda: len(ears.poses) == frames and sum(ears.rejected().values()) == len(wrong)
        )
    assert [pose.src.seq for pose in ears.poses] == list(range(frames))
    assert all(pose.drop == type(pose.drop)() for pose in ears.poses)
    assert all(np.abs(pose.poses[0, :, :3] - POSE).max() < 1e-4 for pose in ears.poses)
    assert set(ears.rejected()) == set(bad_messages())
    assert server.snapshot().counters["internal_errors"] == 0


def test_a_message_beyond_the_largest_part_cuts_its_sender_and_nobody_else(
    server: Server, others: Peers
) -> None:
    ears, evil = Ears(server, others), others.publisher(server.ports.keypoints)
    with publisher(server, "good") as good:
        for frame in range(20):
            good.publish(PERSON[None], t_ns=frame * 16 * MS)
            if frame == 5:
                evil.send_multipart([b"kp2d/evil/cam0/", b"x" * (8 << 20), b""])
        ears.until(lambda: len(ears.poses) == 20)

    def is_heard_again() -> bool:
        evil.send_multipart([b"kp2d/evil/cam0/"])
        return "bad_parts" in server.snapshot().rejected

    wait_until(is_heard_again)
    assert set(server.snapshot().rejected) == {"bad_parts"}, "the large message never came in"
    assert [pose.src.seq for pose in ears.poses] == list(range(20))


def test_bytes_that_are_no_zeromq_disturb_nobody(server: Server, others: Peers) -> None:
    ears = Ears(server, others)
    garbage = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 1000,
        bytes(range(256)) * 100,
        b"\xff\0\0\0\x7f",
    ]
    with publisher(server, "good") as good:
        for frame in range(20):
            with socket.create_connection((LOCAL, server.ports.keypoints)) as peer:
                reset_on_close = struct.pack("ii", 1, 0)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset_on_close)
                peer.send(garbage[frame % len(garbage)])
            good.publish(PERSON[None], t_ns=frame * 16 * MS)
        ears.until(lambda: len(ears.poses) == 20)
    assert [pose.src.seq for pose in ears.poses] == list(range(20))


def test_whoever_listens_hears_heartbeats_and_schemas(server: Server, others: Peers) -> None:
    ears = Ears(server, others)
    ears.until(lambda: len(ears.of(Heartbeat)) >= 2)
    beat = ears.of(Heartbeat)[-1]
    assert isinstance(beat, Heartbeat)
    assert (beat.server, beat.state) == ("langpose", "ready")
    names = {schema.name for schema in ears.of(SchemaMessage) if isinstance(schema, SchemaMessage)}
    assert {"h36m17", "coco17", "halpe26", "body25", "body25b"} <= names


def test_a_consumer_of_one_rig_hears_only_that_rig(server: Server) -> None:
    endpoint = f"tcp://{LOCAL}:{server.ports.poses}"
    with (
        PoseSubscriber(endpoint, rig="rig1") as subscriber,
        publisher(server, "rig1") as one,
        publisher(server, "rig10") as ten,
    ):
        wait_until(lambda: subscriber.heartbeat is not None)
        for frame in range(10):
            ten.publish(PERSON[None], t_ns=frame * 16 * MS)
            one.publish(PERSON[None], t_ns=frame * 16 * MS)
        found = [subscriber.receive(WAIT_S) for _ in range(10)]
        assert [message and message.rig for message in found] == ["rig1"] * 10
        assert subscriber.receive(0.2) is None


def test_a_publisher_that_restarts_is_served_at_once_and_anew(
    server: Server, others: Peers
) -> None:
    ears = Ears(server, others)
    epochs = []
    for _ in range(5):
        with publisher(server, "rig0") as rig:
            for frame in range(3):
                rig.publish(PERSON[None], ids=[4], t_ns=frame * 16 * MS)
            expected = len(ears.poses) + 3
            ears.until(lambda expected=expected: len(ears.poses) >= expected)  # type: ignore[misc]
            epochs.append({pose.src.epoch for pose in ears.poses[-3:]})
            assert [pose.win.filled for pose in ears.poses[-3:]] == [(1,), (2,), (3,)]
    assert all(len(epoch) == 1 for epoch in epochs)
    assert len(set.union(*epochs)) == 5
    assert [pose.seq for pose in ears.poses] == list(range(15))


def test_two_servers_live_side_by_side(server: Server, others: Peers) -> None:
    other = Server(FakeBackend(), ServerConfig(port=0, http_port=None))
    other.start()
    try:
        ears, other_ears = Ears(server, others), Ears(other, others)
        with publisher(server, "here") as here, publisher(other, "there") as there:
            here.publish(PERSON[None])
            there.publish(PERSON[None])
            ears.until(lambda: ears.poses != [])
            other_ears.until(lambda: other_ears.poses != [])
        assert ears.poses[0].rig == "here"
        assert other_ears.poses[0].rig == "there"
        assert ears.poses[0].epoch != other_ears.poses[0].epoch
    finally:
        other.stop()


def test_many_rigs_at_once_lose_nothing(server: Server, others: Peers) -> None:
    ears = Ears(server, others)
    rigs = [publisher(server, f"rig{number}") for number in range(8)]
    try:
        for frame in range(25):
            for rig in rigs:
                rig.publish(PERSON[None], ids=[0], t_ns=frame * 16 * MS)
            ears.until(lambda frame=frame: len(ears.poses) == 8 * (frame + 1))  # type: ignore[misc]
    finally:
        for rig in rigs:
            rig.close()
    for number in range(8):
        own = [pose.src.seq for pose in ears.poses if pose.rig == f"rig{number}"]
        assert own == list(range(25))


def test_processes_of_this_machine_speak_through_a_folder(tmp_path: Path) -> None:
    running = Server(FakeBackend(), ServerConfig(port=0, http_port=None, ipc=tmp_path))
    running.start()
    try:
        rig = RigPublisher(
            f"ipc://{tmp_path}/keypoints", "rig0", "cam0", skeleton="h36m17", size=SIZE
        )
        poses = PoseSubscriber(f"ipc://{tmp_path}/poses")
        control = ControlClient(f"ipc://{tmp_path}/control", timeout_s=WAIT_S)
        with rig, poses, control:
            assert rig.wait_for_server(WAIT_S)
            wait_until(lambda: poses.heartbeat is not None)
            rig.publish(PERSON[None])
            assert poses.receive(WAIT_S) is not None
            assert control.hello().ports == running.ports
    finally:
        running.stop()


def test_a_rig_that_binds_is_served_too_and_found_again_when_it_restarts(others: Peers) -> None:
    with zmq.Context() as context, context.socket(zmq.PUB) as rig:
        rig.bind_to_random_port(f"tcp://{LOCAL}")
        endpoint = rig.get_string(zmq.LAST_ENDPOINT)
        config = ServerConfig(port=0, http_port=None, connect=(endpoint,), connect_timeout_s=0.2)
        running = Server(FakeBackend(), config)
        running.start()
        try:
            ears, times = Ears(running, others), itertools.count()

            def is_lifted() -> bool:
                number = next(times)
                rig.send_multipart(keypoint_parts(PERSON, seq=number, t_ms=20 * number))
                expected = len(ears.poses)
                ears.take()
                return len(ears.poses) > expected

            wait_until(is_lifted)
            rig.unbind(endpoint)
            ears.until(lambda: "silent" in [getattr(said, "reason", "") for said in ears.notices])
            rig.bind(endpoint)
            wait_until(is_lifted)
            assert running.snapshot().counters["reconnects"] > 0
        finally:
            running.stop()


SERVE = [sys.executable, "-m", "langpose_rt", "serve", "--port", "0", "--no-http", "--json"]


@pytest.fixture
def child() -> Iterator["subprocess.Popen[str]"]:
    """`langpose-rt serve` in a process of its own, with the model that ships."""
    with process(SERVE, stdout=subprocess.PIPE, text=True) as started:
        yield started


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_drains_the_real_server_and_it_ends_well(
    name: str, child: "subprocess.Popen[str]", others: Peers
) -> None:
    assert child.stdout is not None
    said = json.loads(child.stdout.readline())
    topics = b"pose3d/", b"event/drain/"
    ears = others.subscriber(said["output_port"], *topics)
    endpoint = f"tcp://{LOCAL}:{said['port']}"
    with RigPublisher(endpoint, "rig0", "cam0", skeleton="h36m17", size=SIZE) as rig:
        assert rig.wait_for_server(WAIT_S)
        rig.publish(PERSON[None])
        next_of(ears, b"pose3d/rig0/cam0/")
        child.send_signal(getattr(signal, name))
        next_of(ears, b"event/drain/")
    assert child.wait(WAIT_S) == 0
