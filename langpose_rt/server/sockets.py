"""The server's sockets: how one is opened, and how one is read without waiting.

Threads are in `server.py`; what a message means is nobody's business here. What protects a
socket comes from `doorkeeper.py`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import zmq

from langpose_rt.errors import ConfigError
from langpose_rt.protocol.control import Ports
from langpose_rt.protocol.header import MAX_HEADER_BYTES, MAX_MESSAGE_BYTES, MAX_PARTS
from langpose_rt.server.config import ServerConfig

Socket = zmq.Socket[bytes]

RECEIVE_HWM = 256
SEND_HWM = 64
"""Messages a subscriber may lag behind before losing some."""

HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 500, 1500
"""A frozen peer is cut after about two seconds."""

REQUEST_HWM = 16
"""Requests a peer may have waiting; its further ones wait on its side."""

MAX_SUBSCRIPTION_BYTES = 4096
MOST_NEWCOMERS = 512
"""Subscriptions that are read before the thread sees to anything else."""

_PEER_OPTIONS = {
    zmq.LINGER: 0,
    zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
    zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
    zmq.HEARTBEAT_TTL: HEARTBEAT_TIMEOUT_MS,
    zmq.TCP_KEEPALIVE: 1,
}
_NO_HEARTBEATS = {zmq.HEARTBEAT_IVL: 0}
"""For a SUB that connects: libzmq aborts the process when a full one reconnects [libzmq#3937]."""

_OPTIONS: dict[int, dict[int, int | bytes]] = {
    # what nobody understands is rejected aloud, not filtered away, so everything is subscribed to
    zmq.SUB: {zmq.MAXMSGSIZE: MAX_MESSAGE_BYTES, zmq.RCVHWM: RECEIVE_HWM, zmq.SUBSCRIBE: b""},
    zmq.XPUB: {zmq.MAXMSGSIZE: MAX_SUBSCRIPTION_BYTES, zmq.SNDHWM: SEND_HWM, zmq.XPUB_VERBOSE: 1},
    zmq.ROUTER: {zmq.MAXMSGSIZE: MAX_HEADER_BYTES, zmq.RCVHWM: REQUEST_HWM, zmq.SNDHWM: SEND_HWM},
}


IPC_NAMES = ("keypoints", "poses", "control")
"""Files of a server that also listens in a folder."""


class Sockets(NamedTuple):
    """Everything a server listens with but HTTP, and the ports it got."""

    keypoints: Socket
    poses: Socket
    requests: Socket
    ports: Ports


def open_sockets(
    context: "zmq.Context[Socket]",
    config: ServerConfig,
    guard: Callable[[Socket], None] | None = None,
) -> Sockets:
    """Listen as the configuration says.

    Args:
        context: Of the server.
        config: Where to listen.
        guard: Protects a socket before it listens; None lets everybody in.

    Raises:
        ConfigError: If a port is taken or the address is not this machine's.
    """
    wanted = (
        (zmq.SUB, config.port, "--port"),
        (zmq.XPUB, config.pose_port, "--output-port"),
        (zmq.ROUTER, config.request_port, "--control-port"),
    )
    with ExitStack() as opened:
        sockets: list[Socket] = []
        ports: list[int] = []
        for kind, port, option in wanted:
            socket, got = listening_socket(
                context, kind, config.bind, port, option=option, guard=guard
            )
            sockets.append(opened.enter_context(socket))
            ports.append(got)
        if config.ipc is not None:
            for socket, name in zip(sockets, IPC_NAMES, strict=True):
                _listen_in_folder(socket, config.ipc, name)
        opened.pop_all()
    keypoints, poses, requests = sockets
    return Sockets(keypoints, poses, requests, Ports(*ports))


def listening_socket(
    context: "zmq.Context[Socket]",
    kind: int,
    bind: str,
    port: int,
    *,
    option: str,
    guard: Callable[[Socket], None] | None = None,
) -> tuple[Socket, int]:
    """A bound socket, and its port.

    Args:
        context: Of the server.
        kind: zmq.SUB for keypoints, zmq.XPUB for poses, zmq.ROUTER for control.
        bind: Address to listen on.
        port: 0 takes any free one.
        option: The flag a user chooses another port with.
        guard: Protects the socket before it listens; None lets everybody in.

    Raises:
        ConfigError: If the port is taken or the address is not this machine's.
    """
    socket = context.socket(kind)
    is_ipv6 = ":" in bind
    for name, value in (_PEER_OPTIONS | _OPTIONS[kind] | {zmq.IPV6: int(is_ipv6)}).items():
        socket.set(name, value)
    if guard is not None:
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


def _listen_in_folder(socket: Socket, folder: Path, name: str) -> None:
    try:
        socket.bind(f"ipc://{folder / name}")
    except zmq.ZMQError as error:
        why = zmq.strerror(error.errno or 0).lower()
        raise ConfigError(
            f"cannot listen at {folder / name} ({why}); choose another --ipc"
        ) from None


def connected_socket(context: "zmq.Context[Socket]", endpoint: str) -> Socket:
    """A socket that hears the keypoints of a rig that binds.

    Raises:
        ConfigError: If the endpoint is none.
    """
    port = endpoint.rpartition(":")[2]
    socket = context.socket(zmq.SUB)
    try:
        if endpoint.startswith("tcp:") and port.isdecimal() and int(port) > 65535:
            raise ValueError("ports end at 65535")  # ZeroMQ takes it for another one
        for name, value in (_PEER_OPTIONS | _OPTIONS[zmq.SUB] | _NO_HEARTBEATS).items():
            socket.set(name, value)
        socket.connect(endpoint)
    except (zmq.ZMQError, ValueError) as error:
        socket.close()
        why = str(error)[:1].lower() + str(error)[1:]
        raise ConfigError(
            f'cannot connect to "{endpoint}" ({why}); expected such as --connect tcp://rig0:5550'
        ) from None
    return socket


def received(socket: Socket) -> list[bytes] | None:
    """The parts of the next message, one more than allowed at most; None if there is none."""
    try:
        return _whole(socket, socket.recv(zmq.NOBLOCK))
    except zmq.Again:
        return None


def received_with_key(socket: Socket) -> tuple[list[bytes], str] | None:
    """As `received`, of a socket that is guarded: also the public key of the sender."""
    try:
        first = socket.recv(zmq.NOBLOCK, copy=False)  # only a Frame knows who sent it
    except zmq.Again:
        return None
    return _whole(socket, first.bytes), str(first.get("User-Id"))


def newcomers(socket: Socket) -> Iterator[bytes]:
    """What those want who subscribed lately; read to the end, so that it does not pile up."""
    for _ in range(MOST_NEWCOMERS):
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
