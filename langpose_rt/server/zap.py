"""The door of a server with keys: its sockets ask here who may come in.

One thread calls `turn`; it answers ZeroMQ's questions and hears of handshakes that failed before
there was a question. Who may come in is decided in `security.py`.
"""

import logging
from collections.abc import Callable

import zmq
from zmq.utils.monitor import parse_monitor_message

from langpose_rt.protocol.header import RejectReason
from langpose_rt.security.keyring import Keyring, zap_reply
from langpose_rt.server.sockets import Socket, received, received_with_key

HANDSHAKE_MS = 2000
"""Who is not in by then is cut, and may try again: its key may have been added."""

_ZAP = "inproc://zeromq.zap.01"
_EVENTS = int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
_FAILED: dict[int, tuple[RejectReason, str]] = {
    int(zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH): (
        RejectReason.NOT_ENCRYPTED,
        "somebody connected without keys; clients need --key and --server-key",
    ),
    int(zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC): (
        RejectReason.WRONG_SERVER_KEY,
        "somebody connected with another server's public key; give clients this server's",
    ),
}
_UNKNOWN = "somebody came with a key that is not in the server's folder; its log says with which"
_LEFT = (
    "somebody connected and left, or said nothing, before it was known who; a client without keys "
    "may leave so early"
)

log = logging.getLogger(__name__)


class ZapAuthenticator:
    """Lets peers in by their keys, and reports those it does not.

    Args:
        context: Of the server.
        keyring: Who may come in.
        on_refusal: Told the reason and a sentence of every refusal.

    Attributes:
        keyring: Who may come in now.
    """

    def __init__(
        self,
        context: "zmq.Context[Socket]",
        keyring: Keyring,
        on_refusal: Callable[[RejectReason, str], None],
    ) -> None:
        self.keyring, self._on_refusal = keyring, on_refusal
        self._monitors: list[Socket] = []
        self._questions: Socket = context.socket(zmq.REP)
        self._questions.bind(_ZAP)

    def guard(self, socket: Socket) -> None:
        """Make a socket that is not bound yet let in only those who may."""
        socket.setsockopt_string(zmq.CURVE_SECRETKEY, self.keyring.own.secret)
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        socket.set(zmq.ZAP_DOMAIN, b"langpose")
        # without it everybody would be let in when nobody answers
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)
        self._monitors.append(socket.get_monitor_socket(_EVENTS))

    def turn(self, timeout_ms: int) -> None:
        """Wait for something to happen, and see to it."""
        poller = zmq.Poller()
        for socket in (self._questions, *self._monitors):
            poller.register(socket, zmq.POLLIN)
        ready = poller.poll(timeout_ms)
        self.keyring.refresh()
        for socket, _ in ready:
            parts = socket.recv_multipart()
            if socket is self._questions:
                reply, refusal = zap_reply(parts, self.keyring)
                socket.send_multipart(reply)
                if refusal:  # every consumer hears of it, but only the log knows whose key it was
                    log.warning("%s", refusal)
                    self._on_refusal(RejectReason.UNKNOWN_KEY, _UNKNOWN)
            elif (failure := _failure_of(parts)) is not None:
                self._on_refusal(*failure)

    def close(self) -> None:
        """Stop answering: from here on nobody is let in."""
        for socket in (self._questions, *self._monitors):
            socket.close()


def received_with_name(
    socket: Socket, keyring: Keyring | None
) -> tuple[list[bytes], str | None] | None:
    """As `sockets.received`, and what the sender's key is named after.

    Args:
        socket: Guarded, if there is a keyring.
        keyring: Knows the names; None where there are no keys.

    Returns:
        The parts, and the name: empty if the key is not allowed any more, None without a keyring.
    """
    if keyring is None:
        parts = received(socket)
        return None if parts is None else (parts, None)
    if (message := received_with_key(socket)) is None:
        return None
    return message[0], keyring.name_of(message[1])


def _failure_of(parts: list[bytes]) -> tuple[RejectReason, str] | None:
    """What a monitor tells of, if it is worth a word."""
    event = parse_monitor_message(parts)
    if event["event"] == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        return RejectReason.NO_HANDSHAKE, _LEFT
    return _FAILED.get(int(event["value"]))
