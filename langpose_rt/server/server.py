"""Server: sockets, clock and threads around the pipeline.

    ingest          owns the SUB sockets; receives, queues, and never waits for the model
    connections     cuts peers that are too many or send too much
    lift            owns the XPUB socket; steps the pipeline and publishes
    control         owns the ROUTER socket; answers requests, and reopens a failing model
    authentication  accepts and rejects CURVE clients, where there are keys
    reload          opens another model, in `reload.py`
    http            health, metrics and viewer, in `http.py`

Sockets are opened in `sockets.py`, messages are processed in `langpose_rt.pipeline`, signals are
handled by the command line.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import zmq

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import LangPoseError
from langpose_rt.formats.gallery_npz import Gallery
from langpose_rt.formats.volume_calibration import VolumeCalibration, volumes_from_toml
from langpose_rt.geometry.camera import Camera
from langpose_rt.monitoring.counters import NS_PER_MS
from langpose_rt.monitoring.snapshot import Snapshot
from langpose_rt.pipeline.journal import Recorder
from langpose_rt.pipeline.model_swap import warm_up_backend
from langpose_rt.pipeline.pipeline import Pipeline
from langpose_rt.pipeline.responder import OutgoingMessage
from langpose_rt.protocol.control import LoadedCameras, Ports
from langpose_rt.protocol.header import MAX_UINT
from langpose_rt.runtime.backend import Backend
from langpose_rt.security.keyring import Keyring
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.connections import LIMITS, ConnectionLimits, most_connections
from langpose_rt.server.control_api import ControlApi, DutyCycle
from langpose_rt.server.http import HealthServer
from langpose_rt.server.reload import OpenModel, Reloader
from langpose_rt.server.socket_types import SocketTypeMonitor
from langpose_rt.server.sockets import (
    RigSockets,
    Socket,
    new_subscriptions,
    open_sockets,
    received_with_name,
)
from langpose_rt.server.threads import STUCK_S, ServingThreads, contain_faults
from langpose_rt.server.viewer_feed import ViewerFeed
from langpose_rt.server.warm_up import warm_up_pipeline
from langpose_rt.server.zap import ZapAuthenticator

IDLE_MS = 100
IDLE_S = IDLE_MS / 1000
"""Longest time a thread sleeps: the grain of heartbeats and of stopping."""

DRAIN_S = 1.0
_BURST, _REQUESTS_PER_POLL = 512, 16
_REPLY_LINGER_MS = 200

log = logging.getLogger(__name__)


class Server:
    """A pipeline behind sockets.

        server = Server(backend, ServerConfig(port=0))
        server.start()
        ...
        server.stop()

    Args:
        backend: Runs the network; `stop` closes it, or the one that replaced it.
        config: Where to listen.
        cameras: Calibrated cameras by "rig/camera" or "camera".
        gallery: Sentences to compare motion embeddings with.
        recorder: Records messages and decisions.
        open_model: Opens another model; without it the first one stays.
        volumes: Calibrations of the capture volumes.
        up: Up axis of their worlds, for calibrations that are loaded later.

    Attributes:
        epoch: Random number of this start.
        keyring: Keys of accepted clients; None for a server without encryption.
        ports: Where it listens, once it has started.

    Raises:
        ConfigError: If the model does not take live input, or the server's own keys are missing.
    """

    def __init__(
        self,
        backend: Backend,
        config: ServerConfig | None = None,
        cameras: Mapping[str, Camera] | None = None,
        recorder: Recorder | None = None,
        *,
        gallery: Gallery | None = None,
        open_model: OpenModel | None = None,
        volumes: Sequence[VolumeCalibration] = (),
        up: str | None = None,
    ) -> None:
        self.config = config = config or ServerConfig()
        self.keyring = None if config.keys is None else Keyring(config.keys)
        self._up = up
        self._unix_ns = time.time_ns() - time.monotonic_ns()
        self.epoch = epoch = secrets.randbelow(MAX_UINT + 1)
        self.pipeline = Pipeline(
            backend, config.pipeline, cameras, epoch=epoch, gallery=gallery, clock=self.now_ns,
            recorder=recorder, volumes=volumes,
        )  # fmt: skip
        self._contained = contain_faults(
            self.pipeline.faults, clock=self.now_ns, fatal=zmq.ZMQError
        )
        self._reloader = Reloader(self.pipeline, open_model)
        self._context: zmq.Context[Socket] = zmq.Context()
        self._health: HealthServer | None = None
        self._feed = ViewerFeed(lambda: self.pipeline.model.manifest.licence)
        self._threads = threads = ServingThreads(time.monotonic)
        self._wake_lift = threading.Event()
        self._draining, self._stopping = threading.Event(), threads.stopping
        self._ingest_ended, self._done = threads.ended["ingest"], threads.ended["lift"]
        self._lifecycle = threading.RLock()
        self.ports = Ports()

    def start(self) -> None:
        """Warm up the model, open the ports and start the threads.

        Raises:
            ConfigError: If a port is taken or the address is not this machine's; nothing runs then.
            BackendError: If the model cannot compute.
        """
        config, authenticator = self.config, None
        try:
            warm_up_backend(self.pipeline.model)
            warm_up_pipeline(self.pipeline.model, config.pipeline)
            if self.keyring is not None:
                authenticator = ZapAuthenticator(
                    self._context, self.keyring, self.pipeline.faults.peer_rejected
                )
            types = SocketTypeMonitor(self._context, self.pipeline.faults.peer_rejected)
            guard = authenticator.guard if authenticator else types.guard
            sockets = open_sockets(self._context, config, guard)
            rigs = RigSockets(
                self._context,
                sockets.keypoints,
                config,
                self.keyring,
                on_passed_over=self.pipeline.faults.passed_over,
            )
            self.ports = replace(sockets.ports, http=self._listen_http())
            keys = self.keyring.public_keys if self.keyring else {}
            self.pipeline.recorder.begin(self.epoch, self.pipeline.faults, keys)
        except LangPoseError:
            self._close()
            raise
        for sentence in config.exposures:
            log.warning(sentence)
        if authenticator is not None:
            self._threads.start("authentication", self._authenticate, authenticator)
        self._threads.start(
            "connections", partial(self._limit_connections, self._limits(rigs.taken)), types
        )
        self._threads.start("ingest", self._ingest, rigs)
        self._threads.start("lift", self._lift, sockets.poses)
        self._threads.start("control", self._control, sockets.requests)
        if self._health is not None:
            self._health.start()

    def drain(self) -> None:
        """Announce the end, lift what waits for at most a second, then stop; return at once."""
        self._draining.set()
        self._wake_lift.set()

    def stop(self) -> None:
        """Stop at once and wait for the threads; may be called twice, and by several threads."""
        self._stopping.set()
        self._wake_lift.set()
        with self._lifecycle:  # ZeroMQ hangs where two threads close one context
            self._threads.join()
            self.pipeline.recorder.close()
            self._reloader.stop()
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
            raise LangPoseError(f"the server has stopped: {failure}") from failure

    def snapshot(self) -> Snapshot:
        """Return the state of the server at this moment; callable from any thread."""
        return self.pipeline.snapshot(self.now_ns())

    def reload(self, folder: Path | None, on_end: Callable[[str | None], None]) -> bool:
        """Begin to change the model, see `Reloader.begin`; the active one serves meanwhile."""
        return self._reloader.begin(folder, on_end)

    def load_cameras(self, file: Path) -> LoadedCameras:
        """Use another calibration file in place of the one of its name, or of the only one.

        Raises:
            ConfigError: If it cannot be used; the one before it goes on.
        """
        notes: list[str] = []
        read = volumes_from_toml([file], self._up, report=notes.append)[0]
        name = self.pipeline.calibration_named(read.name).name
        self.pipeline.load_calibration(replace(read, name=name))
        self._wake_lift.set()
        return LoadedCameras(name, tuple(read.cameras), tuple(notes))

    def may_change(self, sender: str | None) -> bool:
        """Return True if the sender of a request may reload and drain; None has no key."""
        return self.config.is_loopback if sender is None else sender == self.config.admin

    def alive(self) -> bool:
        """Return True if all serving threads make progress."""
        return self._threads.alive()

    def now_ns(self) -> int:
        """Return unix time at the start plus monotonic time since, which never jumps."""
        return self._unix_ns + time.monotonic_ns()

    def _listen_http(self) -> int:
        if self.config.http_port is None:
            return 0
        where = self.config.http_bind, self.config.http_port
        self._health = HealthServer(
            *where, snapshot=self.snapshot, alive=self.alive, feed=self._feed
        )
        return self._health.port

    def _close(self) -> None:
        if self._health is not None:
            self._health.stop()
        if not self._context.closed:
            self.pipeline.model.close()
        self._context.destroy(linger=0)  # sockets that served are closed, with their own linger
        self._done.set()

    def _ingest(self, rigs: RigSockets) -> None:
        last_round = False
        while not (self._stopping.is_set() or last_round):
            self._threads.progressed("ingest")
            last_round = self._draining.is_set()
            self.pipeline.faults.rigs_reconnected(*rigs.reconnect_silent(time.monotonic()))
            rigs.wait(0 if last_round else IDLE_MS)
            until_ns = time.monotonic_ns() + IDLE_MS * NS_PER_MS
            for _ in range(_BURST):
                now_ns = time.monotonic_ns()
                if now_ns > until_ns or (message := rigs.receive(now_ns)) is None:
                    break
                parts, sender = message
                queued, cpu_ns = False, time.thread_time_ns()
                with self._contained():
                    if queued := self.pipeline.receive(parts, self.now_ns(), sender):
                        self._wake_lift.set()
                rigs.processed(time.thread_time_ns() - cpu_ns, refused=not queued)

    def _authenticate(self, authenticator: ZapAuthenticator) -> None:
        while not (self._stopping.is_set() or self._done.is_set()):
            self._threads.progressed("authentication")
            authenticator.poll(IDLE_MS)

    def _limits(self, taken: Mapping[int, int]) -> ConnectionLimits:
        ports = self.ports.keypoints, self.ports.poses, self.ports.control
        limits = dict(zip(ports, LIMITS, strict=True))
        rejected = self.pipeline.faults.peer_rejected
        return ConnectionLimits(limits, taken, most_connections(), rejected)

    def _limit_connections(self, limits: ConnectionLimits, types: SocketTypeMonitor) -> None:
        last_s = time.monotonic()
        while not (self._stopping.wait(limits.poll_s) or self._done.is_set()):
            self._threads.progressed("connections")
            last_s, elapsed_s = time.monotonic(), time.monotonic() - last_s
            with self._contained():
                limits.poll(elapsed_s)
                types.poll()

    def _lift(self, socket: Socket) -> None:
        while not (self._stopping.is_set() or self._draining.is_set()):
            self._threads.progressed("lift")
            if not self.pipeline.waiting:
                self._wake_lift.wait(self._idle_s())
            self._wake_lift.clear()
            self._watch_subscriptions(socket)
            self._publish(socket, self.pipeline.promote_shadow)
            self._publish(socket, self.pipeline.step)
            self._publish(socket, self.pipeline.fuse)
            self._publish(socket, self.pipeline.tick)
        if not self._stopping.is_set():
            self._send_drain(socket)

    def _idle_s(self) -> float:
        """Return how long the lift thread may sleep: no longer than until fusing is due."""
        due_ns = self.pipeline.next_due_ns()
        return IDLE_S if due_ns is None else min(max(due_ns - self.now_ns(), 0) / NS_PER_S, IDLE_S)

    def _control(self, socket: Socket) -> None:
        api, duty_cycle = ControlApi(self), DutyCycle(time.monotonic())
        while not (self._stopping.is_set() or self._done.is_set()):
            self._threads.progressed("control")
            self._reloader.retry_if_failing(time.monotonic())
            socket.poll(IDLE_MS)
            began_s = time.monotonic()
            for _ in range(_REQUESTS_PER_POLL):
                if (message := received_with_name(socket, self.keyring)) is None:
                    break
                parts, sender = message
                self._send(socket, partial(api.answer, parts, sender=sender))
            self._send(socket, api.deferred)
            self._stopping.wait(duty_cycle.rest_s(began_s, time.monotonic()))
        self._done.wait(STUCK_S)  # only now no thread steps a model that may be closed
        self._reloader.stop()
        self._send(socket, api.deferred)
        socket.close(linger=_REPLY_LINGER_MS)

    def _send_drain(self, socket: Socket) -> None:
        until_s = time.monotonic() + DRAIN_S
        self._publish(socket, self.pipeline.drain)
        self._ingest_ended.wait(IDLE_S)
        while self.pipeline.waiting and time.monotonic() < until_s and not self._stopping.is_set():
            self._publish(socket, self.pipeline.step)
        if not self.pipeline.waiting:
            self._publish(socket, self.pipeline.flush)
            self._publish(socket, partial(self.pipeline.fuse, everything=True))
        socket.close(linger=max(round(1000 * (until_s - time.monotonic())), 50))

    def _watch_subscriptions(self, socket: Socket) -> None:
        """Publish the schemas soon if a new subscription includes them."""
        topics = list(new_subscriptions(socket))
        if any(topic.startswith(b"schema/") or b"schema/".startswith(topic) for topic in topics):
            self.pipeline.want_schemas()

    def _publish(self, socket: Socket, work: Callable[[int], list[OutgoingMessage]]) -> None:
        """Send the results of a part of the work to subscribers, viewer and recorder."""
        for parts in self._send(socket, work):
            self._feed.publish(parts)
            self.pipeline.recorder.published(parts, self.now_ns())

    def _send(
        self, socket: Socket, work: Callable[[int], list[OutgoingMessage]]
    ) -> list[OutgoingMessage]:
        """Do a part of the work and send its messages; a peer that lags loses some."""
        sent: list[OutgoingMessage] = []
        with self._contained():
            for parts in work(self.now_ns()):
                socket.send_multipart(parts, zmq.NOBLOCK)
                sent.append(parts)
        return sent
