"""Peers of a wrong socket type are told what to use; others are not spoken of."""

import socket as tcp
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import zmq

from langpose_rt.protocol.header import RejectReason
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.server import Server
from langpose_rt.server.socket_types import SocketTypeMonitor
from tests.fakes import FakeBackend
from tests.peers import LOCAL, wait_until

KINDS = {"keypoints": zmq.SUB, "poses": zmq.XPUB, "control": zmq.ROUTER}


@dataclass
class Watch:
    """Three listening sockets and what was said of their peers."""

    context: "zmq.Context[zmq.Socket[bytes]]"
    said: list[tuple[RejectReason, str]] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    sockets: "list[zmq.Socket[bytes]]" = field(default_factory=list)

    def __post_init__(self) -> None:
        self.monitor = SocketTypeMonitor(self.context, lambda *what: self.said.append(what))
        for name, kind in KINDS.items():
            listening = self.context.socket(kind)
            self.sockets.append(listening)
            self.monitor.guard(listening)
            self.ports[name] = listening.bind_to_random_port(f"tcp://{LOCAL}")

    def heard(self) -> bool:
        self.monitor.poll()
        return bool(self.said)

    def hears_of(self, port: str, kind: int) -> bool:
        """Let peers connect until one is spoken of: one that leaves first is not."""
        with self.context.socket(kind) as peer:
            peer.setsockopt(zmq.LINGER, 0)
            peer.connect(f"tcp://{LOCAL}:{self.ports[port]}")
            until_s = time.monotonic() + 0.3
            while not self.heard() and time.monotonic() < until_s:
                time.sleep(0.01)
        return bool(self.said)


@pytest.fixture
def watch() -> Iterator[Watch]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    watch = Watch(context)
    try:
        yield watch
    finally:
        watch.monitor.close()
        context.destroy(linger=0)


@pytest.mark.parametrize(
    ("port", "kind", "remedy"),
    [
        ("keypoints", zmq.PUSH, "publish keypoints with PUB"),
        ("keypoints", zmq.REQ, "publish keypoints with PUB"),
        ("keypoints", zmq.SUB, "subscribe to poses on the pose port"),
        ("poses", zmq.PULL, "subscribe to poses with SUB"),
        ("poses", zmq.PUB, "publish keypoints on the keypoint port"),
        ("control", zmq.SUB, "REQ or DEALER"),
    ],
)
def test_a_peer_of_a_wrong_type_is_told_what_to_use(
    watch: Watch, port: str, kind: int, remedy: str
) -> None:
    wait_until(lambda: watch.hears_of(port, kind))
    reason, detail = watch.said[0]
    assert reason == "wrong_socket"
    assert remedy in detail


@pytest.mark.parametrize(
    ("port", "kind"), [("keypoints", zmq.PUB), ("poses", zmq.SUB), ("control", zmq.REQ)]
)
def test_peers_that_come_and_go_are_not_spoken_of(watch: Watch, port: str, kind: int) -> None:
    for _ in range(5):
        with tcp.create_connection((LOCAL, watch.ports[port])) as raw:
            raw.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with watch.context.socket(kind) as peer:
            done = peer.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
            peer.connect(f"tcp://{LOCAL}:{watch.ports[port]}")
            assert done.poll(60_000)
            peer.disable_monitor()
            done.close()
    tcp.create_connection((LOCAL, watch.ports[port])).close()
    wait_until(lambda: watch.hears_of("keypoints", zmq.PUSH))
    assert {detail for _, detail in watch.said} == {watch.monitor._watched[0].detail}


def test_a_server_counts_and_tells_a_rig_that_pushes() -> None:
    server = Server(FakeBackend(), ServerConfig(port=0, http_port=None))
    server.start()
    try:
        with zmq.Context() as context:

            def told() -> bool:
                with context.socket(zmq.PUSH) as rig:
                    rig.setsockopt(zmq.LINGER, 0)
                    rig.connect(f"tcp://{LOCAL}:{server.ports.keypoints}")
                    time.sleep(0.2)
                return server.snapshot().rejected.get("wrong_socket", 0) > 0

            wait_until(told)
    finally:
        server.stop()
