"""The pipeline without sockets: bytes and times in, bytes out.

    receive   a message is decoded, put in order and queued
    step      one waiting frame of every stream goes through the model, all people together
    change_model   another model takes over between two steps
    tick      heartbeats, schemas, events, and streams that have fallen silent
    flush     what still waits for its lookahead is answered with the one there is

Nothing here reads a clock or a socket. `receive` may be called from another thread than the rest;
it never waits for the model.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import BackendError
from langpose_rt.formats.gallery_npz import Gallery, check_gallery
from langpose_rt.geometry.camera import Camera
from langpose_rt.manifest import Manifest
from langpose_rt.monitoring.announcer import Announcer
from langpose_rt.monitoring.counters import Stats
from langpose_rt.monitoring.faults import FaultReporter
from langpose_rt.monitoring.snapshot import Snapshot
from langpose_rt.pipeline.batch_lifter import BatchLifter, joints_of_frames
from langpose_rt.pipeline.camera_lookup import CameraLookup
from langpose_rt.pipeline.camera_stream import Stream, TrackedFrame
from langpose_rt.pipeline.config import PipelineConfig, check_live
from langpose_rt.pipeline.frame_queue import Frame, FrameQueue
from langpose_rt.pipeline.ingest import Ingest
from langpose_rt.pipeline.journal import NoRecorder, Recorder
from langpose_rt.pipeline.model_swap import SwappableBackend
from langpose_rt.pipeline.pose_builder import PoseMessageBuilder
from langpose_rt.pipeline.responder import Replies, Responder
from langpose_rt.pipeline.slots import SlotTable
from langpose_rt.runtime.backend import Backend


class Pipeline:
    """Many streams of keypoints through one backend.

    Args:
        backend: What computes, until another is offered; the caller closes it.
        config: Options.
        cameras: Calibrated cameras by "rig/camera" or "camera".
        epoch: Random number of this start of the server.
        gallery: Sentences to compare everybody's motion with.
        clock: Reads the clock that ``now_ns`` comes from, for the latency of the stages; without it
            no time passes within a call.
        recorder: Takes down what is heard and decided.

    Attributes:
        recorder: Where what is heard and decided is taken down.
        model: What answers now; another one may be let rehearse here.
        incidents: What went wrong.

    Raises:
        ConfigError: If the model does not take live input.
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
    ) -> None:
        self.config = config = config or PipelineConfig()
        self._gallery = gallery
        self.check_model(backend.manifest)
        self.stats, self.model, self._now_ns = Stats(), SwappableBackend(backend), 0
        self.recorder = recorder or NoRecorder()
        self._clock = clock or (lambda: self._now_ns)
        refined = config.ray_refinement > 0
        self._slot_table = SlotTable(self.model, config.smoothing, gallery, refined=refined)
        self._lifter = BatchLifter(
            self.model,
            self._slot_table,
            config.person_height_m,
            self._clock,
            refinement=config.ray_refinement,
        )
        self._builder = PoseMessageBuilder(self.model, config, epoch)
        self._announcer = Announcer(config.name, epoch)
        self.faults = FaultReporter(self.stats, self._announcer)
        self._responder = Responder(
            self.model,
            self._slot_table,
            self._lifter,
            self._builder,
            self.faults,
            lookahead_ns=config.lookahead_ns,
            clock=self._clock,
        )
        self._ingest = Ingest(
            config,
            CameraLookup(cameras or {}, config.fov_deg),
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
        """Whether a frame waits to be lifted."""
        return self._ingest.waiting

    @property
    def state(self) -> str:
        """One of starting, ready, degraded, draining."""
        if self._draining:
            return "draining"
        if self._started_ns is None:
            return "starting"
        return "degraded" if self.faults.failures else "ready"

    def check_model(self, manifest: Manifest) -> None:
        """That a model can serve what is asked of this pipeline.

        Raises:
            ConfigError: If it cannot.
        """
        check_live(manifest, self.config)
        if self._gallery is not None:
            check_gallery(self._gallery, manifest)

    def receive(self, parts: Sequence[bytes], now_ns: int, sender: str | None = None) -> bool:
        """Take one message from the network; a bad one is counted, reported and forgotten.

        Args:
            parts: Its parts as they came.
            now_ns: When it arrived.
            sender: What its key is named after; None where there are no keys.

        Returns:
            Whether a frame was queued.
        """
        self.recorder.received(parts, now_ns, sender)
        return self._ingest.receive(parts, now_ns, sender)

    def step(self, now_ns: int) -> Replies:
        """Lift one waiting frame of every stream that has one.

        Returns:
            Pose messages of all frames whose lookahead is complete.
        """
        self._now_ns = now_ns
        if not (taken := self._ingest.take(now_ns)):
            return []
        taken_ns = self._clock()
        replies: Replies = []
        tracked_frames = []
        joints = joints_of_frames([frame for _, frame in taken])
        for (stream, frame), frame_joints in zip(taken, joints, strict=True):
            replies += self._part(stream, frame)
            ids = stream.assign_ids(frame, frame_joints)
            tracked_frames.append(stream.seat(frame, frame_joints, ids, taken_ns))
        self.faults.slots_refused(self._slot_table.refused, self.model.slots)
        replies += self._remember(tracked_frames)
        done_ns = self._clock()
        for _, frame in taken:
            self.stats.latency.add(done_ns - frame.received_ns)
        return replies

    def tick(self, now_ns: int) -> Replies:
        """What is due at this moment: silent streams, events, a heartbeat, schemas."""
        self._now_ns = now_ns
        if self._started_ns is None:
            self._started_ns = now_ns
        replies: Replies = []
        quiet, gone = self._ingest.silent(now_ns)
        for stream in quiet + gone:
            replies += self._responder.all_of([stream])
            if stream in gone:
                self.faults.guard_reset(stream.leave)
        return replies + self._notices(now_ns)

    def promote_shadow(self, now_ns: int) -> Replies:
        """Let the model that rehearses take over, if it can; what waits is answered before."""
        self._now_ns, failed = now_ns, bool(self.faults.failures)
        ready_to_promote = self.model.ready_to_promote(
            self._slot_table.pushes, now_ns, at_once=failed
        )
        if ready_to_promote is None:
            return []
        replies = self.answer_all(now_ns)
        if self.model.promote(ready_to_promote):
            np.minimum(
                self._slot_table.pushes, ready_to_promote.filled, out=self._slot_table.pushes
            )
            self._builder.answer_with(self.model)
            self.faults.model_changed(self._builder.model)
        return replies

    def flush(self, now_ns: int) -> Replies:
        """Answer everything that waits: in the queues, and for its lookahead."""
        replies: Replies = []
        while self.waiting:
            replies += self.step(now_ns)
        return replies + self.answer_all(now_ns)

    def answer_all(self, now_ns: int) -> Replies:
        """Answer what waits for its lookahead with the one there is."""
        self._now_ns = now_ns
        return self._responder.all_of(self._ingest.all(now_ns))

    def drain(self, now_ns: int) -> Replies:
        """Say that the server is about to stop."""
        self._draining = True
        self._announcer.report("drain", "drain", "the server is about to stop")
        return self._announcer.events(now_ns, at_once=True)

    def want_schemas(self) -> None:
        """Say the schemas at the next tick: somebody has just come."""
        self._announcer.want_schemas()

    def snapshot(self, now_ns: int) -> Snapshot:
        """Everything that can be said of the server at this moment; callable from any thread."""
        return Snapshot.of(
            self.stats,
            [stream.snapshot(now_ns) for stream in self._ingest.streams],
            server=self.config.name,
            state=self.state,
            uptime_s=0.0 if self._started_ns is None else (now_ns - self._started_ns) / NS_PER_S,
            model=self._builder.model,
            persons=self._slot_table.seated,
            slots=self.model.slots,
            fps=self._responder.rate.per_s,
        )

    def _notices(self, now_ns: int) -> Replies:
        """What the server says of itself; a fault of it must not cost the poses of the tick."""
        said: Replies = []
        try:
            if self._announcer.heartbeat_due(now_ns):
                self._responder.rate.look(now_ns)
                said.append(self._announcer.heartbeat(self.snapshot(now_ns), now_ns))
            said += self._announcer.schemas(now_ns) + self._announcer.events(now_ns)
        except Exception as error:  # noqa: BLE001 - counted and reported, whatever it is
            self.faults.fault(f"{type(error).__name__}: {error}"[:300])
        return said

    def _new_stream(self, rig: str, camera: str, frame_queue: FrameQueue) -> Stream:
        first_seq = self.stats.messages - 1  # never below a number this topic has had before
        return Stream(
            rig,
            camera,
            frame_queue,
            self._slot_table,
            track_timeout_s=self.config.track_timeout_s,
            first_seq=first_seq,
            coast_ns=self.config.coast_ns,
        )

    def _part(self, stream: Stream, frame: Frame) -> Replies:
        """See off who has left by the time of this frame: all of an old epoch, or the long gone."""
        replies: Replies = []
        if stream.generation != frame.generation:
            replies += self._responder.all_of([stream])
            self.faults.guard_reset(lambda: stream.restart(frame.generation))
        if gone := stream.gone(frame.stamp.time_ns):
            replies += self._responder.before_leaving(stream, gone)
            self.faults.guard_reset(lambda: stream.leave(gone))
        return replies

    def _remember(self, tracked_frames: list[TrackedFrame]) -> Replies:
        """Frames into the window, and answers for those that have their lookahead then."""
        try:
            failed = self._lifter.remember(tracked_frames)
        except BackendError as error:
            self._responder.give_up(tracked_frames, error)
            return []
        self.faults.people_reset(failed)
        for tracked in tracked_frames:
            tracked.stream.newest_ns = tracked.time_ns
            tracked.stream.unanswered.append(tracked)
        return self._responder.due([tracked.stream for tracked in tracked_frames])
