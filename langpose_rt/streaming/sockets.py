"""The server's sockets: how one is opened, and how one is read without waiting.

Threads are in `server.py`; what a message means is nobody's business here. Whatever protects a
socket is set where it is opened, in `listening_socket`.
"""

import zmq

from langpose_rt.errors import ConfigError
from langpose_rt.streaming.header import MAX_MESSAGE_BYTES, MAX_PARTS

Socket = zmq.Socket[bytes]

RECEIVE_HWM = 256
SEND_HWM = 64
"""Messages a subscriber may lag behind before losing some."""

HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 500, 1500
"""A frozen peer is cut after about two seconds."""

MAX_SUBSCRIPTION_BYTES = 4096

_PEER_OPTIONS = {
    zmq.LINGER: 0,
    zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
    zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
    zmq.HEARTBEAT_TTL: HEARTBEAT_TIMEOUT_MS,
    zmq.TCP_KEEPALIVE: 1,
}
_OPTIONS: dict[int, dict[int, int | bytes]] = {
    # what nobody understands is rejected aloud, not filtered away, so everything is subscribed to
    zmq.SUB: {zmq.MAXMSGSIZE: MAX_MESSAGE_BYTES, zmq.RCVHWM: RECEIVE_HWM, zmq.SUBSCRIBE: b""},
    zmq.XPUB: {zmq.MAXMSGSIZE: MAX_SUBSCRIPTION_BYTES, zmq.SNDHWM: SEND_HWM, zmq.XPUB_VERBOSE: 1},
}


def listening_socket(
    context: "zmq.Context[Socket]", kind: int, bind: str, port: int, *, option: str
) -> tuple[Socket, int]:
    """A bound socket, and its port.

    Args:
        context: Of the server.
        kind: zmq.SUB for keypoints, zmq.XPUB for poses.
        bind: Address to listen on.
        port: 0 takes any free one.
        option: The flag a user chooses another port with.

    Raises:
        ConfigError: If the port is taken or the address is not this machine's.
    """
    socket = context.socket(kind)
    is_ipv6 = ":" in bind
    for name, value in (_PEER_OPTIONS | _OPTIONS[kind] | {zmq.IPV6: int(is_ipv6)}).items():
        socket.set(name, value)
    host = f"[{bind}]" if is_ipv6 else bind
    try:
        socket.bind(f"tcp://{host}:{port or '*'}")
    except zmq.ZMQError as error:
        socket.close()
        why = zmq.strerror(error.errno or 0).lower()
        raise ConfigError(
            f"cannot listen on {bind}:{port} ({why}); choose another {option}"
        ) from None
    return socket, int(socket.get_string(zmq.LAST_ENDPOINT).rpartition(":")[2])


def received_with_key(socket: Socket) -> tuple[list[bytes] | None, str]:
    """As `received`, of a socket with keys: also the public key of the sender, checked by CURVE."""
    try:
        first = socket.recv(zmq.NOBLOCK, copy=False)  # only a Frame knows who sent it
    except zmq.Again:
        return None, ""
    return _whole(socket, first.bytes), str(first.get("User-Id"))


def received(socket: Socket) -> list[bytes] | None:
    """The parts of the next message, one more than allowed at most; None if there is none."""
    try:
        return _whole(socket, socket.recv(zmq.NOBLOCK))
    except zmq.Again:
        return None


def _whole(socket: Socket, first: bytes) -> list[bytes]:
    """A message whose first part has been read."""
    parts = [first]
    while socket.get(zmq.RCVMORE):
        part = socket.recv()
        if len(parts) <= MAX_PARTS:
            parts.append(part)
    return parts
