"""Base class of the client sockets: socket options, CURVE keys and life cycle.

Publishers, subscribers and control clients derive from it and encode and decode the messages.
Where one side has keys and the other has none, ZeroMQ gives up for good and without a word; here
the next call raises.
"""

import contextlib
import math
import time
from typing import TypeVar

import zmq
from zmq.utils.monitor import parse_monitor_message

from langpose_rt.errors import ConfigError, LangPoseError

MAX_WAITING_MESSAGES = 1000
"""Messages a subscriber holds; beyond that the oldest are skipped."""

_OPTIONS = {
    zmq.LINGER: 1000,
    zmq.SNDHWM: 64,
    zmq.RCVHWM: MAX_WAITING_MESSAGES,
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 2,
    zmq.TCP_KEEPALIVE_INTVL: 1,
    zmq.TCP_KEEPALIVE_CNT: 3,
}
_HEARTBEATS = {zmq.HEARTBEAT_IVL: 500, zmq.HEARTBEAT_TIMEOUT: 1500}
"""ZMTP heartbeats; not for consumers: one that does not read receives no heartbeat either, and
libzmq aborts the process when a full socket reconnects [libzmq#3937]. TCP keepalive and the
server's heartbeat messages remain."""

_MISMATCH = int(zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
_KEYLESS = (
    "the server at {} has keys and this client has none; give --key and --server-key, in Python "
    "key_pair and server_key ('langpose-rt keys new NAME' makes a pair)"
)
_KEYED = (
    "this client has keys and the server at {} has none; leave out --key and --server-key, or "
    "start it with 'langpose-rt serve --keys FOLDER'"
)

ClientSocketT = TypeVar("ClientSocketT", bound="ClientSocket")


class ClientSocket:
    """Connected ZeroMQ socket with a life cycle."""

    def __init__(
        self,
        socket_type: int,
        endpoint: str,
        server_key: str | None,
        key_pair: tuple[str, str] | None,
    ) -> None:
        port = endpoint.rpartition(":")[2]
        if endpoint.startswith("tcp:") and port.isdecimal() and int(port) > 65535:
            # ZeroMQ would silently connect to another port
            raise ConfigError(f'cannot connect to "{endpoint}": ports end at 65535')
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(socket_type)
        self._handshakes: zmq.Socket[bytes] = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        )
        try:
            heartbeats = {} if socket_type == zmq.SUB else _HEARTBEATS
            for option, value in (_OPTIONS | heartbeats).items():
                self._socket.set(option, value)
            # drops a rig's messages while no server is connected; a consumer must subscribe at once
            self._socket.set(zmq.IMMEDIATE, int(socket_type == zmq.XPUB))
            if server_key is not None:
                public, secret = key_pair or (key.decode() for key in zmq.curve_keypair())
                self._socket.setsockopt_string(zmq.CURVE_PUBLICKEY, public)
                self._socket.setsockopt_string(zmq.CURVE_SECRETKEY, secret)
                self._socket.setsockopt_string(zmq.CURVE_SERVERKEY, server_key)
            self._socket.connect(endpoint)
        except (zmq.ZMQError, ValueError, TypeError) as error:
            self._socket.set(zmq.LINGER, 0)
            self.close()
            reason = error.strerror if isinstance(error, zmq.ZMQError) else error
            raise ConfigError(
                f'cannot connect to "{endpoint}": {reason}; expected such as tcp://127.0.0.1:5555'
            ) from None
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._handshakes, zmq.POLLIN)
        self._mismatch = (_KEYLESS if server_key is None else _KEYED).format(endpoint)
        self._mismatched = False

    def close(self) -> None:
        """Close the socket; queued messages are sent for at most a second. Idempotent."""
        if not self._socket.closed:
            self._socket.disable_monitor()
            self._handshakes.close(linger=0)
        self._socket.close()

    def __enter__(self: ClientSocketT) -> ClientSocketT:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive_available(self) -> list[list[bytes]]:
        """Return the messages that have arrived, at most MAX_WAITING_MESSAGES.

        Raises:
            LangPoseError: If the socket is closed, or only one side has keys.
        """
        if self._socket.closed:
            raise LangPoseError(f"this {type(self).__name__} is closed; make a new one")
        self._check_keys()
        messages: list[list[bytes]] = []
        with contextlib.suppress(zmq.Again):
            while len(messages) < MAX_WAITING_MESSAGES:
                messages.append(self._socket.recv_multipart(zmq.NOBLOCK))
        return messages

    def _wait(self, deadline_s: float | None) -> bool:
        """Wait for a message; return False after the deadline, in seconds of time.monotonic.

        Raises:
            LangPoseError: If only one side has keys.
        """
        while True:
            left_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
            ready = self._poller.poll(None if left_s is None else math.ceil(1000 * left_s))
            self._check_keys()
            if not ready or any(socket is self._socket for socket, _ in ready):
                return bool(ready)

    def _check_keys(self) -> None:
        while int(self._handshakes.get(zmq.EVENTS)) & zmq.POLLIN:
            event = parse_monitor_message(self._handshakes.recv_multipart())
            self._mismatched |= event["value"] == _MISMATCH
        if self._mismatched:
            raise LangPoseError(self._mismatch)
