"""Server sockets: open them, read them without waiting, and reconnect to silent rigs.

This module does not parse messages. Threads are in `server.py`, authentication is in `zap.py`.
"""

from collections import Counter, deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import zmq

from langpose_rt.errors import ConfigError
from langpose_rt.protocol.control import Ports
from langpose_rt.protocol.header import MAX_HEADER_BYTES, MAX_MESSAGE_BYTES, MAX_PARTS
from langpose_rt.security.keyring import Keyring
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.peer_budget import (
    SAVED_BEHIND_FRONT,
    SAVED_WINDOWS,
    Peer,
    PeerBudget,
)

Socket = zmq.Socket[bytes]

RECEIVE_HWM = 128
"""Messages a rig may have waiting; its further ones wait on its side. ZeroMQ counts no bytes."""

SEND_HWM = 64
"""Messages a subscriber may lag behind before losing some."""

HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 500, 1500
"""A frozen peer is disconnected after about two seconds."""

REQUEST_HWM = 16
"""Requests a peer may have waiting; its further ones wait on its side."""

MAX_SUBSCRIPTION_BYTES = 512
"""Longest topic of a subscription, and longest part of a handshake."""

SUBSCRIPTIONS_PER_READ = 256
"""Subscriptions that are read before the thread does anything else."""

MAX_TOPIC_BYTES = 150
_SCHEMA = b"schema/"
_NO_CONNECTION = -1

_PEER_OPTIONS: dict[int, int | bytes] = {
    zmq.LINGER: 0,
    zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
    zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
    zmq.HEARTBEAT_TTL: HEARTBEAT_TIMEOUT_MS,
    zmq.TCP_KEEPALIVE: 1,
}
_NO_HEARTBEATS: dict[int, int | bytes] = {
    zmq.HEARTBEAT_IVL: 0,
    zmq.TCP_KEEPALIVE_IDLE: 5,
    zmq.TCP_KEEPALIVE_INTVL: 5,
    zmq.TCP_KEEPALIVE_CNT: 3,
}
"""For sockets whose queue of received messages can be full: libzmq aborts the process if the peer
of a full one ends and a heartbeat is due [libzmq#3937]. The queue of an XPUB has no limit; what a
consumer sends is limited in `connections.py`."""

_OPTIONS: dict[int, dict[int, int | bytes]] = {
    # Messages of unknown topics are rejected and counted, so everything is subscribed to.
    zmq.SUB: {zmq.MAXMSGSIZE: MAX_MESSAGE_BYTES, zmq.RCVHWM: RECEIVE_HWM, zmq.SUBSCRIBE: b""},
    zmq.XPUB: {
        zmq.MAXMSGSIZE: MAX_SUBSCRIPTION_BYTES,
        zmq.SNDHWM: SEND_HWM,
        zmq.RCVHWM: 0,
        zmq.XPUB_VERBOSE: 1,
    },
    zmq.ROUTER: {zmq.MAXMSGSIZE: MAX_HEADER_BYTES, zmq.RCVHWM: REQUEST_HWM, zmq.SNDHWM: SEND_HWM},
}


IPC_NAMES = ("keypoints", "poses", "control")
"""Socket files of a server that also listens in a folder."""


class Sockets(NamedTuple):
    """All listening sockets of a server except HTTP, and their ports."""

    keypoints: Socket
    poses: Socket
    requests: Socket
    ports: Ports


def open_sockets(
    context: "zmq.Context[Socket]",
    config: ServerConfig,
    guard: Callable[[Socket], None] | None = None,
) -> Sockets:
    """Open the listening sockets of a configuration.

    Args:
        context: Of the server.
        config: Where to listen.
        guard: Sets up authentication before a socket listens; None accepts all peers.

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
    """Open a bound socket and return it with its port.

    Args:
        context: Of the server.
        kind: zmq.SUB for keypoints, zmq.XPUB for poses, zmq.ROUTER for control.
        bind: Address to listen on.
        port: 0 takes any free one.
        option: The flag a user chooses another port with.
        guard: Sets up authentication before the socket listens; None accepts all peers.

    Raises:
        ConfigError: If the port is taken or the address is not this machine's.
    """
    socket = context.socket(kind)
    is_ipv6 = ":" in bind
    options = _PEER_OPTIONS | _OPTIONS[kind] | {zmq.IPV6: int(is_ipv6)}
    if kind != zmq.XPUB:
        options = options | _NO_HEARTBEATS
    for name, value in options.items():
        socket.set(name, value)
    if guard is not None:
        guard(socket)
    host = f"[{bind}]" if is_ipv6 else bind
    try:
        socket.bind(f"tcp://{host}:{port or '*'}")
    except zmq.ZMQError as error:
        socket.close()
        reason = zmq.strerror(error.errno or 0).lower()
        raise ConfigError(
            f"cannot listen on {bind}:{port} ({reason}); choose another {option}"
        ) from None
    return socket, int(socket.get_string(zmq.LAST_ENDPOINT).rpartition(":")[2])


def _listen_in_folder(socket: Socket, folder: Path, name: str) -> None:
    try:
        socket.bind(f"ipc://{folder / name}")
    except zmq.ZMQError as error:
        reason = zmq.strerror(error.errno or 0).lower()
        raise ConfigError(
            f"cannot listen at {folder / name} ({reason}); choose another --ipc"
        ) from None


def connected_socket(context: "zmq.Context[Socket]", endpoint: str) -> Socket:
    """Open a SUB socket connected to a rig that binds.

    Raises:
        ConfigError: If the endpoint is not valid.
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
        reason = str(error)[:1].lower() + str(error)[1:]
        raise ConfigError(
            f'cannot connect to "{endpoint}" ({reason}); expected such as --connect tcp://rig0:5550'
        ) from None
    return socket


