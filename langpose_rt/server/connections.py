"""Connections: limits how many peers there are, and how much one of them may send.

ZeroMQ limits the length of one part of a message, not the number of parts, nor the subscriptions
of a peer, nor connections; and its limit of waiting messages is a danger to the process
(`sockets.py`). Linux counts the bytes of every connection; from these counts a peer beyond a limit
is found here and cut. It may connect again. On other systems nothing is limited.
"""

import contextlib
import logging
import os
import socket
import stat
import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import zmq

from langpose_rt.protocol.control import Ports
from langpose_rt.protocol.header import RejectReason
from langpose_rt.server.door import Door

MAX_CONNECTIONS = 1024
"""Connections at once, where there are descriptors for twice as many."""

WAITING_BYTES, ALL_WAITING_BYTES = 4 << 20, 12 << 20
"""Bytes of one rig's messages that may wait to be read, four of the largest, and of all rigs'; the
shortest messages take twenty times as much memory as bytes on the wire."""

FRONT_BYTES = 64 << 20
"""Bytes of the front of a cluster that may wait: it sends those of all rigs, and limits them."""

WAITING_REQUEST_BYTES, ALL_WAITING_REQUEST_BYTES = 64 << 10, 256 << 10
"""Likewise on the control port."""

POSE_BYTES, POSE_BYTES_PER_S, ALL_POSE_BYTES = 64 << 10, 4 << 10, 1 << 20
"""Subscriptions that a consumer may send at once, and after that, read or not; and all of them."""

POLL_S, MANY_POLL_S = 0.02, 0.1
_MANY = 100
_FULL_S = 0.3
_LEFT_SHARE = 4
"""Those who left may have left a quarter of one peer's bytes unread before nobody else comes in."""

_COMMAND_BYTES_PER_S = 1 << 10
"""Handshakes and heartbeats, which nobody takes."""

_SEALED_BYTES = 33
_SHORT_BYTES, _LONG_BYTES, _SHORTEST_LONG = 2, 9, 256
_TCP_INFO_BYTES, _RECEIVED = 136, struct.Struct("=Q")
_RECEIVED_AT = 128
"""Place of tcpi_bytes_received in Linux's struct tcp_info, since Linux 4.1."""

NO_CONNECTION = -1

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ByteLimit:
    """Bytes that peers of one port may send.

    Attributes:
        burst: One peer, at once.
        per_s: And then every second.
        together: All peers together.
    """

    burst: int
    per_s: int
    together: int


KEYPOINT_LIMIT = ByteLimit(
    burst=WAITING_BYTES, per_s=_COMMAND_BYTES_PER_S, together=ALL_WAITING_BYTES
)
FRONT_LIMIT = ByteLimit(burst=FRONT_BYTES, per_s=_COMMAND_BYTES_PER_S, together=FRONT_BYTES)
POSE_LIMIT = ByteLimit(burst=POSE_BYTES, per_s=POSE_BYTES_PER_S, together=ALL_POSE_BYTES)
CONTROL_LIMIT = ByteLimit(
    burst=WAITING_REQUEST_BYTES, per_s=_COMMAND_BYTES_PER_S, together=ALL_WAITING_REQUEST_BYTES
)


class Taken:
    """Counts the bytes that were read from one port, by connection, and when nothing was left.

    The thread that reads the port writes here; another one reads it.
    """

    def __init__(self) -> None:
        self.emptied = 0
        self._bytes: Counter[int] = Counter()

    def add(self, frame: zmq.Frame, sizes: Iterable[int], *, sealed: bool) -> int:
        """Count a message as it was on the wire.

        Args:
            frame: Its first part, which knows the connection.
            sizes: Bytes of all parts that were on the wire.
            sealed: True on a socket with keys.

        Returns:
            The descriptor of the connection, or NO_CONNECTION.
        """
        try:
            descriptor = int(frame.get(zmq.SRCFD))
        except (zmq.ZMQError, TypeError, ValueError):
            return NO_CONNECTION
        for size in sizes:
            body = size + _SEALED_BYTES if sealed else size
            self._bytes[descriptor] += body + (
                _SHORT_BYTES if body < _SHORTEST_LONG else _LONG_BYTES
            )
        return descriptor

    def by_descriptor(self) -> dict[int, int]:
        """Return the bytes read, by descriptor; who has one takes over the count of the last."""
        return dict(self._bytes)


