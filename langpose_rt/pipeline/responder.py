"""Publish the frames that are in the window: lift those with lookahead, build and encode messages.

Which frames enter the window, and which people expire, is decided in `pipeline.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import BackendError, MessageError
from langpose_rt.geometry.camera import camera_to_world
from langpose_rt.monitoring.counters import Rate
from langpose_rt.monitoring.faults import FaultReporter
from langpose_rt.pipeline.batch_lifter import BatchLifter, LiftResult
from langpose_rt.pipeline.camera_stream import PersonBatch, Stream, TrackedFrame
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.slots import SlotTable
from langpose_rt.protocol.messages import (
    JointFlag,
    Latency,
    ModelStamp,
    PoseMessage,
    Source,
    WindowFill,
    encode_pose,
)
from langpose_rt.protocol.poses import Frame, ScaleSource, State
from langpose_rt.runtime.backend import Backend

OutgoingMessage = list[bytes]
"""Parts of an encoded message to publish."""

WARMUP_NS = NS_PER_S // 2
"""A person with a shorter history than this is still warming up."""

_MEASURED, _IMPUTED, _PREDICTED = (
    np.uint8(flag.value) for flag in (JointFlag.MEASURED, JointFlag.IMPUTED, JointFlag.PREDICTED)
)


def stamp_of_backend(backend: Backend) -> ModelStamp:
    """Return the model entry of pose messages for a backend."""
    return ModelStamp(
        id=backend.manifest.name,
        sha256=backend.manifest.sha256,
        precision=backend.precision,
        backend=backend.name,
    )


class PoseMessageBuilder:
    """Builds pose messages: axes, states, flags and provenance.

    Args:
        backend: Computes the poses.
        config: Options.
        epoch: Random number of this start of the server.

    Attributes:
        model: Model entry of the messages.
    """

    def __init__(self, backend: Backend, config: PipelineConfig, epoch: int) -> None:
        self._epoch, self._config = epoch, config
        self.use_backend(backend)

    def use_backend(self, backend: Backend) -> None:
        """Name this backend in the messages from now on."""
        self.model, self._frames = stamp_of_backend(backend), backend.frames

    def messages(self, lifted: LiftResult, now_ns: int) -> list[PoseMessage]:
        """Build the next message of every stream that was lifted.

        Args:
            lifted: Poses; changed in place for world axes.
            now_ns: Time of sending by the clock of the latencies.
        """
        people = lifted.people
        columns = _Columns(
            ids=people.id,
            flags=_flags(people.scores > 0),
            states=self._states(people),
            filled=np.minimum(people.pushes, self._frames).tolist(),
        )
        starts = [0, *lifted.ends[:-1]]
        return [
            self._message(lifted, tracked, slice(start, end), columns, now_ns)
            for tracked, start, end in zip(lifted.tracked_frames, starts, lifted.ends, strict=True)
        ]

    def _message(
        self,
        lifted: LiftResult,
        tracked: TrackedFrame,
        rows: slice,
        columns: "_Columns",
        now_ns: int,
    ) -> PoseMessage:
        frame, stream = tracked.frame, tracked.stream
        sent, stamp = frame.message, frame.stamp
        poses, root = lifted.poses[rows], lifted.root[rows]
        camera_model, estimated = frame.camera_model, None
        if camera_model.level_src == "none":
            if stream.level.is_due(stamp.time_ns):
                seen = (columns.flags[rows] & _MEASURED).astype(bool)
                stream.level.look(poses[..., :3], seen, stamp.time_ns)
            estimated = stream.level.gravity
        T_world_camera = camera_model.T_world_camera
        in_world: bool = self._config.axes == "world" and T_world_camera is not None
        if in_world and T_world_camera is not None:
            poses[..., :3] = poses[..., :3] @ T_world_camera[:3, :3].T
            root = camera_to_world(root, T_world_camera)
        axes: Frame = "world" if in_world else "camera"
        stream.seq += 1
        return PoseMessage(
            rig=stream.rig,
            camera=stream.camera,
            epoch=self._epoch,
            seq=stream.seq - 1,
            src=Source(epoch=sent.epoch, seq=sent.seq, t=sent.t_ns),
            t_srv=stamp.t_srv_ns,
            t_unc_ns=stamp.t_unc_ns,
            lat=_latency(lifted, tracked, now_ns),
            model=self.model,
            poses=poses,
            flags=columns.flags[rows],
            ids=columns.ids[rows],
            state=columns.states[rows],
            root=root,
            scale_src=self._scale_source(sent.person_height_m, lifted.people.scale_given[rows]),
            frame=axes,
            gravity=camera_model.gravity_in(axes, estimated),
            level_src=camera_model.level_src if estimated is None else "estimated",
            win=WindowFill(
                frames=self._frames,
                filled=tuple(columns.filled[rows]),
                lookahead_ns=stream.newest_ns - stamp.time_ns,
            ),
            drop=frame.drop,
            names=stream.names_of(tracked.ids),
            via=None if sent.via is None else sent.via.epoch,
            actions=None if lifted.actions is None else lifted.actions[rows],
        )

    def _scale_source(self, sent_height_m: float | None, given: np.ndarray) -> ScaleSource:
        if sent_height_m is not None or (len(given) and given.all()):
            return "given"
        return "prior" if self._config.person_height_m is None else "height"

    def _states(self, people: PersonBatch) -> tuple[State, ...]:
        columns = people.coasting.tolist(), people.history_ns.tolist(), people.unseen_ns.tolist()
        return tuple(self._state(*person) for person in zip(*columns, strict=True))

    def _state(self, coasting: bool, history_ns: int, unseen_ns: int) -> State:
        if coasting:
            return "held"
        if unseen_ns > 0:
            return "lost" if unseen_ns > self._config.track_timeout_ns else "predicted"
        return "warmup" if history_ns < WARMUP_NS else "ok"


@dataclass(slots=True, eq=False)
class _Columns:
    """Columns of the messages of a step, one entry per person."""

    ids: np.ndarray
    flags: np.ndarray
    states: tuple[State, ...]
    filled: list[int]


def _flags(measured: np.ndarray) -> np.ndarray:
    """Return measured for a visible joint, imputed beside visible ones, predicted without any."""
    otherwise = np.where(measured.any(-1), _IMPUTED, _PREDICTED)
    return np.where(measured, _MEASURED, otherwise[:, None])


def _latency(lifted: LiftResult, tracked: TrackedFrame, now_ns: int) -> Latency:
    return Latency(
        rx=tracked.taken_ns - tracked.frame.received_ns,
        win=tracked.windowed_ns - tracked.taken_ns,
        lift=lifted.lifted_ns - tracked.windowed_ns,
        post=lifted.done_ns - lifted.lifted_ns,
        tx=now_ns - lifted.done_ns,
    )


class Responder:
    """Lifts pending frames and encodes their messages, each stream's oldest first.

    Args:
        model: Runs the network.
        slot_table: State of its slots.
        lifter: Lifts people.
        builder: Builds the messages.
        faults: Counts and reports failures.
        lookahead_ns: Newer frames must reach so far beyond a frame before it is lifted.
        on_lifted: Receives the poses of every step while they are in camera axes; copies what it
            keeps.

    Attributes:
        rate: Poses per second.
    """

    def __init__(
        self,
        model: Backend,
        slot_table: SlotTable,
        lifter: BatchLifter,
        builder: PoseMessageBuilder,
        faults: FaultReporter,
        *,
        lookahead_ns: int,
        on_lifted: Callable[[LiftResult], None] | None = None,
    ) -> None:
        self._model, self._slot_table, self._lifter = model, slot_table, lifter
        self._on_lifted = on_lifted
        self._builder, self._faults = builder, faults
        self._lookahead_ns = lookahead_ns
        self.rate = Rate(0)

    def ready(self, streams: Sequence[Stream], clock: Callable[[], int]) -> list[OutgoingMessage]:
        """Return the messages of pending frames that have their lookahead."""
        return self._lift_while(streams, self._has_lookahead, clock)

    def all(self, streams: Sequence[Stream], clock: Callable[[], int]) -> list[OutgoingMessage]:
        """Return the messages of all pending frames, with the lookahead there is."""
        return self._lift_while(streams, lambda _: True, clock)

    def all_with(
        self, stream: Stream, ids: list[int], clock: Callable[[], int]
    ) -> list[OutgoingMessage]:
        """Return the messages of a stream's frames up to the last one with any of these people."""
        return self._lift_while([stream], lambda _: stream.awaits(ids), clock)

    def fail(self, tracked_frames: Sequence[TrackedFrame], error: BackendError) -> None:
        """Count frames lost to a failed backend, and reset the slots of their people."""
        self._faults.backend_failed(error)
        for tracked in tracked_frames:
            tracked.stream.frame_queue.fail(tracked.frame)
            slots = np.array(tracked.slots, np.int32)
            self._faults.guard_reset(partial(self._slot_table.reset, slots))

    def _has_lookahead(self, oldest: TrackedFrame) -> bool:
        """Return True if a frame is old enough, or would leave the window with the next one."""
        if oldest.time_ns <= oldest.stream.newest_ns - self._lookahead_ns:
            return True
        return self._lifter.frames_back(oldest) >= self._model.frames - 1

    def _lift_while(
        self,
        streams: Sequence[Stream],
        condition: Callable[[TrackedFrame], bool],
        clock: Callable[[], int],
    ) -> list[OutgoingMessage]:
        """Lift the oldest frame of each stream while the condition holds, all streams together."""
        outgoing: list[OutgoingMessage] = []
        while oldest := [
            stream.pending.popleft()
            for stream in streams
            if stream.pending and condition(stream.pending[0])
        ]:
            try:
                lifted = self._lifter.lift(oldest, clock)
            except BackendError as error:
                self.fail(oldest, error)
                continue
            self._faults.failures = 0
            self._faults.people_reset(lifted.failed)
            if self._on_lifted is not None:
                self._on_lifted(lifted)
            for message in self._builder.messages(lifted, clock()):
                outgoing += self._encoded(message)
        return outgoing

    def _encoded(self, message: PoseMessage) -> list[OutgoingMessage]:
        """Return the message as bytes; none, but a fault report, if it cannot be encoded."""
        stats = self._faults.stats
        stats.add("frames")
        try:
            parts = encode_pose(message)
        except MessageError as error:
            self._faults.unsendable(error, message.topic)
            return []
        stats.add("poses", len(message.ids))
        self.rate.add(len(message.ids))
        return [parts]
