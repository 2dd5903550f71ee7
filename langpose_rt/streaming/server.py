"""The server: sockets, clock and threads around the pipeline.

    ingest   owns the SUB socket; receives, queues, and never waits for the model
    lift     owns the XPUB socket; steps the pipeline and publishes
    http     health and metrics, in `health.py`

What is done to a message is the pipeline's business; signals are the command line's.
"""

import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import zmq

from langpose_rt.camera import Camera
from langpose_rt.errors import ConfigError, LangPoseError
from langpose_rt.runtime.base import Backend
from langpose_rt.streaming.header import MAX_MESSAGE_BYTES, MAX_PARTS, MAX_UINT
from langpose_rt.streaming.health import HealthServer
from langpose_rt.streaming.live_feed import LiveFeed
from langpose_rt.streaming.options import Ports, ServerConfig
from langpose_rt.streaming.pipeline import Pipeline, Replies
from langpose_rt.streaming.snapshot import Snapshot

RECEIVE_HWM = 256
SEND_HWM = 64
"""Messages a subscriber may lag behind before losing some."""

HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 500, 1500
"""A frozen peer is cut after about two seconds."""

MAX_SUBSCRIPTION_BYTES = 4096
IDLE_MS = 100
IDLE_S = IDLE_MS / 1000
"""Longest time a thread sleeps: the grain of heartbeats and of stopping."""

DRAIN_S = 1.0
STUCK_S = 5.0
"""A thread that has not turned for longer is not alive."""

_BURST = 512
_PEER_OPTIONS = {
    zmq.LINGER: 0,
    zmq.HEARTBEAT_IVL: HEARTBEAT_MS,
    zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
    zmq.HEARTBEAT_TTL: HEARTBEAT_TIMEOUT_MS,
    zmq.TCP_KEEPALIVE: 1,
}
_OPTIONS: dict[int, dict[int, int | bytes]] = {
    # what nobody understands is rejected aloud, not filtered away, so everything is subscribed to
    zmq.SUB: {zmq.MAXMSGSIZE: MAX_MESSAGE_BYTES, zmq.RCVHWM: RECEIVE_HWM, zmq.SUBSCRIBE: b""},
    zmq.XPUB: {zmq.MAXMSGSIZE: MAX_SUBSCRIPTION_BYTES, zmq.SNDHWM: SEND_HWM, zmq.XPUB_VERBOSE: 1},
}

FAULT_LOG_S = 10.0
"""Faults are logged with a traceback at most this often; all are counted."""
Socket = zmq.Socket[bytes]

log = logging.getLogger(__name__)


