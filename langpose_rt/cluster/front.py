"""Front of a cluster: the one address of rigs and consumers, and lifters behind it.

    front           owns the sockets of rigs, consumers and lifters; passes frames and poses on
    supervisor      asks the lifters all the time
    reload          changes the model of one lifter after the other

The other threads are those of every server, see `langpose_rt.server.socket_server`. It keeps no
state but the frames of the last moments: another front can take its place. Which frame goes where
is decided in `routing.py`.
"""

import queue
import threading
import time
from collections.abc import Callable, Collection
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
from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.monitoring.announcer import Announcer
from langpose_rt.monitoring.counters import NS_PER_MS, Stats
from langpose_rt.monitoring.faults import FaultReporter
from langpose_rt.protocol.control import LoadedCameras
from langpose_rt.protocol.header import check_parts, check_sender
from langpose_rt.protocol.keypoints import encode_keypoints
from langpose_rt.protocol.keypoints_json import JSON_FIRST_BYTES, JsonNumbering
from langpose_rt.protocol.messages import decode_keypoints
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.control_api import ControlApi
from langpose_rt.server.socket_server import SocketServer
from langpose_rt.server.sockets import RigSockets, received, schemas_wanted
from langpose_rt.server.viewer.feed import ViewerFeed

IDLE_MS = 50
TICK_NS = 10_000_000
BUSY_MS = 10
"""Longest sleep while streams are handed over, and longest time for frames between two looks at
the answers."""

RELOAD_TIMEOUT_S, CAMERAS_TIMEOUT_S = 120.0, 4.0
DRAIN_NS = 10 * NS_PER_S
"""A lifter that is drained ends after this even if it still owns a stream."""

_BURST = 128
_POSE_LINGER_MS = 200