@dataclass(slots=True)
class _Connection:
    """One accepted connection: what it has sent that counts against its limit."""

    port: int
    address: str
    order: int
    received: int = 0
    counted: float = 0.0
    taken: int = 0


def connection_limits(
    ports: Ports,
    taken: tuple[Taken, Taken, Taken],
    on_cut: Callable[[RejectReason, str], None],
    connect: Iterable[str] = (),
    *,
    has_front: bool = False,
) -> "ConnectionLimits":
    """Return the limits of a server.

    Args:
        ports: On which it listens.
        taken: What is read from rigs, of subscriptions, and of requests.
        on_cut: Receives the reason and a sentence for every peer that is cut.
        connect: Endpoints of the rigs that it connects to.
        has_front: Keypoints come from the front of a cluster.
    """
    limits = {
        ports.keypoints: FRONT_LIMIT if has_front else KEYPOINT_LIMIT,
        ports.poses: POSE_LIMIT,
        ports.control: CONTROL_LIMIT,
    }
    theirs = (endpoint.rpartition(":")[2] for endpoint in connect)
    called = {int(port): ports.keypoints for port in theirs if port.isdecimal()}
    read = dict(zip((ports.keypoints, ports.poses, ports.control), taken, strict=True))
    return ConnectionLimits(limits, read, most_connections(), on_cut, called)


