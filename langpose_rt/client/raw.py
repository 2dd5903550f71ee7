"""Send and receive encoded messages without decoding them, for recording and replay.

`publisher.py` and `subscriber.py` are the clients for rigs and consumers.
"""

import time
from collections.abc import Sequence

import zmq

from langpose_rt.client.socket import ClientSocket


class RawPublisher(ClientSocket):
    """Sends encoded messages of any rig to a server.

    Args:
        endpoint: Keypoint endpoint of the server.
        server_key: Public CURVE key of the server.
        key_pair: Public and secret CURVE key of this sender.

    Raises:
        ConfigError: If an argument is invalid.
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
        """Wait until a server has subscribed; return False if none did in time."""
        return self._wait(time.monotonic() + timeout_s)

    def send(self, parts: Sequence[bytes]) -> None:
        """Send one message, or drop it if the server does not keep up."""
        self._receive_available()
        self._socket.send_multipart(parts, zmq.NOBLOCK)


class RawSubscriber(ClientSocket):
    """Receives every message a server publishes.

    Args:
        endpoint: Pose endpoint of the server.
        server_key: Public CURVE key of the server.
        key_pair: Public and secret CURVE key of this consumer.

    Raises:
        ConfigError: If an argument is invalid.
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
        """Wait for a message and return all that have arrived; empty after the timeout."""
        self._wait(time.monotonic() + timeout_s)
        return self._receive_available()