class Front(SocketServer):
    """Sockets of rigs and consumers, and the loop between them and the lifters.

    Args:
        placement: Starts the lifters; `stop` ends them.
        config: Options of the cluster.
        server: Where to listen, and the keys of rigs and consumers.
        lifter_keys: Folder of the keys between the front and the lifters, or None.

    Attributes:
        table: Which lifter owns which stream; changed by the front's own thread only.

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
        server = server or ServerConfig()
        super().__init__(server, name="front", last_thread="front", feed=ViewerFeed())
        keys = FrontKeys.from_folder(lifter_keys)
        self._placement = placement
        self.table = RoutingTable(config.groups)
        self._supervisor = Supervisor(
            self._context, placement, keys, lost_after_ns=config.lost_after_ns
        )
        self._links = LifterLinks(self._context, keys)
        self._stats, self._announcer = Stats(), Announcer(server.pipeline.name, self.epoch)
        self._reporter = FaultReporter(self._stats, self._announcer)
        self._numbering = JsonNumbering(self.epoch)
        self._waiting: dict[str, int] = {}
        self._to_drain: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._leaving: dict[str, int] = {}
        self._tick_ns, self._started_ns = 0, self.now_ns()
        self._reloading = threading.Lock()

    def wait_for_lifters(self, count: int, timeout_s: float) -> bool:
        """Wait until so many lifters take part; return False after the timeout."""
        until_s = time.monotonic() + timeout_s
        while len(self.table.lifters) < count:
            if time.monotonic() > until_s or self._done.wait(0.02):
                return False
        return True

    def drain_lifter(self, lifter: str) -> bool:
        """Hand the streams of a lifter over and let it end; return False if it is not known."""
        known = lifter in self.table.lifters
        if known:
            self._to_drain.put(lifter)
        return known

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

    @property
    def _faults(self) -> FaultReporter:
        return self._reporter

    def _serve(self, rigs: RigSockets, poses: Socket) -> None:
        self._threads.start("supervisor", self._supervise, self._supervisor)
        self._threads.start("front", partial(self._pass_on, rigs), poses)

    def _control_api(self) -> ControlApi:
        return FrontControl(self)

    def _close(self) -> None:
        self._placement.stop()
        self._links.close()
        super()._close()

    def _state(self, described: Collection[str]) -> str:
        """Return the state, given the lifters whose own snapshots are known."""
        if self._draining.is_set():
            return "draining"
        live = {lifter for lifter in self.table.lifters if lifter in described}
        if not live:
            return "starting"
        return "ready" if set(self._placement.addresses()) <= live else "degraded"

    def _supervise(self, supervisor: Supervisor) -> None:
        while self._serving:
            self._threads.progressed("supervisor")
            with self._contained():
                supervisor.poll(IDLE_MS, self.now_ns)

    def _pass_on(self, rigs: RigSockets, poses: Socket) -> None:
        links = self._links
        poller = zmq.Poller()
        poller.register(links.answers, zmq.POLLIN)
        for socket in rigs.sockets:
            poller.register(socket, zmq.POLLIN)
        try:
            while not self._stopping.is_set():
                self._threads.progressed("front")
                ready = dict(poller.poll(BUSY_MS if self.table.replaying else IDLE_MS))
                now_ns = self.now_ns()
                if links.answers in ready:
                    self._take_answers(poses, now_ns)
                self._take_frames(rigs, now_ns)
                if now_ns - self._tick_ns > TICK_NS:
                    self._tick_ns = now_ns
                    with self._contained():
                        self._tick(rigs, poses, now_ns)
                if self._draining.is_set():
                    self._send_drain(poses)
                    return
        finally:
            rigs.close()

    def _take_answers(self, poses: Socket, now_ns: int) -> None:
        for _ in range(_BURST):
            if (answer := received(self._links.answers)) is None:
                return
            with self._contained():
                self._take_answer(answer, poses, now_ns)

    def _take_frames(self, rigs: RigSockets, now_ns: int) -> None:
        """Take what has come from rigs; they share the time that JSON and bad messages take.

        Any other frame is passed on unread, which costs as much for every rig: its time is shared
        at the lifter.
        """
        rigs.wait(0)
        until_ns = time.monotonic_ns() + BUSY_MS * NS_PER_MS
        for _ in range(_BURST):
            steady_ns = time.monotonic_ns()
            if steady_ns > until_ns or (message := rigs.receive(steady_ns)) is None:
                return
            parts, sender = message
            taken, cpu_ns = False, time.thread_time_ns()
            with self._contained():
                taken = self._take_frame(parts, sender, now_ns)
            if not taken or _is_json(parts):
                rigs.processed(time.thread_time_ns() - cpu_ns, refused=not taken)

    def _take_frame(self, parts: list[bytes], sender: str | None, now_ns: int) -> bool:
        """Send a message to the lifter that owns the stream; return False if it is refused."""
        self._stats.add("messages")
        try:
            check_parts(parts, at_least=2)
            if sender is not None:
                check_sender(parts[0], sender)
            if _is_json(parts):
                parts = self._as_msgpack(parts, now_ns)
            self._send_on(self.table.frame(parts, now_ns))
            self._feed.received(parts)
        except MessageError as error:
            self._stats.reject(error.reason)
            self._announcer.report("reject", error.reason, error.detail)
            return False
        return True

    def _as_msgpack(self, parts: list[bytes], now_ns: int) -> list[bytes]:
        """Return a JSON message as msgpack, numbered here: its stream may change the lifter."""
        return encode_keypoints(decode_keypoints(parts, now_ns=now_ns, numbering=self._numbering))

    def _take_answer(self, parts: list[bytes], poses: Socket, now_ns: int) -> None:
        """Pass a message of a lifter on to the consumers, unless another lifter's stands."""
        if parts[0].startswith(b"pose3d/"):
            good, sends = self.table.answer(parts, now_ns)
            self._send_on(sends)
            if not good:
                return
            self._feed.publish(parts, now_ns)
        elif not parts[0].startswith(b"event/") or parts[0] == b"event/drain/":
            return
        poses.send_multipart(parts, zmq.NOBLOCK)

    def _tick(self, rigs: RigSockets, poses: Socket, now_ns: int) -> None:
        self._follow_changes(now_ns)
        self._follow_drains(now_ns)
        self._send_on(self.table.tick(now_ns))
        self._faults.rigs_reconnected(*rigs.reconnect_silent(time.monotonic()))
        if schemas_wanted(poses, self._subscriptions):
            self._announcer.want_schemas()
        outgoing = []
        if self._announcer.heartbeat_due(now_ns):
            outgoing.append(self._announcer.heartbeat(self.snapshot(), now_ns))
        outgoing += self._announcer.schemas(now_ns) + self._announcer.events(now_ns)
        for parts in outgoing:
            poses.send_multipart(parts, zmq.NOBLOCK)

    def _follow_changes(self, now_ns: int) -> None:
        """Connect to lifters that came, and give the streams of those that went to others."""
        for lifter in self._links.broken():
            self._give_up(lifter, "lost its connection; its streams move to the others", now_ns)
            self._waiting[lifter] = self._links.epoch(lifter)
        changes = self._supervisor.changes
        while not changes.empty():
            change = changes.get()
            if change.address is not None:
                self._links.open(change.lifter, change.address)
                self._waiting[change.lifter] = change.address.epoch
                continue
            self._waiting.pop(change.lifter, None)
            self._links.close_one(change.lifter)
            self._give_up(change.lifter, "is gone; its streams move to the others", now_ns)
        for lifter in [name for name in self._waiting if self._links.attached(name)]:
            self._announcer.report("lifter", "joined", f"{lifter} takes part")
            self._send_on(self.table.add(lifter, self._waiting.pop(lifter), now_ns))

    def _give_up(self, lifter: str, why: str, now_ns: int) -> None:
        """Give the streams of a lifter to others."""
        if lifter in self.table.lifters:
            self._announcer.report("lifter", "lost", f"{lifter} {why}")
            self._send_on(self.table.remove(lifter, now_ns))

    def _send_on(self, sends: list[Send]) -> None:
        for lifter, parts in sends:
            if not self._links.send(lifter, parts):
                self._stats.add("shed")

    def _follow_drains(self, now_ns: int) -> None:
        """Begin the drains that were asked for, and let lifters end that own nothing any more."""
        while not self._to_drain.empty():
            lifter = self._to_drain.get()
            self.table.drain(lifter)
            self._leaving.setdefault(lifter, now_ns + DRAIN_NS)
        for lifter, until_ns in list(self._leaving.items()):
            if now_ns > until_ns or not self.table.owned_by(lifter):
                del self._leaving[lifter]
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


def _is_json(parts: list[bytes]) -> bool:
    return parts[1][:1] in JSON_FIRST_BYTES and bool(parts[1])