def received(socket: Socket) -> list[bytes] | None:
    """Return the parts of the next message, at most one more than allowed; None without one."""
    try:
        return _whole(socket, socket.recv(zmq.NOBLOCK))
    except zmq.Again:
        return None


def received_with_key(socket: Socket) -> tuple[list[bytes], str] | None:
    """Return the next message of an authenticated socket, with the public key of its sender."""
    try:
        first = socket.recv(zmq.NOBLOCK, copy=False)  # only a Frame knows who sent it
    except zmq.Again:
        return None
    return _whole(socket, first.bytes), str(first.get("User-Id"))


def received_with_name(
    socket: Socket, keyring: Keyring | None
) -> tuple[list[bytes], str | None] | None:
    """Return the next message with the name that its sender's key is pinned to.

    Args:
        socket: Authenticated, if there is a keyring.
        keyring: Maps public keys to names; None where there are no keys.

    Returns:
        The parts, and the name: empty if the key is not allowed any more, None without a keyring.
    """
    if keyring is None:
        parts = received(socket)
        return None if parts is None else (parts, None)
    if (message := received_with_key(socket)) is None:
        return None
    return message[0], keyring.name_of(message[1])


def schemas_wanted(socket: Socket) -> bool:
    """Read new subscriptions, so that they do not pile up; return True if one is to schemas."""
    wanted = False
    for _ in range(SUBSCRIPTIONS_PER_READ):
        try:
            message = socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            break
        topic = message[1:]
        begins = topic.startswith(_SCHEMA) or _SCHEMA.startswith(topic)
        wanted |= message[:1] == b"\x01" and begins
    return wanted


def _frames(socket: Socket) -> list[zmq.Frame] | None:
    """Return the next message without copying it, as `received`."""
    try:
        frames = [socket.recv(zmq.NOBLOCK, copy=False)]
    except zmq.Again:
        return None
    while frames[-1].more:
        part = socket.recv(copy=False)
        if len(frames) <= MAX_PARTS:
            frames.append(part)
        else:
            frames[-1] = part
    return frames


def _connection_of(frame: zmq.Frame) -> int:
    """Return the descriptor of the connection that a frame came by, or _NO_CONNECTION."""
    try:
        return int(frame.get(zmq.SRCFD))
    except (zmq.ZMQError, TypeError, ValueError):
        return _NO_CONNECTION


def _whole(socket: Socket, first: bytes) -> list[bytes]:
    """Return all parts of a message whose first part has been read."""
    parts = [first]
    while socket.get(zmq.RCVMORE):
        part = socket.recv()
        if len(parts) <= MAX_PARTS:
            parts.append(part)
    return parts


