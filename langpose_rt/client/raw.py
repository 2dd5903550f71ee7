"""Whole messages as they are, to a server and from it: for recording and replaying.

Rigs and consumers that know what they say are in `client.py`.
"""

import time
from collections.abc import Sequence

import zmq

from langpose_rt.client.socket import Connection


class RawPublisher(Connection):
    """Sends messages of any rig to a server.

    Args:
        endpoint: Where the server takes keypoints.
        server_key: Public CURVE key of the server.
        key_pair: Public and secret CURVE key of this sender.

    Raises:
        ConfigError: If one of these cannot be.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        server_key: str | None = None,
        key_pair: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(zmq.XPUB, endpoint, server_key, key_pair)

    def wait_for_server(self, timeout_s: float) -> bool:
        """Wait until a server has subscribed; False if none did."""
        return self._wait(time.monotonic() + timeout_s)

    def send(self, parts: Sequence[bytes]) -> None:
        """Send one message, or lose it if the server does not keep up."""
        self._arrived()
        self._socket.send_multipart(parts, zmq.NOBLOCK)


class RawSubscriber(Connection):
    """Receives everything a server publishes.

    Args:
        endpoint: Where the server publishes.
        server_key: Public CURVE key of the server.
        key_pair: Public and secret CURVE key of this consumer.

    Raises:
        ConfigError: If one of these cannot be.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        server_key: str | None = None,
        key_pair: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(zmq.SUB, endpoint, server_key, key_pair)
        self._socket.subscribe(b"")

    def receive(self, timeout_s: float) -> list[list[bytes]]:
        """All messages that are there, after waiting for the first; none if none came in time."""
        self._wait(time.monotonic() + timeout_s)
        return self._arrived()
