"""Server sockets: open them, read them without waiting, and reconnect to silent rigs.

This module does not parse messages. Threads are in `server.py`, authentication is in `zap.py`.
"""

import sys
from collections import deque
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
from langpose_rt.server.connections import NO_CONNECTION, Taken
from langpose_rt.server.peer_budget import (
    SAVED_BEHIND_FRONT,
    SAVED_WINDOWS,
    Peer,
    PeerBudget,
)

Socket = zmq.Socket[bytes]

SEND_HWM, SEND_HWM_TO_FRONT = 256, 8192
"""Messages a subscriber may lag behind before losing some; many come at once after a stall, and the
front of a cluster passes on what it gets of all streams."""

MAX_SUBSCRIPTION_BYTES = 512
"""Longest topic of a subscription, and longest part of a handshake."""

SUBSCRIPTIONS_PER_READ = 256
"""Subscriptions that are read before the thread does anything else."""

PASSED_OVER_PER_READ = 1000
"""Messages beyond a peer's share that are passed over before the thread does anything else."""

MAX_TOPIC_BYTES = 150
_SCHEMA = b"schema/"
_UNCOUNTED_HWM = 128

_PEER_OPTIONS: dict[int, int | bytes] = {
    zmq.LINGER: 0,
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 5,
    zmq.TCP_KEEPALIVE_INTVL: 5,
    zmq.TCP_KEEPALIVE_CNT: 3,
    zmq.TCP_MAXRT: 10_000,
    zmq.RCVHWM: 0 if sys.platform == "linux" else _UNCOUNTED_HWM,
}
"""libzmq aborts the process if a connection is reset while its queue of received messages is full
and a heartbeat is among what waits behind it, or is due [libzmq#3937, libzmq#4364]; any peer can
bring that about. So on Linux no queue here has a limit of ZeroMQ's: `connections.py` cuts peers
whose messages wait. And nobody is sent heartbeats, which endanger consumers: TCP finds peers that
are gone."""

_OPTIONS: dict[int, dict[int, int | bytes]] = {
    # Messages of unknown topics are rejected and counted, so everything is subscribed to.
    zmq.SUB: {zmq.MAXMSGSIZE: MAX_MESSAGE_BYTES, zmq.RCVHWM: 0, zmq.SUBSCRIBE: b""},
    zmq.XPUB: {
        zmq.MAXMSGSIZE: MAX_SUBSCRIPTION_BYTES,
        zmq.RCVHWM: 0,
        zmq.XPUB_VERBOSE: 1,
    },
    zmq.ROUTER: {zmq.MAXMSGSIZE: MAX_HEADER_BYTES, zmq.RCVHWM: 0},
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
    send_hwm = SEND_HWM_TO_FRONT if config.has_front else SEND_HWM
    with ExitStack() as opened:
        sockets: list[Socket] = []
        ports: list[int] = []
        for kind, port, option in wanted:
            socket, got = listening_socket(
                context, kind, config.bind, port, option=option, guard=guard, send_hwm=send_hwm
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
    send_hwm: int = SEND_HWM,
) -> tuple[Socket, int]:
    """Open a bound socket and return it with its port.

    Args:
        context: Of the server.
        kind: zmq.SUB for keypoints, zmq.XPUB for poses, zmq.ROUTER for control.
        bind: Address to listen on.
        port: 0 takes any free one.
        option: The flag a user chooses another port with.
        guard: Sets up authentication before the socket listens; None accepts all peers.
        send_hwm: Messages that wait for one peer; it loses further ones.

    Raises:
        ConfigError: If the port is taken or the address is not this machine's.
    """
    socket = context.socket(kind)
    is_ipv6 = ":" in bind
    options = _PEER_OPTIONS | _OPTIONS[kind] | {zmq.IPV6: int(is_ipv6), zmq.SNDHWM: send_hwm}
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
        for name, value in (_PEER_OPTIONS | _OPTIONS[zmq.SUB]).items():
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


def received_with_name(
    socket: Socket, keyring: Keyring | None, taken: Taken
) -> tuple[list[bytes], str | None] | None:
    """Return the next request with the name that its sender's key is pinned to.

    Args:
        socket: A ROUTER, authenticated if there is a keyring.
        keyring: Maps public keys to names; None where there are no keys.
        taken: Counts what is read.

    Returns:
        The parts, and the name: empty if the key is not allowed any more, None without a keyring.
    """
    if (frames := _frames(socket)) is None:
        taken.emptied += 1
        return None
    on_wire = map(len, frames[1:])  # the first part is the ROUTER's own
    taken.add(frames[0], on_wire, sealed=keyring is not None)
    return [frame.bytes for frame in frames], _sender_of(frames[0], keyring)


def send_all(socket: Socket, messages: list[list[bytes]]) -> list[list[bytes]]:
    """Send messages and return them; a peer that lags loses some."""
    for parts in messages:
        socket.send_multipart(parts, zmq.NOBLOCK)
    return messages


def schemas_wanted(socket: Socket, taken: Taken) -> bool:
    """Read new subscriptions, so that they do not pile up; return True if one is to schemas."""
    wanted = False
    for _ in range(SUBSCRIPTIONS_PER_READ):
        try:
            message = socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            taken.emptied += 1
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


def _sender_of(frame: zmq.Frame, keyring: Keyring | None) -> str | None:
    """Return the name that the key of a frame's sender is pinned to; only a Frame knows it."""
    return None if keyring is None else keyring.name_of(str(frame.get("User-Id")))


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
        taken: Counts what is read.

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
        self._behind_front = config.has_front
        self.taken = Taken()
        self._peer: Peer = NO_CONNECTION
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
        ready = self._poller.poll(0)
        if not ready:
            self.taken.emptied += 1
            self._budget.idle()
            ready = self._poller.poll(timeout_ms) if timeout_ms else []
        self._ready = deque(socket for socket, _ in ready)
        return bool(self._ready)

    def receive(self, now_ns: int = 0) -> tuple[list[bytes], str | None] | None:
        """Return the next message, from one rig after the other; None before the next `wait`.

        Messages of the rigs that connect come from one socket, which takes turns by itself.

        Args:
            now_ns: Steady time.

        Returns:
            Its parts, and the name of the sender's key; None where there are no keys.
        """
        passed_over = 0
        while self._ready and passed_over < PASSED_OVER_PER_READ:
            socket = self._ready.popleft()
            frames = _frames(socket)
            if frames is None:
                continue
            self._ready.append(socket)
            for rig in self._rigs:
                rig.heard |= rig.socket is socket
            sender, sealed = _sender_of(frames[0], self._keyring), self._keyring is not None
            connection = self.taken.add(frames[0], map(len, frames), sealed=sealed)
            self._peer = sender or connection
            if self._behind_front:
                _, _, names = frames[0].bytes[:MAX_TOPIC_BYTES].partition(b"/")
                self._peer = names.partition(b"/")[0].decode("latin-1")
            if self._budget.admits(self._peer, now_ns):
                parts = [frame.bytes for frame in frames]
                self._size_bytes = sum(map(len, parts))
                return parts, sender
            passed_over += 1
            self._on_passed_over(frames[0].bytes[:MAX_TOPIC_BYTES])
        return None

    def processed(self, spent_ns: int, *, refused: bool = False) -> None:
        """Note the processor time that the last message took."""
        self._budget.spent(self._peer, spent_ns, self._size_bytes, refused=refused)

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
