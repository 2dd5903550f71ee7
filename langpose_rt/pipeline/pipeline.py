"""Pipeline: keypoint messages and times in, pose messages out; without sockets.

    receive         decode a message, put it in order and queue it
    step            take one waiting frame of every stream through the model, all people together
    fuse            bring the cameras of the capture volumes together, after their poses are out
    promote_shadow  switch to another model between two steps
    tick            publish heartbeats, schemas and events, and remove silent streams
    flush           lift all frames that wait, with the lookahead there is

Nothing here reads a clock or a socket. `receive` may be called from another thread than the rest;
it never waits for the model.
"""

import queue
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import BackendError, ConfigError, MessageError
from langpose_rt.formats.gallery_npz import Gallery, check_gallery
from langpose_rt.formats.volume_calibration import VolumeCalibration, cameras_of_volumes
from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.geometry.camera import Camera
from langpose_rt.manifest import Manifest
from langpose_rt.monitoring.announcer import Announcer
from langpose_rt.monitoring.counters import Stats
from langpose_rt.monitoring.faults import FaultReporter
from langpose_rt.monitoring.snapshot import ServerState, Snapshot
from langpose_rt.pipeline.batch_lifter import BatchLifter, joints_of_frames
from langpose_rt.pipeline.camera_lookup import CameraLookup
from langpose_rt.pipeline.camera_stream import Stream, TrackedFrame
from langpose_rt.pipeline.config import PipelineConfig, check_live
from langpose_rt.pipeline.frame_queue import Frame, FrameQueue
from langpose_rt.pipeline.ingest import Ingest
from langpose_rt.pipeline.journal import NoRecorder, Recorder
from langpose_rt.pipeline.model_swap import SwappableBackend
from langpose_rt.pipeline.responder import OutgoingMessage, PoseMessageBuilder, Responder
from langpose_rt.pipeline.slots import SlotTable
from langpose_rt.pipeline.volumes.routing import CaptureVolumes
from langpose_rt.protocol.header import RejectReason
from langpose_rt.runtime.backend import Backend

RECALIBRATE = "calibration "
"""Beginning of the decision to use another calibration; its name and text follow."""


