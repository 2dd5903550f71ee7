"""Connections: limits how many peers there are, and how much one of them may send.

ZeroMQ limits the length of one part of a message, not the number of parts, nor the subscriptions
of a peer, nor connections. Linux counts the bytes of every connection; from these counts a peer
beyond a limit is found here and cut. It may connect again. On other systems nothing is limited.
"""

import contextlib
import logging
import os
import socket
import stat
import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from langpose_rt.protocol.header import RejectReason

MAX_CONNECTIONS = 1024
"""Connections at once, where there are descriptors for twice as many."""

UNTAKEN_BYTES = 32 << 20
"""A peer on the keypoint port may send so much before a whole message of it has been taken."""

POSE_BYTES, POSE_BYTES_PER_S = 128 << 10, 4 << 10
"""Subscriptions that a consumer may send at once, and heartbeats and subscriptions after that."""

CONTROL_BYTES, CONTROL_BYTES_PER_S = 1 << 20, 256 << 10
"""Requests that a peer on the control port may send at once, and after that."""

POLL_S, MANY_POLL_S = 0.02, 0.1
_MANY = 100
_TCP_INFO_BYTES, _RECEIVED = 136, struct.Struct("=Q")
_RECEIVED_AT = 128
"""Place of tcpi_bytes_received in Linux's struct tcp_info, since Linux 4.1."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ByteLimit:
    """Bytes that a peer of one port may send.

    Attributes:
        burst: At once.
        per_s: And then every second; with 0 the count begins anew with every message taken.
    """

    burst: int
    per_s: int = 0


LIMITS = (
    ByteLimit(burst=UNTAKEN_BYTES),
    ByteLimit(burst=POSE_BYTES, per_s=POSE_BYTES_PER_S),
    ByteLimit(burst=CONTROL_BYTES, per_s=CONTROL_BYTES_PER_S),
)
"""Of the ports of keypoints, poses and control."""


@dataclass(slots=True)
class _Connection:
    """One accepted connection: what it has sent that counts against its limit."""

    port: int
    address: str
    order: int
    received: int = 0
    counted: float = 0.0
    taken: int = 0


class ConnectionLimits:
    """Finds and cuts peers beyond a limit; one thread calls `poll`.

    Args:
        limits: By local port.
        taken: Messages taken so far, by the descriptor of their connection.
        most: Connections at once on all ports together.
        on_cut: Receives the reason and a sentence for every peer that is cut.
    """

    def __init__(
        self,
        limits: Mapping[int, ByteLimit],
        taken: Mapping[int, int],
        most: int,
        on_cut: Callable[[RejectReason, str], None],
    ) -> None:
        self._limits, self._taken, self._most, self._on_cut = limits, taken, most, on_cut
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
        over = [name for name, one in self._ours() if self._is_over(name[0], one, elapsed_s)]
        for name in over:
            one = self._found[name]
            if one is not None:
                detail = (
                    f"a peer at {one.address} sent more than {self._limits[one.port].burst >> 10} "
                    "KiB that is no message within the limits, and was cut"
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
        """Forget all connections."""
        self._found.clear()

    def _ours(self) -> Iterator[tuple[tuple[int, int], _Connection]]:
        return ((name, one) for name, one in self._found.items() if one is not None)

    def _find(self) -> None:
        """Look for new connections, and forget those that have ended."""
        self._found = {
            name: self._found[name] if name in self._found else self._opened(name[0])
            for name in _sockets()
        }

    def _opened(self, descriptor: int) -> _Connection | None:
        """Return a new connection, or None for a socket that is none of ours."""
        with contextlib.suppress(OSError, ValueError), borrowed(descriptor) as one:
            if one.family in (socket.AF_INET, socket.AF_INET6):
                port, address = one.getsockname()[1], str(one.getpeername()[0])
                if port in self._limits:
                    self._accepted += 1
                    taken = self._taken.get(descriptor, 0)
                    return _Connection(port, address, self._accepted, taken=taken)
        return None

    def _is_over(self, descriptor: int, one: _Connection, elapsed_s: float) -> bool:
        """Count what a peer has sent since the last call; return True beyond the limit."""
        received = _received(descriptor)
        if received is None:
            return False
        limit, taken = self._limits[one.port], self._taken.get(descriptor, 0)
        one.counted = max(one.counted - elapsed_s * limit.per_s, 0) + received - one.received
        one.received = received
        if not limit.per_s and taken != one.taken:
            one.taken, one.counted = taken, 0.0
        return one.counted > limit.burst

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