class ConnectionLimits:
    """Finds and cuts peers beyond a limit; one thread calls `poll`.

    Args:
        limits: By local port.
        taken: What is read, by local port; bytes that were read do not count.
        most: Connections at once on all ports together.
        on_cut: Receives the reason and a sentence for every peer that is cut.
        called: Local ports whose limits hold for rigs that this process connects to, by the port
            of the rig.
    """

    def __init__(
        self,
        limits: Mapping[int, ByteLimit],
        taken: Mapping[int, Taken],
        most: int,
        on_cut: Callable[[RejectReason, str], None],
        called: Mapping[int, int] | None = None,
    ) -> None:
        self._limits, self._taken, self._most, self._on_cut = limits, taken, most, on_cut
        self._called = called or {}
        self._doors = {port: Door(port) for port in taken}
        self._full_s = dict.fromkeys(taken, 0.0)
        self._emptied = dict.fromkeys(taken, 0)
        self._left = dict.fromkeys(taken, 0.0)
        self._before: dict[int, dict[int, int]] = {port: {} for port in taken}
        self._found: dict[tuple[int, int], _Connection | None] = {}
        self._accepted = 0

    @property
    def poll_s(self) -> float:
        """Time until the next `poll`."""
        return POLL_S if len(self._found) < _MANY else MANY_POLL_S

    def poll(self, elapsed_s: float) -> None:
        """Look at all connections once.

        Args:
            elapsed_s: Since the last call.
        """
        self._find()
        for port in self._doors:
            self._open_or_close(port, elapsed_s)
        read = {port: taken.by_descriptor() for port, taken in self._taken.items()}
        bursts = {port: self._burst(port) for port in self._limits}
        over = [
            name
            for name, one in self._ours()
            if self._counted(name[0], one, read[one.port].get(name[0], 0), elapsed_s)
            > bursts[one.port]
        ]
        self._before = read
        for name in over:
            one = self._found[name]
            if one is not None:
                detail = (
                    f"a peer at {one.address} sent more than {bursts[one.port] >> 10} KiB "
                    "beyond what could be read, and was cut"
                )
                self._cut(name[0], RejectReason.TOO_MUCH_SENT, detail)
        ours = [(name, one) for name, one in self._ours() if name not in over]
        for _ in range(len(ours) - self._most):
            (address, _), *_ = Counter(one.address for _, one in ours).most_common(1)
            newest = max((pair for pair in ours if pair[1].address == address), key=_order)
            ours.remove(newest)
            detail = (
                f"{self._most} peers are connected, so the newest at {address} was cut; more need "
                "a higher limit of open files (ulimit -n)"
            )
            self._cut(newest[0][0], RejectReason.TOO_MANY_CONNECTIONS, detail)

    def close(self) -> None:
        """Forget all connections, and let newcomers in."""
        self._found.clear()
        for door in self._doors.values():
            door.open()

    def _open_or_close(self, port: int, elapsed_s: float) -> None:
        """Let nobody in at a port where messages have waited for long, or of many who have left.

        Who floods and leaves comes back at once; what waits could only grow.
        """
        emptied = self._taken[port].emptied
        if emptied != self._emptied[port]:
            self._emptied[port], self._full_s[port], self._left[port] = emptied, 0.0, 0.0
            self._doors[port].open()
            return
        self._full_s[port] += elapsed_s
        left = self._left[port] > self._limits[port].burst / _LEFT_SHARE
        if left or self._full_s[port] > _FULL_S:
            self._doors[port].close()

    def _burst(self, port: int) -> int:
        """Return what one peer of a port may send beyond what is read."""
        limit, counted = self._limits[port], [o.counted for _, o in self._ours() if o.port == port]
        if self._left[port] + sum(counted) > limit.together:
            return min(limit.burst, limit.together // max(len(counted), 1))
        return limit.burst

    def _ours(self) -> Iterator[tuple[tuple[int, int], _Connection]]:
        return ((name, one) for name, one in self._found.items() if one is not None)

    def _find(self) -> None:
        """Look for new connections, and forget those that have ended but for what they left."""
        before = self._found
        self._found = {
            name: before[name] if name in before else self._opened(name[0]) for name in _sockets()
        }
        for name in before.keys() - self._found.keys():
            if (gone := before[name]) is not None:
                self._left[gone.port] += gone.counted

    def _opened(self, descriptor: int) -> _Connection | None:
        """Return a new connection, or None for a socket that is none of ours."""
        with contextlib.suppress(OSError, ValueError), borrowed(descriptor) as one:
            if one.family in (socket.AF_INET, socket.AF_INET6):
                port, (address, theirs, *_) = one.getsockname()[1], one.getpeername()
                if port not in self._limits:
                    port = self._called.get(theirs, port)
                if port in self._limits:
                    self._accepted += 1
                    taken = self._before[port].get(descriptor, 0)
                    return _Connection(port, address, self._accepted, taken=taken)
        return None

    def _counted(self, descriptor: int, one: _Connection, taken: int, elapsed_s: float) -> float:
        """Count what a peer has sent since the last call; return what counts against its limit."""
        received = _received(descriptor)
        if received is None:
            return 0.0
        forgiven = elapsed_s * self._limits[one.port].per_s + taken - one.taken
        one.counted = max(one.counted + received - one.received - forgiven, 0.0)
        one.received, one.taken = received, taken
        return one.counted

    def _cut(self, descriptor: int, reason: RejectReason, detail: str) -> None:
        with contextlib.suppress(OSError), borrowed(descriptor) as one:
            one.shutdown(socket.SHUT_RDWR)  # ZeroMQ finds the connection ended, and closes it
        self._on_cut(reason, detail)


@contextlib.contextmanager
def borrowed(descriptor: int) -> Iterator[socket.socket]:
    """Give access to a socket of ZeroMQ's without owning it, and without another descriptor.

    Raises:
        OSError: If there is no such socket any more.
    """
    one = socket.socket(fileno=descriptor)
    try:
        yield one
    finally:
        one.detach()


def most_connections() -> int:
    """Raise the limit of open files as far as allowed; return how many connections it is for."""
    try:
        import resource  # not on Windows
    except ImportError:
        return MAX_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = (
        4 * MAX_CONNECTIONS if hard == resource.RLIM_INFINITY else min(4 * MAX_CONNECTIONS, hard)
    )
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 2)


def _order(pair: tuple[tuple[int, int], _Connection]) -> int:
    return pair[1].order


def _sockets() -> Iterator[tuple[int, int]]:
    """Yield descriptor and inode of every socket of this process."""
    for descriptor in _descriptors():
        try:
            found = os.fstat(descriptor)
        except OSError:
            continue
        if stat.S_ISSOCK(found.st_mode):
            yield descriptor, found.st_ino


def _descriptors() -> Collection[int]:
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - numbers
    except OSError:  # no descriptor is free to list them with
        return range(os.sysconf("SC_OPEN_MAX")) if os.path.isdir("/proc/self") else ()  # noqa: PTH112


def _received(descriptor: int) -> int | None:
    """Return the bytes that a connection has received, or None where nobody counts them."""
    option = getattr(socket, "TCP_INFO", None)
    if option is None:
        return None
    with contextlib.suppress(OSError), borrowed(descriptor) as one:
        info = one.getsockopt(socket.IPPROTO_TCP, option, _TCP_INFO_BYTES)
        if len(info) >= _TCP_INFO_BYTES:
            received: int = _RECEIVED.unpack_from(info, _RECEIVED_AT)[0]
            return received
    return None
