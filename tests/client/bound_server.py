"""A bound socket in place of a server, on an ephemeral port; every wait is bounded."""

import time
from collections.abc import Callable

import zmq

from langpose_rt.client.publisher import RigPublisher
from langpose_rt.protocol.messages import KeypointMessage, decode_keypoints

WAIT_S = 20.0


class Server:
    """A bound socket that stands in for the server's."""

    def __init__(
        self,
        socket_type: int,
        *,
        keys: tuple[bytes, bytes] | None = None,
        endpoint: str = "tcp://127.0.0.1:*",
    ) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(socket_type)
        self.socket.linger = 0
        if keys is not None:
            self.socket.curve_publickey, self.socket.curve_secretkey = keys
            self.socket.curve_server = True
        wait_until(lambda: self._bound_to(endpoint))  # a port just left may need a moment
        self.endpoint = self.socket.last_endpoint.rstrip(b"\0").decode()

    def _bound_to(self, endpoint: str) -> bool:
        try:
            self.socket.bind(endpoint)
        except zmq.ZMQError:
            return False
        return True

    def receive(self, timeout_s: float = WAIT_S) -> KeypointMessage | None:
        if not self.socket.poll(int(1000 * timeout_s)):
            return None
        return decode_keypoints(self.socket.recv_multipart(), now_ns=0)

    def close(self) -> None:
        self.context.destroy(linger=0)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.002)


def connected(server: Server, publisher: RigPublisher) -> None:
    """Wait as a rig does, while the server polls as a server does: only then peers attach."""

    def attached() -> bool:
        server.socket.poll(0)
        return publisher.wait_for_server(timeout_s=0.0)

    wait_until(attached)
