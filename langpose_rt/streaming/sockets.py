"""The server's sockets: how one is opened, and how one is read without waiting.

Threads are in `server.py`; what a message means is nobody's business here. What protects a socket
comes from `doorkeeper.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import zmq

from langpose_rt.errors import ConfigError
from langpose_rt.streaming.header import MAX_HEADER_BYTES, MAX_MESSAGE_BYTES, MAX_PARTS
from langpose_rt.streaming.options import Ports, ServerConfig

Socket = zmq.Socket[bytes]

RECEIVE_HWM = 256
SEND_HWM = 64
"""Messages a subscriber may lag behind before losing some."""

HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 500, 1500
"""A frozen peer is cut after about two seconds."""

REQUEST_HWM = 16
"""Requests a peer may have waiting; its further ones wait on its side."""

MAX_SUBSCRIPTION_BYTES = 4096
BURST = 512
"""Messages that are read before a thread sees to anything else."""

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
    zmq.ROUTER: {zmq.MAXMSGSIZE: MAX_HEADER_BYTES, zmq.RCVHWM: REQUEST_HWM, zmq.SNDHWM: SEND_HWM},
}


class Sockets(NamedTuple):
    """Everything a server listens with but HTTP, and the ports it got."""

    keypoints: Socket
    poses: Socket
    requests: Socket
    ports: Ports


def open_sockets(
    context: "zmq.Context[Socket]",
    config: ServerConfig,
    guard: Callable[[Socket], None] = lambda _: None,
) -> Sockets:
    """Listen as the configuration says.

    Args:
        context: Of the server.
        config: Where to listen.
        guard: Protects a socket before it listens.

    Raises:
        ConfigError: If a port is taken or the address is not this machine's.
    """
    wanted = (
        (zmq.SUB, config.port, "--port"),
        (zmq.XPUB, config.pose_port, "--output-port"),
        (zmq.ROUTER, config.request_port, "--control-port"),
    )
    with ExitStack() as opened:
        sockets, ports = [], []
        for kind, port, option in wanted:
            socket, got = listening_socket(
                context, kind, config.bind, port, option=option, guard=guard
            )
            sockets.append(opened.enter_context(socket))
            ports.append(got)
        opened.pop_all()
    return Sockets(*sockets, Ports(*ports))


def listening_socket(
    context: "zmq.Context[Socket]",
    kind: int,
    bind: str,
    port: int,
    *,
    option: str,
    guard: Callable[[Socket], None] = lambda _: None,
) -> tuple[Socket, int]:
    """A bound socket, and its port.

    Args:
        context: Of the server.
        kind: zmq.SUB for keypoints, zmq.XPUB for poses, zmq.ROUTER for control.
        bind: Address to listen on.
        port: 0 takes any free one.
        option: The flag a user chooses another port with.
        guard: Protects the socket before it listens.

    Raises:
        ConfigError: If the port is taken or the address is not this machine's.
    """
    socket = context.socket(kind)
    is_ipv6 = ":" in bind
    for name, value in (_PEER_OPTIONS | _OPTIONS[kind] | {zmq.IPV6: int(is_ipv6)}).items():
        socket.set(name, value)
    guard(socket)
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


def messages(
    socket: Socket, name_of: Callable[[str], str] | None = None
) -> Iterator[tuple[list[bytes], str | None]]:
    """Messages that are there, as `received` reads them, each with its sender; a burst at most.

    Args:
        socket: One that is guarded if there are names.
        name_of: The name a public key is pinned to; None where there are no keys.
    """
    for _ in range(BURST):
        if name_of is None:
            parts, sender = received(socket), None
            if parts is None:
                return
        else:
            try:
                first = socket.recv(zmq.NOBLOCK, copy=False)  # only a Frame knows who sent it
            except zmq.Again:
                return
            parts, sender = _whole(socket, first.bytes), name_of(str(first.get("User-Id")))
        yield parts, sender


def received(socket: Socket) -> list[bytes] | None:
    """The parts of the next message, one more than allowed at most; None if there is none."""
    try:
        return _whole(socket, socket.recv(zmq.NOBLOCK))
    except zmq.Again:
        return None


def newcomers(socket: Socket) -> Iterator[bytes]:
    """What those want who subscribed lately; read to the end, so that it does not pile up."""
    for _ in range(BURST):
        try:
            message = socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            return
        if message[:1] == b"\x01":
            yield message[1:]


def _whole(socket: Socket, first: bytes) -> list[bytes]:
    """A message whose first part has been read."""
    parts = [first]
    while socket.get(zmq.RCVMORE):
        part = socket.recv()
        if len(parts) <= MAX_PARTS:
            parts.append(part)
    return parts
