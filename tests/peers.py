"""Raw ZeroMQ peers of a server under test, closed together."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep

import zmq

from langpose_rt.protocol.control import Ports
from langpose_rt.security.key_files import KeyPair

LOCAL = "127.0.0.1"
WAIT_S = 60.0


class Peers:
    """Sockets that connect to a server on this machine."""

    def __init__(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sockets: list[zmq.Socket[bytes]] = []

    def connect(self, kind: int, port: int) -> "zmq.Socket[bytes]":
        """A socket of that kind, connected."""
        socket = self._context.socket(kind)
        self._sockets.append(socket)
        socket.connect(f"tcp://{LOCAL}:{port}")
        return socket

    def publisher(self, port: int) -> "zmq.Socket[bytes]":
        """A rig the server has attached: XPUB hears when it is subscribed to."""
        socket = self.connect(zmq.XPUB, port)
        assert socket.poll(WAIT_S * 1000), "the server did not subscribe"
        return socket

    def subscriber(self, port: int, *topics: bytes) -> "zmq.Socket[bytes]":
        """A consumer of these topics the server has attached: it has heard a heartbeat since."""
        socket = self.connect(zmq.SUB, port)
        for topic in (*topics, b"hb/"):
            socket.subscribe(topic)
        next_of(socket, b"hb/")
        return socket

    def keyed(
        self, ports: Ports, own: KeyPair, server_key: str
    ) -> "tuple[zmq.Socket[bytes], zmq.Socket[bytes]]":
        """A rig that the server has attached and a consumer of everything, with keys."""
        found = []
        for kind, port in ((zmq.XPUB, ports.keypoints), (zmq.SUB, ports.poses)):
            socket = self._context.socket(kind)
            self._sockets.append(socket)
            socket.setsockopt_string(zmq.CURVE_PUBLICKEY, own.public)
            socket.setsockopt_string(zmq.CURVE_SECRETKEY, own.secret)
            socket.setsockopt_string(zmq.CURVE_SERVERKEY, server_key)
            socket.connect(f"tcp://{LOCAL}:{port}")
            found.append(socket)
        rig, consumer = found
        consumer.subscribe(b"")
        assert rig.poll(WAIT_S * 1000), "the server did not subscribe"
        return rig, consumer


@contextmanager
def peers() -> Iterator[Peers]:
    """Peers for one test."""
    found = Peers()
    try:
        yield found
    finally:
        found._context.destroy(linger=0)


def next_of(subscriber: "zmq.Socket[bytes]", topic: bytes) -> list[bytes]:
    """The next message whose topic begins so; others are passed over."""
    while subscriber.poll(WAIT_S * 1000):
        parts = subscriber.recv_multipart()
        if parts[0].startswith(topic):
            return parts
    raise AssertionError(f"nothing came of {topic!r}")


def wait_until(done: Callable[[], bool]) -> None:
    """Wait for something that must happen soon."""
    until_s = monotonic() + WAIT_S
    while not done():
        assert monotonic() < until_s, "it did not happen"
        sleep(0.01)
