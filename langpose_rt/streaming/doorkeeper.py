"""The door of a server with keys: its sockets ask here who may come in.

One thread calls `turn`; it answers ZeroMQ's questions and hears of handshakes that failed before
there was a question. Who may come in is decided in `security.py`.
"""

from collections.abc import Callable

import zmq
from zmq.utils.monitor import parse_monitor_message

from langpose_rt.streaming.header import Reason
from langpose_rt.streaming.security import Keyring, zap_reply
from langpose_rt.streaming.sockets import Socket

HANDSHAKE_MS = 2000
"""Who is not in by then is cut, and may try again: its key may have been added."""

_ZAP = "inproc://zeromq.zap.01"
_FAILED: dict[int, tuple[Reason, str]] = {
    int(zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH): (
        Reason.NOT_ENCRYPTED,
        "somebody connected without keys; clients need --key and --server-key",
    ),
    int(zmq.PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC): (
        Reason.WRONG_SERVER_KEY,
        "somebody connected with another server's public key; give clients this server's",
    ),
}


class Doorkeeper:
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
        on_refusal: Callable[[Reason, str], None],
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
        self._monitors.append(socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL))

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
                if refusal:
                    self._on_refusal(Reason.UNKNOWN_KEY, refusal)
            elif (failure := _FAILED.get(int(parse_monitor_message(parts)["value"]))) is not None:
                self._on_refusal(*failure)

    def close(self) -> None:
        """Stop answering: from here on nobody is let in."""
        for socket in (self._questions, *self._monitors):
            socket.close()
