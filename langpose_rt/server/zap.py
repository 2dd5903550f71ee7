"""ZAP authenticator: accepts or rejects CURVE clients by public key.

One thread calls `poll`; it answers ZAP requests, and monitors handshakes that failed before there
was a request. The allow-list is in `langpose_rt.security.keyring`.
"""

import logging
from collections.abc import Callable

import zmq
from zmq.utils.monitor import parse_monitor_message

from langpose_rt.protocol.header import RejectReason
from langpose_rt.security.keyring import Keyring, zap_reply
from langpose_rt.server.sockets import Socket

HANDSHAKE_MS = 2000
"""Handshake timeout; the client may reconnect."""

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
    """Accepts peers by their keys, and reports those it rejects.

    Args:
        context: Of the server.
        keyring: Keys of accepted peers.
        on_reject: Receives the reason and a sentence of every rejection.

    Attributes:
        keyring: Keys of accepted peers.
    """

    def __init__(
        self,
        context: "zmq.Context[Socket]",
        keyring: Keyring,
        on_reject: Callable[[RejectReason, str], None],
    ) -> None:
        self.keyring, self._on_reject = keyring, on_reject
        self._monitors: list[Socket] = []
        self._requests: Socket = context.socket(zmq.REP)
        self._requests.bind(_ZAP)

    def guard(self, socket: Socket) -> None:
        """Make a socket that is not bound yet accept only clients with known keys."""
        socket.setsockopt_string(zmq.CURVE_SECRETKEY, self.keyring.own.secret)
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        socket.set(zmq.ZAP_DOMAIN, b"langpose")
        # without it every client would be accepted when this thread does not answer
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)
        self._monitors.append(socket.get_monitor_socket(_EVENTS))

    def poll(self, timeout_ms: int) -> None:
        """Poll the ZAP and monitor sockets once and handle what arrived."""
        poller = zmq.Poller()
        for socket in (self._requests, *self._monitors):
            poller.register(socket, zmq.POLLIN)
        ready = poller.poll(timeout_ms)
        self.keyring.refresh()
        for socket, _ in ready:
            parts = socket.recv_multipart()
            if socket is self._requests:
                reply, rejection = zap_reply(parts, self.keyring)
                socket.send_multipart(reply)
                if rejection:  # consumers get an event; only the log names the key
                    log.warning("%s", rejection)
                    self._on_reject(RejectReason.UNKNOWN_KEY, _UNKNOWN)
            elif (failure := _failure_of(parts)) is not None:
                self._on_reject(*failure)

    def close(self) -> None:
        """Stop answering: from here on no client is accepted."""
        for socket in (self._requests, *self._monitors):
            socket.close()


def _failure_of(parts: list[bytes]) -> tuple[RejectReason, str] | None:
    """Return the rejection a monitor event stands for, or None."""
    event = parse_monitor_message(parts)
    if event["event"] == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        return RejectReason.NO_HANDSHAKE, _LEFT
    return _FAILED.get(int(event["value"]))