class Pipeline:
    """Many streams of keypoints through one backend.

    Args:
        backend: Runs the network until another one is promoted; the caller closes it.
        config: Options.
        cameras: Calibrated cameras by "rig/camera" or "camera".
        epoch: Random number of this start of the server.
        gallery: Sentences to compare motion embeddings with.
        clock: Reads the clock that ``now_ns`` comes from, for the latency of the stages; without it
            no time passes within a call.
        recorder: Records messages and decisions.
        volumes: Calibrations of the capture volumes, which are fused if the options say so.

    Attributes:
        recorder: Records messages and decisions.
        model: Active model; a shadow model is started here.
        faults: Counts and reports faults.

    Raises:
        ConfigError: If the model does not take live input, or the cameras of a volume cannot be
            fused.
    """

    def __init__(
        self,
        backend: Backend,
        config: PipelineConfig | None = None,
        cameras: Mapping[str, Camera] | None = None,
        *,
        epoch: int = 0,
        gallery: Gallery | None = None,
        clock: Callable[[], int] | None = None,
        recorder: Recorder | None = None,
        volumes: Sequence[VolumeCalibration] = (),
    ) -> None:
        self.config = config = config or PipelineConfig()
        self._gallery, self._clock = gallery, clock
        self.check_model(backend.manifest)
        self.stats, self.model = Stats(), SwappableBackend(backend)
        self.recorder = recorder or NoRecorder()
        refined = config.ray_refinement > 0
        self._slot_table = SlotTable(
            self.model,
            config.smoothing,
            gallery,
            refined=refined,
            expire_ns=config.track_timeout_ns,
        )
        self._lifter = BatchLifter(
            self.model,
            self._slot_table,
            config.person_height_m,
            refinement=config.ray_refinement,
            steadiness=config.bone_steadiness,
        )
        self._builder = PoseMessageBuilder(self.model, config, epoch)
        self._announcer = Announcer(config.name, epoch)
        self.faults = FaultReporter(self.stats, self._announcer)
        self._calibrations = {volume.name: volume for volume in volumes}
        self._next_calibrations: queue.SimpleQueue[VolumeCalibration] = queue.SimpleQueue()
        self._volumes = CaptureVolumes(volumes if config.fuse else (), config, self.faults, epoch)
        self._responder = Responder(
            self.model,
            self._slot_table,
            self._lifter,
            self._builder,
            self.faults,
            lookahead_ns=config.lookahead_ns,
            on_lifted=self._volumes.collect if config.fuse and volumes else None,
        )
        self._ingest = Ingest(
            config,
            CameraLookup(cameras or {}, config.fov_deg, config.gravity_camera, config.image_size),
            epoch,
            stats=self.stats,
            announcer=self._announcer,
            new_stream=self._new_stream,
            journal=self.recorder.decided,
        )
        self._started_ns: int | None = None
        self._draining = False

    @property
    def waiting(self) -> bool:
        """True if a frame waits to be lifted."""
        return self._ingest.waiting

    @property
    def image_sizes(self) -> Mapping[str, tuple[int, int]]:
        """Image sizes by camera, for messages without one."""
        return self._ingest.image_sizes

    @property
    def state(self) -> str:
        """State of the server: starting, ready, degraded or draining."""
        if self._draining:
            return "draining"
        if self._started_ns is None:
            return "starting"
        return "degraded" if self.faults.failures else "ready"

    def check_model(self, manifest: Manifest) -> None:
        """Check that a model fits the options of this pipeline.

        Raises:
            ConfigError: If it does not.
        """
        check_live(manifest, self.config)
        if self._gallery is not None:
            check_gallery(self._gallery, manifest)

    def receive(self, parts: Sequence[bytes], now_ns: int, sender: str | None = None) -> bool:
        """Take one message from the network; a bad one is counted, reported and dropped.

        Args:
            parts: Its parts as they came.
            now_ns: When it arrived.
            sender: Name of the sender's key; None where there are no keys.

        Returns:
            True if a frame was queued.
        """
        self.recorder.received(parts, now_ns, sender)
        return self._ingest.receive(parts, now_ns, sender)

    def step(self, now_ns: int) -> list[OutgoingMessage]:
        """Take one waiting frame of every stream through the model.

        Returns:
            Pose messages of all frames whose lookahead is complete.
        """
        if not (taken := self._ingest.take(now_ns)):
            return []
        clock = self._clock_at(now_ns)
        taken_ns = clock()
        outgoing: list[OutgoingMessage] = []
        all_ids = []
        joints = joints_of_frames([frame for _, frame in taken])
        for (stream, frame), frame_joints in zip(taken, joints, strict=True):
            outgoing += self._remove_expired(stream, frame, clock)
            trusted = stream.trusts_ids
            all_ids.append(stream.assign_ids(frame, frame_joints))
            if trusted and not stream.trusts_ids:
                self.faults.ids_replaced(stream.topic)
        streams = [stream for stream, _ in taken]
        demands = [
            stream.demand(ids, own)
            for stream, ids, own in zip(streams, all_ids, joints, strict=True)
        ]
        self.faults.guard_reset(lambda: self._slot_table.make_room(demands, now_ns))
        tracked_frames = [
            stream.track(frame, own, ids, taken_ns)
            for (stream, frame), ids, own in zip(taken, all_ids, joints, strict=True)
        ]
        if self._slot_table.refused:
            refused = self._slot_table.take_refused()
            by_topic = {stream.topic: refused[stream] for stream in streams if stream in refused}
            self.faults.slots_refused(by_topic, self.model.slots)
        outgoing += self._lift(tracked_frames, clock)
        done_ns = clock()
        for _, frame in taken:
            self.stats.latency.add(done_ns - frame.received_ns)
        return outgoing

    def fuse(self, now_ns: int, *, everything: bool = False) -> list[OutgoingMessage]:
        """Fuse the instants of the capture volumes that are due, or all that wait.

        Called after the messages of a step are out, so that they never wait for it.
        """
        while not self._next_calibrations.empty():
            self._recalibrate(self._next_calibrations.get(), now_ns)
        if not (everything or self._volumes.is_due(now_ns)):
            return []
        self._ingest.decide("fuse_all" if everything else "fuse", now_ns)
        clock = self._clock_at(now_ns)
        return self._volumes.fuse(now_ns, clock, self._builder.model, everything=everything)

    def calibration_named(self, name: str) -> VolumeCalibration:
        """Return the calibration in use of that name, or the only one there is.

        Raises:
            ConfigError: If there is none.
        """
        found = self._calibrations.get(name)
        if found is None and len(self._calibrations) == 1:
            found = next(iter(self._calibrations.values()))
        if found is None:
            known = ", ".join(self._calibrations) or "none; serve with --cameras"
            raise ConfigError(f'there is no calibration "{name}" to replace; there is {known}')
        return found

    def load_calibration(self, calibration: VolumeCalibration) -> None:
        """Replace the calibration of that name by the next `fuse`; from any thread.

        Everybody keeps the id.

        Raises:
            ConfigError: If there is none, its cameras cannot be fused, or another one has a camera
                of it.
        """
        self.calibration_named(calibration.name)
        if self.config.fuse:
            CameraArray.of_cameras(calibration.cameras)
        for other in self._calibrations.values():
            shared = sorted(calibration.cameras.keys() & other.cameras.keys())
            if other.name != calibration.name and shared:
                raise ConfigError(f'camera "{shared[0]}" is in the volume "{other.name}" already')
        self._next_calibrations.put(calibration)

    def _recalibrate(self, calibration: VolumeCalibration, now_ns: int) -> None:
        self._calibrations[calibration.name] = calibration
        volumes = list(self._calibrations.values())
        decision = f"{RECALIBRATE}{calibration.name}\n{calibration.text}"
        self._ingest.use_cameras(cameras_of_volumes(volumes), decision, now_ns)
        self._volumes.recalibrate(calibration)

    def next_due_ns(self) -> int | None:
        """Return when `fuse` is due next, if no frame comes before; None if nothing waits."""
        return self._volumes.next_due_ns()

    def tick(self, now_ns: int) -> list[OutgoingMessage]:
        """Remove silent streams; return the events, heartbeats and schemas due by now."""
        if self._started_ns is None:
            self._started_ns = now_ns
        outgoing: list[OutgoingMessage] = []
        quiet, removed = self._ingest.silent(now_ns)
        for stream in quiet:
            outgoing += self._responder.all([stream], self._clock_at(now_ns))
        for stream in removed:
            self.faults.guard_reset(stream.remove)
        return outgoing + self._status_messages(now_ns)

    def promote_shadow(self, now_ns: int) -> list[OutgoingMessage]:
        """Switch to the shadow model if it is ready; pending frames are lifted before."""
        failed = bool(self.faults.failures)
        shadow = self.model.ready_to_promote(self._slot_table.pushes, now_ns, at_once=failed)
        if shadow is None:
            return []
        outgoing = self.lift_pending(now_ns)
        if self.model.promote(shadow):
            np.minimum(self._slot_table.pushes, shadow.filled, out=self._slot_table.pushes)
            self._builder.use_backend(self.model)
            self.faults.model_changed(self._builder.model)
        return outgoing

    def flush(self, now_ns: int) -> list[OutgoingMessage]:
        """Lift everything that waits: in the queues, and for its lookahead."""
        outgoing: list[OutgoingMessage] = []
        while self.waiting:
            outgoing += self.step(now_ns)
        return outgoing + self.lift_pending(now_ns)

    def lift_pending(self, now_ns: int) -> list[OutgoingMessage]:
        """Lift all frames that wait for their lookahead, with the one there is."""
        return self._responder.all(self._ingest.all(now_ns), self._clock_at(now_ns))

    def drain(self, now_ns: int) -> list[OutgoingMessage]:
        """Announce that the server is about to stop."""
        self._draining = True
        self._announcer.report("drain", "drain", "the server is about to stop")
        return self._announcer.events(now_ns, at_once=True)

    def want_schemas(self) -> None:
        """Publish the schemas at the next tick, for a new subscriber."""
        self._announcer.want_schemas()

    def snapshot(self, now_ns: int) -> Snapshot:
        """Return the state of the server at this moment; callable from any thread."""
        state = ServerState(
            server=self.config.name,
            state=self.state,
            uptime_s=0.0 if self._started_ns is None else (now_ns - self._started_ns) / NS_PER_S,
            model=self._builder.model,
            persons=self._slot_table.in_use,
            slots=self.model.slots,
            fps=self._responder.rate.per_s,
        )
        streams = [stream.snapshot(now_ns) for stream in self._ingest.streams]
        return Snapshot.of(state, self.stats, streams, self._volumes.snapshots(now_ns))

    def _clock_at(self, now_ns: int) -> Callable[[], int]:
        """Return the clock, or one that stands at the time of the call."""
        return self._clock or (lambda: now_ns)

    def _status_messages(self, now_ns: int) -> list[OutgoingMessage]:
        """Return heartbeat, schemas and events; a fault here costs no pose of the tick."""
        outgoing: list[OutgoingMessage] = []
        try:
            if self._announcer.heartbeat_due(now_ns):
                self._responder.rate.update(now_ns)
                outgoing.append(self._announcer.heartbeat(self.snapshot(now_ns), now_ns))
            outgoing += self._announcer.schemas(now_ns) + self._announcer.events(now_ns)
        except Exception as error:  # noqa: BLE001 - counted and reported, whatever it is
            self.faults.fault(f"{type(error).__name__}: {error}"[:300])
        return outgoing

    def _new_stream(self, rig: str, camera: str, frame_queue: FrameQueue, first_seq: int) -> Stream:
        if self._volumes.is_reserved(rig, camera):
            raise MessageError(
                RejectReason.BAD_TOPIC.value,
                f"{rig}/{camera} is the name of the capture volume's own poses; rename the rig",
            )
        return Stream(
            rig,
            camera,
            frame_queue,
            self._slot_table,
            track_timeout_s=self.config.track_timeout_s,
            first_seq=first_seq,
            coast_ns=self.config.coast_ns,
        )

    def _remove_expired(
        self, stream: Stream, frame: Frame, clock: Callable[[], int]
    ) -> list[OutgoingMessage]:
        """Remove people before a frame: all of an old epoch, or those past the track timeout.

        Returns:
            Messages of the pending frames they are in.
        """
        outgoing: list[OutgoingMessage] = []
        if stream.generation != frame.generation:
            outgoing += self._responder.all([stream], clock)
            self.faults.guard_reset(lambda: stream.restart(frame.generation))
        if expired := stream.expired(frame.stamp.time_ns):
            outgoing += self._responder.all_with(stream, expired, clock)
            self.faults.guard_reset(lambda: stream.remove(expired))
        return outgoing

    def _lift(
        self, tracked_frames: list[TrackedFrame], clock: Callable[[], int]
    ) -> list[OutgoingMessage]:
        """Encode frames into the window, and lift those that have their lookahead then."""
        try:
            failed = self._lifter.encode(tracked_frames, clock)
        except BackendError as error:
            self._responder.fail(tracked_frames, error)
            return []
        self.faults.people_reset(failed)
        for tracked in tracked_frames:
            tracked.stream.newest_ns = tracked.time_ns
            tracked.stream.pending.append(tracked)
        return self._responder.ready([tracked.stream for tracked in tracked_frames], clock)
