"""Socket server: what a server and the front of a cluster have in common.

    authentication  accepts and rejects CURVE clients, where there are keys
    connections     cuts peers that are too many or send too much
    control         owns the ROUTER socket; answers requests
    http            health, metrics and viewer, in `http.py`

Ports, keys, clock, and the life from `start` to `stop` are here. What becomes of the messages is in
`server.py` and in `langpose_rt.cluster.front`; signals are handled by the command line.
"""

import logging
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import zmq

from langpose_rt.errors import LangPoseError
from langpose_rt.monitoring.faults import FaultReporter
from langpose_rt.monitoring.snapshot import Snapshot
from langpose_rt.protocol.control import LoadedCameras, Ports
from langpose_rt.protocol.header import MAX_UINT
from langpose_rt.security.keyring import Keyring
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.connections import ConnectionLimits, Taken, connection_limits
from langpose_rt.server.control_api import ControlApi, DutyCycle
from langpose_rt.server.http import HealthServer
from langpose_rt.server.socket_types import SocketTypeMonitor
from langpose_rt.server.sockets import (
    RigSockets,
    Socket,
    open_sockets,
    received_with_name,
    send_all,
)
from langpose_rt.server.threads import STUCK_S, ServingThreads, contain_faults
from langpose_rt.server.viewer.feed import ViewerFeed
from langpose_rt.server.zap import ZapAuthenticator

IDLE_MS = 100
IDLE_S = IDLE_MS / 1000
"""Longest time a thread sleeps: the grain of heartbeats and of stopping."""

_REQUESTS_PER_POLL, _REPLY_LINGER_MS = 16, 200

log = logging.getLogger(__name__)