class Server:
    """A pipeline behind sockets.

        server = Server(backend, ServerConfig(port=0))
        server.start()
        ...
        server.stop()

    Args:
        backend: What computes; the caller closes it after `stop`.
        config: Where to listen.
        cameras: Calibrated cameras by "rig/camera" or "camera".

    Raises:
        ConfigError: If the model does not take live input.
    """

    def __init__(
        self,
        backend: Backend,
        config: ServerConfig | None = None,
        cameras: Mapping[str, Camera] | None = None,
    ) -> None:
        self.config = config = config or ServerConfig()
        self._unix_ns = time.time_ns() - time.monotonic_ns()
        epoch = secrets.randbelow(MAX_UINT + 1)
        self.pipeline = Pipeline(backend, config.pipeline, cameras, epoch=epoch, clock=self._now_ns)
        self._context: zmq.Context[Socket] = zmq.Context()
        self._health: HealthServer | None = None
        self._feed = LiveFeed(str(backend.manifest.card.get("licence", "not stated")))
        self._threads: list[threading.Thread] = []
        self._turned_s = {"ingest": 0.0, "lift": 0.0}
        self._news = threading.Event()
        self._draining, self._stopping = threading.Event(), threading.Event()
        self._heard_all, self._done = threading.Event(), threading.Event()
        self._failure: Exception | None = None
        self._fault_logged_s = -math.inf
        self.ports = Ports(0, 0, 0)

    def start(self) -> None:
        """Warm the model up, listen, and begin to serve.

        Raises:
            ConfigError: If a port is taken or the address is not this machine's; nothing runs then.
            BackendError: If the model cannot compute.
        """
        config = self.config
        try:
            self.pipeline.warm_up()
            keypoints, port = self._listen(zmq.SUB, config.port, "--port")
            poses, pose_port = self._listen(zmq.XPUB, config.pose_port, "--output-port")
            self.ports = Ports(port, pose_port, self._listen_http())
        except LangPoseError:
            self._close()
            raise
        if not config.is_loopback:
            log.warning("%s is reachable from other machines and nothing is encrypted", config.bind)
        loops = (("ingest", self._ingest, keypoints), ("lift", self._lift, poses))
        for name, loop, socket in loops:
            self._turned_s[name] = time.monotonic()
            args = name, loop, socket
            thread = threading.Thread(target=self._serve, args=args, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        if self._health is not None:
            self._health.start()

    def drain(self) -> None:
        """Say goodbye, answer what waits for at most a second, then stop; returns at once."""
        self._draining.set()
        self._news.set()

    def stop(self) -> None:
        """Stop at once and wait for the threads; twice is harmless."""
        self._stopping.set()
        self._news.set()
        for thread in self._threads:
            thread.join()
        self._close()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of serving; False if it still serves then."""
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
        if self._failure is not None:
            raise LangPoseError(f"the server has stopped: {self._failure}") from self._failure

    def snapshot(self) -> Snapshot:
        """The server at this moment; callable from any thread."""
        return self.pipeline.snapshot(self._now_ns())

    def alive(self) -> bool:
        """Whether both threads still turn."""
        now_s = time.monotonic()
        return all(now_s - turned_s < STUCK_S for turned_s in self._turned_s.values())

    def _now_ns(self) -> int:
        """Unix time at the start plus monotonic time since: it never jumps."""
        return self._unix_ns + time.monotonic_ns()

    def _listen(self, kind: int, port: int, option: str) -> tuple[Socket, int]:
        socket = self._context.socket(kind)
        is_ipv6 = ":" in self.config.bind
        for name, value in (_PEER_OPTIONS | _OPTIONS[kind] | {zmq.IPV6: int(is_ipv6)}).items():
            socket.set(name, value)
        host = f"[{self.config.bind}]" if is_ipv6 else self.config.bind
        try:
            socket.bind(f"tcp://{host}:{port or '*'}")
        except zmq.ZMQError as error:
            socket.close()
            why = zmq.strerror(error.errno or 0).lower()
            raise ConfigError(
                f"cannot listen on {self.config.bind}:{port} ({why}); choose another {option}"
            ) from None
        return socket, int(socket.get_string(zmq.LAST_ENDPOINT).rpartition(":")[2])

    def _listen_http(self) -> int:
        if self.config.http_port is None:
            return 0
        where = self.config.bind, self.config.http_port
        self._health = HealthServer(
            *where, snapshot=self.snapshot, alive=self.alive, feed=self._feed
        )
        return self._health.port

    def _close(self) -> None:
        if self._health is not None:
            self._health.stop()
        self._context.destroy(linger=0)  # sockets that served are closed, with their own linger
        self._done.set()

    def _serve(self, name: str, loop: Callable[[Socket], None], socket: Socket) -> None:
        """A serving thread: its loop, and what happens when that fails."""
        try:
            loop(socket)
        except Exception as error:  # the thread ends here, so somebody must be told
            log.exception("the %s thread failed", name)
            self._failure = error
            self._stopping.set()
        finally:
            socket.close()
            (self._heard_all if name == "ingest" else self._done).set()

    def _ingest(self, socket: Socket) -> None:
        last_round = False
        while not (self._stopping.is_set() or last_round):
            self._turned_s["ingest"] = time.monotonic()
            last_round = self._draining.is_set()
            if not socket.poll(0 if last_round else IDLE_MS):
                continue
            for _ in range(_BURST):
                parts = _received(socket)
                if parts is None:
                    break
                with self._fault_guard():
                    if self.pipeline.receive(parts, self._now_ns()):
                        self._news.set()

    def _lift(self, socket: Socket) -> None:
        while not (self._stopping.is_set() or self._draining.is_set()):
            self._turned_s["lift"] = time.monotonic()
            if not self.pipeline.waiting:
                self._news.wait(IDLE_S)
            self._news.clear()
            self._hear_subscribers(socket)
            self._publish(socket, self.pipeline.step)
            self._publish(socket, self.pipeline.tick)
        if not self._stopping.is_set():
            self._say_goodbye(socket)

    def _say_goodbye(self, socket: Socket) -> None:
        until_s = time.monotonic() + DRAIN_S
        self._publish(socket, self.pipeline.drain)
        self._heard_all.wait(IDLE_S)
        while self.pipeline.waiting and time.monotonic() < until_s and not self._stopping.is_set():
            self._publish(socket, self.pipeline.step)
        if not self.pipeline.waiting:
            self._publish(socket, self.pipeline.flush)
        socket.close(linger=max(round(1000 * (until_s - time.monotonic())), 50))

    def _hear_subscribers(self, socket: Socket) -> None:
        """Read subscriptions, so that they do not pile up; who comes is told the schemas."""
        for _ in range(_BURST):
            try:
                message = socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            comes, wanted = message[:1] == b"\x01", message[1:]
            if comes and (wanted.startswith(b"schema/") or b"schema/".startswith(wanted)):
                self.pipeline.want_schemas()

    def _publish(self, socket: Socket, work: Callable[[int], Replies]) -> None:
        """Do a part of the work and send what it gives; a subscriber who lags loses messages."""
        with self._fault_guard():
            for parts in work(self._now_ns()):
                socket.send_multipart(parts, zmq.NOBLOCK)
                self._feed.offer(parts)

    @contextmanager
    def _fault_guard(self) -> Iterator[None]:
        """A fault of this program costs one message or one step, and is said; it ends nothing."""
        try:
            yield
        except zmq.ZMQError:
            raise
        except Exception as error:  # whatever it is, the other streams go on
            self.pipeline.fault(f"{type(error).__name__}: {error}"[:300])
            if time.monotonic() - self._fault_logged_s > FAULT_LOG_S:
                self._fault_logged_s = time.monotonic()
                log.exception("a message or a step failed")


def _received(socket: Socket) -> list[bytes] | None:
    """The parts of the next message, one more than allowed at most; None if there is none."""
    try:
        parts = [socket.recv(zmq.NOBLOCK)]
    except zmq.Again:
        return None
    while socket.get(zmq.RCVMORE):
        part = socket.recv()
        if len(parts) <= MAX_PARTS:
            parts.append(part)
    return parts
