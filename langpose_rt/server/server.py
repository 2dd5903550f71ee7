"""Server: the sockets and threads around the pipeline.

    ingest          owns the SUB sockets; receives, queues, and never waits for the model
    lift            owns the XPUB socket; steps the pipeline and publishes
    reload          opens another model, in `reload.py`

The other threads are in `socket_server.py`: what asks for control also reopens a failing model.
Sockets are opened in `sockets.py`, messages are processed in `langpose_rt.pipeline`.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import LangPoseError
from langpose_rt.formats.gallery_npz import Gallery
from langpose_rt.formats.volume_calibration import VolumeCalibration, volumes_from_toml
from langpose_rt.geometry.camera import Camera
from langpose_rt.monitoring.counters import NS_PER_MS
from langpose_rt.monitoring.faults import FaultReporter
from langpose_rt.monitoring.snapshot import Snapshot
from langpose_rt.pipeline.journal import Recorder
from langpose_rt.pipeline.model_swap import warm_up_backend
from langpose_rt.pipeline.pipeline import Pipeline
from langpose_rt.pipeline.responder import OutgoingMessage
from langpose_rt.protocol.control import LoadedCameras
from langpose_rt.runtime.backend import Backend
from langpose_rt.server.config import ServerConfig
from langpose_rt.server.control_api import ControlApi
from langpose_rt.server.reload import OpenModel, Reloader
from langpose_rt.server.socket_server import IDLE_MS, IDLE_S, SocketServer
from langpose_rt.server.sockets import RigSockets, Socket, schemas_wanted, send_all
from langpose_rt.server.viewer.feed import ViewerFeed
from langpose_rt.server.warm_up import warm_up_pipeline

DRAIN_S = 1.0
_BURST = 512


class Server(SocketServer):
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
        pipeline: Makes poses of keypoints.

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
        config = config or ServerConfig()
        feed = ViewerFeed(
            lambda: self.pipeline.model.manifest.licence, lambda: self.pipeline.image_sizes
        )
        super().__init__(config, name="server", last_thread="lift", feed=feed)
        self._up = up
        self.pipeline = Pipeline(
            backend, config.pipeline, cameras, epoch=self.epoch, gallery=gallery,
            clock=self.now_ns, recorder=recorder, volumes=volumes,
        )  # fmt: skip
        self._reloader = Reloader(self.pipeline, open_model)
        self._wake_lift = threading.Event()
        self._ingest_ended = self._threads.ended["ingest"]

    def start(self) -> None:
        """Warm up the model, open the ports and start the threads.

        Raises:
            ConfigError: If a port is taken or the address is not this machine's; nothing runs then.
            BackendError: If the model cannot compute.
        """
        try:
            warm_up_backend(self.pipeline.model)
            warm_up_pipeline(self.pipeline.model, self.config.pipeline)
        except LangPoseError:
            self._close()
            raise
        super().start()

    def drain(self) -> None:
        """Announce the end, lift what waits for at most a second, then stop; return at once."""
        super().drain()
        self._wake_lift.set()

    def stop(self) -> None:
        """Stop at once and wait for the threads; may be called twice, and by several threads."""
        self._stopping.set()
        self._wake_lift.set()
        super().stop()

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

    @property
    def _faults(self) -> FaultReporter:
        return self.pipeline.faults

    def _serve(self, rigs: RigSockets, poses: Socket) -> None:
        keys = self.keyring.public_keys if self.keyring else {}
        self.pipeline.recorder.begin(self.epoch, self.pipeline.faults, keys)
        self._threads.start("ingest", self._ingest, rigs)
        self._threads.start("lift", self._lift, poses)

    def _control_api(self) -> ControlApi:
        return ControlApi(self)

    def _look_after_model(self) -> None:
        self._reloader.retry_if_failing(time.monotonic())

    def _end_changes(self) -> None:
        self._reloader.stop()

    def _close(self) -> None:
        self.pipeline.recorder.close()
        self._reloader.stop()
        if not self._context.closed:
            self.pipeline.model.close()
        super()._close()

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
                        self._feed.received(parts)
                rigs.processed(time.thread_time_ns() - cpu_ns, refused=not queued)

    def _lift(self, socket: Socket) -> None:
        while not (self._stopping.is_set() or self._draining.is_set()):
            self._threads.progressed("lift")
            if not self.pipeline.waiting:
                self._wake_lift.wait(self._idle_s())
            self._wake_lift.clear()
            if schemas_wanted(socket, self._subscriptions):
                self.pipeline.want_schemas()
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

    def _publish(self, socket: Socket, work: Callable[[int], list[OutgoingMessage]]) -> None:
        """Send the results of a part of the work to subscribers, viewer and recorder."""
        with self._contained():
            for parts in send_all(socket, work(self.now_ns())):
                now_ns = self.now_ns()
                self._feed.publish(parts, now_ns)
                self.pipeline.recorder.published(parts, now_ns)