class SocketServer(ABC):
    """Listening sockets and the threads that do not depend on what is served.

    Args:
        config: Where to listen, and the keys.
        name: What it calls itself in errors.
        last_thread: Thread whose end is the end of serving.
        feed: Poses for the viewer.

    Attributes:
        config: Where it listens.
        epoch: Random number of this start.
        keyring: Keys of accepted clients; None without encryption.
        ports: Where it listens, once it has started.

    Raises:
        ConfigError: If the server's own keys are missing.
    """

    def __init__(
        self, config: ServerConfig, *, name: str, last_thread: str, feed: ViewerFeed
    ) -> None:
        self.config = config
        self.keyring = None if config.keys is None else Keyring(config.keys)
        self.epoch = secrets.randbelow(MAX_UINT + 1)
        self.ports = Ports()
        self._name, self._feed = name, feed
        self._unix_ns = time.time_ns() - time.monotonic_ns()
        self._health: HealthServer | None = None
        self._threads = threads = ServingThreads(time.monotonic)
        self._draining, self._stopping = threading.Event(), threads.stopping
        self._done = threads.ended[last_thread]
        self._lifecycle = threading.RLock()
        self._requests, self._subscriptions = Taken(), Taken()

    @property
    @abstractmethod
    def _faults(self) -> FaultReporter:
        """Counts and reports faults."""

    @abstractmethod
    def _serve(self, rigs: RigSockets, poses: Socket) -> None:
        """Start the threads that own the sockets of keypoints and poses.

        Raises:
            LangPoseError: If it cannot serve; nothing runs then.
        """

    @abstractmethod
    def _control_api(self) -> ControlApi:
        """Return what answers requests."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Return the state at this moment; callable from any thread."""

    @abstractmethod
    def reload(self, folder: Path | None, on_end: Callable[[str | None], None]) -> bool:
        """Begin to change the model; return False while another change runs."""

    @abstractmethod
    def load_cameras(self, file: Path) -> LoadedCameras:
        """Use another calibration file.

        Raises:
            ConfigError: If it cannot be used.
        """

    def start(self) -> None:
        """Open the ports and start the threads.

        Raises:
            ConfigError: If a port is taken or the address is not this machine's; nothing runs then.
        """
        config, authenticator = self.config, None
        rejected = self._faults.peer_rejected
        try:
            if self.keyring is not None:
                authenticator = ZapAuthenticator(self._context, self.keyring, rejected)
            types = SocketTypeMonitor(self._context, rejected)
            guard = authenticator.guard if authenticator else types.guard
            sockets = open_sockets(self._context, config, guard)
            rigs = RigSockets(
                self._context,
                sockets.keypoints,
                config,
                self.keyring,
                on_passed_over=self._faults.passed_over,
            )
            self.ports = replace(sockets.ports, http=self._listen_http())
            self._serve(rigs, sockets.poses)
        except LangPoseError:
            self._close()
            raise
        for sentence in config.exposures:
            log.warning(sentence)
        if authenticator is not None:
            self._threads.start("authentication", self._authenticate, authenticator)
        taken = rigs.taken, self._subscriptions, self._requests
        limits = connection_limits(
            self.ports,
            taken,
            self._faults.peer_rejected,
            config.connect,
            has_front=config.has_front,
        )
        self._threads.start("connections", partial(self._limit_connections, limits), types)
        self._threads.start("control", self._control, sockets.requests)
        if self._health is not None:
            self._health.start()

    def drain(self) -> None:
        """Announce the end, answer what waits, then stop; return at once."""
        self._draining.set()

    def stop(self) -> None:
        """Stop at once and wait for the threads; may be called twice, and by several threads."""
        self._stopping.set()
        with self._lifecycle:  # ZeroMQ hangs where two threads close one context
            self._threads.join()
            self._close()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of serving; return False after the timeout."""
        return self._done.wait(timeout_s)

    def run(self, on_start: Callable[[], None] = lambda: None) -> None:
        """Serve until `drain` or `stop` is called, from a signal or another thread.

        Args:
            on_start: Called once the ports are open.

        Raises:
            LangPoseError: As `start`, or if a serving thread failed.
        """
        self.start()
        try:
            on_start()
            while not self.wait(IDLE_S):  # waiting for ever would keep signals out
                pass
        finally:
            self.stop()
        if (failure := self._threads.failure) is not None:
            raise LangPoseError(f"the {self._name} has stopped: {failure}") from failure

    def may_change(self, sender: str | None) -> bool:
        """Return True if the sender of a request may change the server; None has no key."""
        return self.config.is_loopback if sender is None else sender == self.config.admin

    def alive(self) -> bool:
        """Return True if all serving threads make progress."""
        return self._threads.alive()

    def now_ns(self) -> int:
        """Return unix time at the start plus monotonic time since, which never jumps."""
        return self._unix_ns + time.monotonic_ns()

    @cached_property
    def _contained(self) -> Callable[[], AbstractContextManager[None]]:
        return contain_faults(self._faults, clock=self.now_ns, fatal=zmq.ZMQError)

    @cached_property
    def _context(self) -> "zmq.Context[Socket]":
        return zmq.Context()  # not before it is needed: who is refused leaves none behind

    @property
    def _serving(self) -> bool:
        return not (self._stopping.is_set() or self._done.is_set())

    def _listen_http(self) -> int:
        if self.config.http_port is None:
            return 0
        where = self.config.http_bind, self.config.http_port
        self._health = HealthServer(
            *where, snapshot=self.snapshot, alive=self.alive, feed=self._feed
        )
        return self._health.port

    def _close(self) -> None:
        """Close what no thread owns."""
        if self._health is not None:
            self._health.stop()
        self._context.destroy(linger=0)  # sockets that served are closed, with their own linger
        self._done.set()

    def _authenticate(self, authenticator: ZapAuthenticator) -> None:
        while self._serving:
            self._threads.progressed("authentication")
            authenticator.poll(IDLE_MS)

    def _limit_connections(self, limits: ConnectionLimits, types: SocketTypeMonitor) -> None:
        last_s = time.monotonic()
        while not (self._stopping.wait(limits.poll_s) or self._done.is_set()):
            self._threads.progressed("connections")
            last_s, elapsed_s = time.monotonic(), time.monotonic() - last_s
            with self._contained():
                limits.poll(elapsed_s)
                types.poll()

    def _control(self, socket: Socket) -> None:
        api, duty_cycle = self._control_api(), DutyCycle(time.monotonic())
        while self._serving:
            self._threads.progressed("control")
            self._look_after_model()
            socket.poll(IDLE_MS)
            began_s = time.monotonic()
            for _ in range(_REQUESTS_PER_POLL):
                if (message := received_with_name(socket, self.keyring, self._requests)) is None:
                    break
                parts, sender = message
                self._send(socket, partial(api.answer, parts, sender=sender))
            self._send(socket, api.deferred)
            self._stopping.wait(duty_cycle.rest_s(began_s, time.monotonic()))
        self._done.wait(STUCK_S)
        self._end_changes()
        self._send(socket, api.deferred)
        socket.close(linger=_REPLY_LINGER_MS)

    def _look_after_model(self) -> None:  # noqa: B027 - a front has no model
        """Do what is due between requests."""

    def _end_changes(self) -> None:  # noqa: B027 - likewise
        """End a change of the model that is under way; no thread steps one any more."""

    def _send(self, socket: Socket, work: Callable[[int], list[list[bytes]]]) -> None:
        """Do a part of the work and send its messages."""
        with self._contained():
            send_all(socket, work(self.now_ns()))
