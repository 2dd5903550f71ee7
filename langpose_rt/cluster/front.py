"""Front of a cluster: the one address of rigs and consumers, and lifters behind it.

    front           owns the sockets of rigs, consumers and lifters; passes frames and poses on
    supervisor      asks the lifters all the time
    control         answers requests
    authentication  accepts and rejects CURVE clients, where there are keys
    reload          changes the model of one lifter after the other
    http            health, metrics and viewer

It keeps no state but the frames of the last moments: another front can take its place. Which frame
goes where is decided in `routing.py`.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import zmq

from langpose_rt.cluster.config import ClusterConfig
from langpose_rt.cluster.front_control import FrontControl
from langpose_rt.cluster.links import FrontKeys, LifterLinks, Socket
from langpose_rt.cluster.placement import Placement
from langpose_rt.cluster.routing import RoutingTable
from langpose_rt.cluster.snapshot import ClusterSnapshot, merged_snapshot
from langpose_rt.cluster.stream_route import Send
from langpose_rt.cluster.supervisor import Supervisor
from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError, LangPoseError, MessageError
from langpose_rt.monitoring.announcer import Announcer
from langpose_rt.monitoring.counters import Stats
from langpose_rt.monitoring.faults import FaultReporter
from langpose_rt.protocol.control import LoadedCameras, Ports
from langpose_rt.protocol.header import MAX_UINT, check_parts, check_sender
from langpose_rt.protocol.keypoints import encode_keypoints
from langpose_rt.protocol.keypoints_json import JSON_FIRST_BYTES, JsonNumbering
from langpose_rt.protocol.messages import decode_keypoints
from langpose_rt.security.keyring import Keyring
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.control_api import DutyCycle
from langpose_rt.server.http import HealthServer
from langpose_rt.server.sockets import (
    RigSockets,
    new_subscriptions,
    open_sockets,
    received,
    received_with_name,
)
from langpose_rt.server.threads import ServingThreads, contain_faults
from langpose_rt.server.viewer_feed import ViewerFeed
from langpose_rt.server.zap import ZapAuthenticator

IDLE_MS = 50
TICK_NS = 10_000_000
BUSY_MS = 10
"""Longest sleep while streams are handed over."""

RELOAD_TIMEOUT_S, CAMERAS_TIMEOUT_S = 120.0, 4.0
DRAIN_S = 10.0
"""A lifter that is drained ends after this even if it still owns a stream."""

_BURST, _REQUESTS_PER_POLL = 128, 16
_REPLY_LINGER_MS, _POSE_LINGER_MS = 200, 200

log = logging.getLogger(__name__)


class Front:
    """Sockets of rigs and consumers, and the loop between them and the lifters.

    Args:
        placement: Starts the lifters; `stop` ends them.
        config: Options of the cluster.
        server: Where to listen, and the keys of rigs and consumers.
        lifter_keys: Folder of the keys between the front and the lifters, or None.

    Attributes:
        config: Where it listens.
        epoch: Random number of this start.
        keyring: Keys of accepted clients; None without encryption.
        ports: Where it listens, once it has started.
        table: Which lifter owns which stream.

    Raises:
        ConfigError: If a key is missing.
    """

    def __init__(
        self,
        placement: Placement,
        config: ClusterConfig,
        server: ServerConfig | None = None,
        *,
        lifter_keys: Path | None = None,
    ) -> None:
        self.config = server = server or ServerConfig()
        self.keyring = None if server.keys is None else Keyring(server.keys)
        keys = FrontKeys.from_folder(lifter_keys)
        self._unix_ns = time.time_ns() - time.monotonic_ns()
        self.epoch = secrets.randbelow(MAX_UINT + 1)
        self.ports = Ports()
        self._context: zmq.Context[Socket] = zmq.Context()
        self._placement = placement
        self.table = RoutingTable(config.groups)
        self._supervisor = Supervisor(
            self._context, placement, keys, lost_after_ns=config.lost_after_ns
        )
        self._links = LifterLinks(self._context, keys)
        self._stats, self._announcer = Stats(), Announcer(server.pipeline.name, self.epoch)
        self._faults = FaultReporter(self._stats, self._announcer)
        self._contained = contain_faults(self._faults, clock=self.now_ns, fatal=zmq.ZMQError)
        self._numbering = JsonNumbering(self.epoch)
        self._waiting: dict[str, int] = {}
        self._tick_ns, self._started_ns = 0, self.now_ns()
        self._feed = ViewerFeed()
        self._health: HealthServer | None = None
        self._threads = ServingThreads(time.monotonic)
        self._stopping, self._done = self._threads.stopping, self._threads.ended["front"]
        self._draining, self._reloading = threading.Event(), threading.Lock()

    def start(self) -> None:
        """Open the ports and start the threads; lifters take part as they come up.

        Raises:
            ConfigError: If a port is taken or the address is not this machine's.
        """
        config, authenticator = self.config, None
        try:
            if self.keyring is not None:
                authenticator = ZapAuthenticator(
                    self._context, self.keyring, self._faults.peer_rejected
                )
            guard = authenticator.guard if authenticator else None
            sockets = open_sockets(self._context, config, guard)
            rigs = RigSockets(self._context, sockets.keypoints, config, self.keyring)
            self.ports = replace(sockets.ports, http=self._listen_http())
        except LangPoseError:
            self._close()
            raise
        for sentence in config.exposures:
            log.warning(sentence)
        if authenticator is not None:
            self._threads.start("authentication", self._authenticate, authenticator)
        self._threads.start("supervisor", self._supervise, self._supervisor)
        self._threads.start("control", self._control, sockets.requests)
        self._threads.start("front", partial(self._serve, rigs), sockets.poses)
        if self._health is not None:
            self._health.start()

    def wait_for_lifters(self, count: int, timeout_s: float) -> bool:
        """Wait until so many lifters take part; return False after the timeout."""
        until_s = time.monotonic() + timeout_s
        while len(self.table.lifters) < count:
            if time.monotonic() > until_s or self._done.wait(0.02):
                return False
        return True

    def drain(self) -> None:
        """Announce the end, pass on what the lifters still answer, then stop; return at once."""
        self._draining.set()

    def drain_lifter(self, lifter: str) -> bool:
        """Hand the streams of a lifter over and let it end; return False if it is not known."""
        if lifter not in self.table.lifters:
            return False
        threading.Thread(
            target=self._drain_lifter, args=[lifter], name=f"drain {lifter}", daemon=True
        ).start()
        return True

    def reload(self, folder: Path | None, on_end: Callable[[str | None], None]) -> bool:
        """Change the model of one lifter after the other; return at once, False while another runs.

        Args:
            folder: On the machine of every lifter; None is the one they were started with.
            on_end: Called once with the error, or None; the first error ends the change.
        """
        if not self._reloading.acquire(blocking=False):
            return False

        def change() -> None:
            try:
                on_end(self._reload_all(folder))
            finally:
                self._reloading.release()

        threading.Thread(target=change, name="reload", daemon=True).start()
        return True

    def load_cameras(self, file: Path) -> LoadedCameras:
        """Let every lifter use another calibration file, on its own machine.

        Raises:
            ConfigError: If one cannot use it, or there is none.
        """
        found = None
        for lifter in sorted(self.table.lifters):
            answer = self._supervisor.change(lifter, "cameras", CAMERAS_TIMEOUT_S, file=str(file))
            found = msgspec.convert(answer, LoadedCameras)
        if found is None:
            raise ConfigError("no lifter takes part yet; ask again when one does")
        return found

    def stop(self) -> None:
        """Stop at once, end the lifters and wait for the threads; may be called twice."""
        self._stopping.set()
        self._threads.join()
        self._placement.stop()
        self._close()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of serving; return False after the timeout."""
        return self._done.wait(timeout_s)

    def run(self, on_start: Callable[[], None] = lambda: None) -> None:
        """Serve until `drain` or `stop` is called.

        Args:
            on_start: Called once the ports are open.

        Raises:
            LangPoseError: As `start`, or if a thread failed.
        """
        self.start()
        try:
            on_start()
            while not self.wait(0.1):
                pass
        finally:
            self.stop()
        if (failure := self._threads.failure) is not None:
            raise LangPoseError(f"the front has stopped: {failure}") from failure

    def snapshot(self) -> ClusterSnapshot:
        """Return the state of the whole cluster; callable from any thread."""
        snapshots, table = self._supervisor.snapshots(), self.table
        states = self._supervisor.states(lambda lifter: len(table.owned_by(lifter)))
        front = {
            "server": self.config.pipeline.name,
            "state": self._state(snapshots.keys()),
            "uptime_s": (self.now_ns() - self._started_ns) / NS_PER_S,
        }
        counts = {f"front_{name}": count for name, count in table.counts.items()}
        return merged_snapshot(
            front,
            snapshots,
            states,
            owner=table.owner,
            counts=counts | {"reconnects": self._stats.reconnects},
            rejected=self._stats.rejected,
        )

    def may_change(self, sender: str | None) -> bool:
        """Return True if the sender of a request may reload and drain; None has no key."""
        return self.config.is_loopback if sender is None else sender == self.config.admin

    def alive(self) -> bool:
        """Return True if all threads make progress."""
        return self._threads.alive()

    def now_ns(self) -> int:
        """Return unix time at the start plus monotonic time since, which never jumps."""
        return self._unix_ns + time.monotonic_ns()

    def _state(self, described: Collection[str]) -> str:
        """Return the state, given the lifters whose own snapshots are known."""
        if self._draining.is_set():
            return "draining"
        live = {lifter for lifter in self.table.lifters if lifter in described}
        if not live:
            return "starting"
        return "ready" if set(self._placement.addresses()) <= live else "degraded"

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
        self._links.close()
        self._context.destroy(linger=0)
        self._done.set()

    def _authenticate(self, authenticator: ZapAuthenticator) -> None:
        while not (self._stopping.is_set() or self._done.is_set()):
            self._threads.progressed("authentication")
            authenticator.poll(IDLE_MS)

    def _supervise(self, supervisor: Supervisor) -> None:
        while not (self._stopping.is_set() or self._done.is_set()):
            self._threads.progressed("supervisor")
            with self._contained():
                supervisor.poll(IDLE_MS, self.now_ns)

    def _control(self, socket: Socket) -> None:
        api, duty_cycle = FrontControl(self), DutyCycle(time.monotonic())
        while not (self._stopping.is_set() or self._done.is_set()):
            self._threads.progressed("control")
            socket.poll(IDLE_MS)
            began_s = time.monotonic()
            for _ in range(_REQUESTS_PER_POLL):
                if (message := received_with_name(socket, self.keyring)) is None:
                    break
                parts, sender = message
                for reply in api.answer(parts, self.now_ns(), sender=sender):
                    socket.send_multipart(reply, zmq.NOBLOCK)
            for reply in api.deferred():
                socket.send_multipart(reply, zmq.NOBLOCK)
            self._stopping.wait(duty_cycle.rest_s(began_s, time.monotonic()))
        socket.close(linger=_REPLY_LINGER_MS)

    def _serve(self, rigs: RigSockets, poses: Socket) -> None:
        links = self._links
        poller = zmq.Poller()
        poller.register(links.answers, zmq.POLLIN)
        for socket in rigs.sockets:
            poller.register(socket, zmq.POLLIN)
        try:
            while not self._stopping.is_set():
                self._threads.progressed("front")
                poller.poll(BUSY_MS if self.table.replaying else IDLE_MS)
                now_ns = self.now_ns()
                for _ in range(_BURST):
                    if (answer := received(links.answers)) is None:
                        break
                    with self._contained():
                        self._take_answer(answer, poses, now_ns)
                rigs.wait(0)
                for _ in range(_BURST):
                    if (message := rigs.receive()) is None:
                        break
                    with self._contained():
                        self._take_frame(*message, now_ns)
                if now_ns - self._tick_ns > TICK_NS:
                    self._tick_ns = now_ns
                    with self._contained():
                        self._tick(rigs, poses, now_ns)
                if self._draining.is_set():
                    self._send_drain(poses)
                    return
        finally:
            rigs.close()

    def _take_frame(self, parts: list[bytes], sender: str | None, now_ns: int) -> None:
        """Send a message of a rig to the lifter that owns the stream."""
        self._stats.add("messages")
        try:
            check_parts(parts, at_least=2)
            if sender is not None:
                check_sender(parts[0], sender)
            if parts[1][:1] in JSON_FIRST_BYTES and parts[1]:
                parts = self._as_msgpack(parts, now_ns)
            self._send(self.table.frame(parts, now_ns))
        except MessageError as error:
            self._stats.reject(error.reason)
            self._announcer.report("reject", error.reason, error.detail)

    def _as_msgpack(self, parts: list[bytes], now_ns: int) -> list[bytes]:
        """Return a JSON message as msgpack, numbered here: its stream may change the lifter."""
        return encode_keypoints(decode_keypoints(parts, now_ns=now_ns, numbering=self._numbering))

    def _take_answer(self, parts: list[bytes], poses: Socket, now_ns: int) -> None:
        """Pass a message of a lifter on to the consumers, unless another lifter's stands."""
        if parts[0].startswith(b"pose3d/"):
            good, sends = self.table.answer(parts, now_ns)
            self._send(sends)
            if not good:
                return
            self._feed.publish(parts)
        elif not parts[0].startswith(b"event/") or parts[0] == b"event/drain/":
            return
        poses.send_multipart(parts, zmq.NOBLOCK)

    def _tick(self, rigs: RigSockets, poses: Socket, now_ns: int) -> None:
        self._follow_changes(now_ns)
        self._send(self.table.tick(now_ns))
        self._faults.rigs_reconnected(*rigs.reconnect_silent(time.monotonic()))
        topics = list(new_subscriptions(poses))
        if any(topic.startswith(b"schema/") or b"schema/".startswith(topic) for topic in topics):
            self._announcer.want_schemas()
        outgoing = []
        if self._announcer.heartbeat_due(now_ns):
            outgoing.append(self._announcer.heartbeat(self.snapshot(), now_ns))
        outgoing += self._announcer.schemas(now_ns) + self._announcer.events(now_ns)
        for parts in outgoing:
            poses.send_multipart(parts, zmq.NOBLOCK)

    def _follow_changes(self, now_ns: int) -> None:
        """Connect to lifters that came, and give the streams of those that went to others."""
        changes = self._supervisor.changes
        while not changes.empty():
            change = changes.get()
            if change.address is not None:
                self._links.open(change.lifter, change.address)
                self._waiting[change.lifter] = change.address.epoch
                continue
            self._waiting.pop(change.lifter, None)
            self._links.close_one(change.lifter)
            if change.lifter in self.table.lifters:
                detail = f"{change.lifter} is gone; its streams move to the others"
                self._announcer.report("lifter", "lost", detail)
                self._send(self.table.remove(change.lifter, now_ns))
        for lifter in [name for name in self._waiting if self._links.attached(name)]:
            self._announcer.report("lifter", "joined", f"{lifter} takes part")
            self._send(self.table.add(lifter, self._waiting.pop(lifter), now_ns))

    def _send(self, sends: list[Send]) -> None:
        for lifter, parts in sends:
            if not self._links.send(lifter, parts):
                self._stats.add("shed")

    def _drain_lifter(self, lifter: str) -> None:
        self.table.drain(lifter)
        until_s = time.monotonic() + DRAIN_S
        while self.table.owned_by(lifter) and time.monotonic() < until_s:
            if self._done.wait(0.02):
                return
        self._supervisor.drain(lifter)

    def _reload_all(self, folder: Path | None) -> str | None:
        model = None if folder is None else str(folder)
        try:
            for lifter in sorted(self.table.lifters):
                self._supervisor.change(lifter, "reload", RELOAD_TIMEOUT_S, model=model)
        except ConfigError as error:
            return str(error)
        return None

    def _send_drain(self, poses: Socket) -> None:
        self._announcer.report("drain", "drain", "the cluster is about to stop")
        for parts in self._announcer.events(self.now_ns(), at_once=True):
            poses.send_multipart(parts, zmq.NOBLOCK)
        until_s = time.monotonic() + _POSE_LINGER_MS / 1000
        while (left_s := until_s - time.monotonic()) > 0:
            if self._links.answers.poll(round(left_s * 1000)):
                answer = received(self._links.answers)
                if answer is not None:
                    with self._contained():
                        self._take_answer(answer, poses, self.now_ns())
        poses.close(linger=_POSE_LINGER_MS)
