"""Supervisor of the lifters: asks every one all the time, and says who is live.

One thread calls `poll`; what it finds is read by others. The front does not wait for whoever places
the lifters to notice a death: their own detection may take seconds.
"""

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec
import zmq

from langpose_rt.cluster.health import STATUS_EVERY, Health
from langpose_rt.cluster.links import Address, FrontKeys, Socket, request_socket
from langpose_rt.cluster.placement import Placement
from langpose_rt.cluster.snapshot import LifterState
from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.monitoring.snapshot import Snapshot
from langpose_rt.protocol.control import Hello, Reply, Request, decode_reply, encode_control

_HELLO, _CLOCK, _STATUS, _CHANGE, _DRAIN = range(5)
"""Ids of requests: what is asked, so that answers need no memory."""


@dataclass(slots=True, eq=False)
class _Lifter:
    """State of one lifter."""

    endpoint: str
    socket: Socket
    health: Health
    address: Address | None = None
    snapshot: Snapshot | None = None
    changed: "queue.SimpleQueue[Reply]" = field(default_factory=queue.SimpleQueue)


@dataclass(frozen=True, slots=True)
class Change:
    """A lifter that takes part from now on, at that address, or does no more (None)."""

    lifter: str
    address: Address | None


class Supervisor:
    """Watches all lifters.

    Args:
        context: Of the front.
        placement: Knows where they are.
        keys: Of the front at the lifters, or None.
        lost_after_ns: Silence after which a lifter is lost.

    Attributes:
        changes: Lifters that came and went, for the thread that owns the routing table.
    """

    def __init__(
        self,
        context: "zmq.Context[Socket]",
        placement: Placement,
        keys: FrontKeys | None,
        *,
        lost_after_ns: int,
    ) -> None:
        self._context, self._placement, self._keys = context, placement, keys
        self._lost_after_ns = lost_after_ns
        self._lifters: dict[str, _Lifter] = {}
        self._poller = zmq.Poller()
        self._wanted: queue.SimpleQueue[tuple[str, Request]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self.changes: queue.SimpleQueue[Change] = queue.SimpleQueue()

    def poll(self, timeout_ms: int, clock: Callable[[], int]) -> None:
        """Ask whoever is to be asked, and read what has arrived within the time."""
        self._follow_placement()
        now_ns = clock()
        for lifter in self._lifters.values():
            if lifter.health.due(now_ns):
                self._send(lifter, self._question(lifter))
        while not self._wanted.empty():
            name, request = self._wanted.get()
            if name in self._lifters:
                self._send(self._lifters[name], request)
        ready = {socket for socket, _ in self._poller.poll(timeout_ms)}
        now_ns = clock()
        for name, lifter in self._lifters.items():
            if lifter.socket in ready:
                self._read(name, lifter, now_ns)
            if lifter.health.is_lost(now_ns):
                self.changes.put(Change(name, None))

    def snapshots(self) -> Mapping[str, Snapshot]:
        """Return the last snapshot of every live lifter; from any thread."""
        with self._lock:
            lifters = list(self._lifters.items())
        return {n: lf.snapshot for n, lf in lifters if lf.snapshot is not None and lf.health.live}

    def states(self, owned_by: Callable[[str], int]) -> list[LifterState]:
        """Return the state of every lifter; from any thread.

        Args:
            owned_by: Returns the number of streams of a lifter.
        """
        with self._lock:
            lifters = sorted(self._lifters.items())
        states = []
        for name, lifter in lifters:
            snapshot = lifter.snapshot
            if snapshot is None or not lifter.health.live:
                state = "lost" if snapshot is not None else "starting"
                states.append(LifterState(lifter=name, state=state))
                continue
            states.append(
                LifterState(
                    lifter=name,
                    state=snapshot.state,
                    streams=owned_by(name),
                    persons=snapshot.persons,
                    slots=snapshot.slots,
                    fps=snapshot.fps,
                    p99_ms=snapshot.p99_ms,
                    model=snapshot.model,
                )
            )
        return states

    def change(self, lifter: str, op: str, timeout_s: float, **keys: str | None) -> object:
        """Send a request that changes a lifter, and wait; from any thread, one at a time.

        Returns:
            The data of its answer.

        Raises:
            ConfigError: If it refuses, or does not answer in time.
        """
        with self._lock:
            known = self._lifters.get(lifter)
        if known is None:
            raise ConfigError(f"{lifter} is gone")
        while not known.changed.empty():
            known.changed.get()  # the late answer to a request that timed out
        self._wanted.put((lifter, Request.of(op, id=_CHANGE, **keys)))
        try:
            reply = known.changed.get(timeout=timeout_s)
        except queue.Empty:
            raise ConfigError(f"{lifter} did not answer within {timeout_s:g} s") from None
        if not reply.ok:
            raise ConfigError(f"{lifter}: {reply.detail}")
        return reply.data

    def drain(self, lifter: str) -> None:
        """Let a lifter end; from any thread."""
        self._placement.retire(lifter)
        self._wanted.put((lifter, Request.of("drain", id=_DRAIN)))

    def close(self) -> None:
        """Close all sockets."""
        for lifter in self._lifters.values():
            lifter.socket.close(linger=200)

    def _follow_placement(self) -> None:
        """Connect to lifters that are new or have moved; forget those that are gone."""
        placed = self._placement.addresses()
        for name in [n for n, lf in self._lifters.items() if placed.get(n) != lf.endpoint]:
            lifter = self._lifters[name]
            if lifter.health.live:
                self.changes.put(Change(name, None))
            self._poller.unregister(lifter.socket)
            lifter.socket.close(linger=0)
            with self._lock:
                del self._lifters[name]
        for name, endpoint in placed.items():
            if name not in self._lifters:
                socket = request_socket(self._context, endpoint, self._keys)
                self._poller.register(socket, zmq.POLLIN)
                with self._lock:
                    self._lifters[name] = _Lifter(endpoint, socket, Health(self._lost_after_ns))

    def _question(self, lifter: _Lifter) -> Request:
        if lifter.address is None or not lifter.health.live:
            return Request.of("hello", id=_HELLO)
        if lifter.health.asked % STATUS_EVERY == 0 or lifter.snapshot is None:
            return Request.of("status", id=_STATUS)
        return Request.of("clock", id=_CLOCK, t=0)

    def _send(self, lifter: _Lifter, request: Request) -> None:
        try:
            lifter.socket.send(encode_control(request), zmq.NOBLOCK)
        except zmq.Again:  # it is not there, or does not read: it will be found silent
            return

    def _read(self, name: str, lifter: _Lifter, now_ns: int) -> None:
        while lifter.socket.poll(0):
            try:
                self._take(name, lifter, decode_reply(lifter.socket.recv_multipart()[-1]), now_ns)
            except (MessageError, msgspec.ValidationError):
                continue  # not a lifter of this version: it stays out

    def _take(self, name: str, lifter: _Lifter, reply: Reply, now_ns: int) -> None:
        if reply.id == _CHANGE:
            lifter.changed.put(reply)
        if reply.id == _HELLO and reply.ok:
            hello = msgspec.convert(reply.data, Hello)
            host = lifter.endpoint.rpartition(":")[0]
            address = Address(host, hello.ports, hello.epoch)
            if lifter.address not in (None, address) and lifter.health.live:
                self.changes.put(Change(name, None))  # another process has its port
                lifter.health.restarted()
            lifter.address = address
        elif reply.id == _STATUS and reply.ok:
            lifter.snapshot = msgspec.convert(reply.data, Snapshot)
        if lifter.address is not None and lifter.health.heard(now_ns):
            self.changes.put(Change(name, lifter.address))