class RigSockets:
    """All sockets that keypoints come from: one that rigs connect to, one per rig that binds.

    A SUB that connected is dead for good once its peer has sent an oversized message (libzmq issue
    4196), without any event; so each such rig has a socket of its own, which is replaced when the
    rig is silent. Belongs to the ingest thread. Time is an argument.

    Args:
        context: Of the server.
        bound: The socket that rigs connect to; closed with the others.
        config: Endpoints of the rigs that bind, and how long one may be silent.
        keyring: Maps public keys to names, if the bound socket is authenticated.
        on_passed_over: Receives the topic of every message that is passed over unread, because its
            sender wants more than an even share of the thread's time while others want it too.

    Attributes:
        taken: Messages taken so far, by the descriptor of their connection.

    Raises:
        ConfigError: If an endpoint is none.
    """

    def __init__(
        self,
        context: "zmq.Context[Socket]",
        bound: Socket,
        config: ServerConfig,
        keyring: Keyring | None = None,
        *,
        on_passed_over: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self._keyring, self._on_passed_over = keyring, on_passed_over
        self._behind_front = config.behind_front or config.pipeline.front is not None
        self.taken: Counter[int] = Counter()
        self._peer: Peer = _NO_CONNECTION
        self._size_bytes = 0
        saved = SAVED_BEHIND_FRONT if self._behind_front else SAVED_WINDOWS
        self._budget = PeerBudget(0, saved)
        self._context, self._bound, self._timeout_s = context, bound, config.connect_timeout_s
        self._ready: deque[Socket] = deque()
        self._poller = zmq.Poller()
        self._poller.register(bound, zmq.POLLIN)
        self._rigs: list[_Rig] = []
        for endpoint in config.connect:
            self._rigs.append(_Rig(endpoint, connected_socket(context, endpoint)))
            self._poller.register(self._rigs[-1].socket, zmq.POLLIN)

    @property
    def sockets(self) -> list[Socket]:
        """All sockets, to wait for together with others."""
        return [self._bound, *(rig.socket for rig in self._rigs)]

    def wait(self, timeout_ms: int) -> bool:
        """Wait for a message; return False after the timeout."""
        if not self._poller.poll(0):
            self._budget.idle()
        self._ready = deque(socket for socket, _ in self._poller.poll(timeout_ms))
        return bool(self._ready)

    def receive(self, now_ns: int = 0) -> tuple[list[bytes], str | None] | None:
        """Return the next message, from one rig after the other; None before the next `wait`.

        Messages of the rigs that connect come from one socket, which takes turns by itself.

        Args:
            now_ns: Steady time.

        Returns:
            Its parts, and the name of the sender's key; None where there are no keys.
        """
        while self._ready:
            socket = self._ready.popleft()
            frames = _frames(socket)
            if frames is None:
                continue
            self._ready.append(socket)
            for rig in self._rigs:
                rig.heard |= rig.socket is socket
            sender, connection = self._sender_of(frames[0]), _connection_of(frames[0])
            self.taken[connection] += 1
            self._peer = sender or connection
            if self._behind_front:
                _, _, names = frames[0].bytes[:MAX_TOPIC_BYTES].partition(b"/")
                self._peer = names.partition(b"/")[0].decode("latin-1")
            if self._budget.admits(self._peer, now_ns):
                parts = [frame.bytes for frame in frames]
                self._size_bytes = sum(map(len, parts))
                return parts, sender
            self._on_passed_over(frames[0].bytes[:MAX_TOPIC_BYTES])
        return None

    def processed(self, spent_ns: int, *, refused: bool = False) -> None:
        """Note the processor time that the last message took."""
        self._budget.spent(self._peer, spent_ns, self._size_bytes, refused=refused)

    def _sender_of(self, frame: zmq.Frame) -> str | None:
        return None if self._keyring is None else self._keyring.name_of(str(frame.get("User-Id")))

    def reconnect_silent(self, now_s: float) -> tuple[int, list[str]]:
        """Reconnect to the rigs that were silent for longer than the timeout.

        Returns:
            How many, and the endpoints of those that have only now fallen silent.
        """
        count, fallen = 0, []
        for rig in self._rigs:
            if rig.heard or rig.since_s is None:
                rig.since_s, rig.reported = now_s, rig.reported and not rig.heard
                rig.heard = False
            elif now_s - rig.since_s > self._timeout_s:
                self._reconnect(rig)
                rig.since_s, count = now_s, count + 1
                if not rig.reported:
                    fallen.append(rig.endpoint)
                rig.reported = True
        return count, fallen

    def close(self) -> None:
        """Close all sockets."""
        for socket in (self._bound, *(rig.socket for rig in self._rigs)):
            socket.close()

    def _reconnect(self, rig: "_Rig") -> None:
        try:
            fresh = connected_socket(self._context, rig.endpoint)
        except (ConfigError, zmq.ZMQError):
            return  # no descriptor is free; the next round tries again
        self._poller.unregister(rig.socket)
        rig.socket.close()
        rig.socket = fresh
        self._poller.register(rig.socket, zmq.POLLIN)


class _Rig:
    """A rig that binds: its socket, the start of its silence, and if that was reported."""

    def __init__(self, endpoint: str, socket: Socket) -> None:
        self.endpoint, self.socket = endpoint, socket
        self.heard = self.reported = False
        self.since_s: float | None = None
