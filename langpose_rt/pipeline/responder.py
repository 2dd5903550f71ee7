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
from langpose_rt.pipeline.camera_stream import Stream, TrackedFrame
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
from langpose_rt.protocol.poses import ScaleSource, State
from langpose_rt.runtime.backend import Backend

Replies = list[list[bytes]]
"""Encoded messages to publish, in order."""

WARMUP_NS = NS_PER_S // 2
"""A person with a shorter history than this is still warming up."""

_MEASURED, _IMPUTED, _PREDICTED = (
    np.uint8(flag.value) for flag in (JointFlag.MEASURED, JointFlag.IMPUTED, JointFlag.PREDICTED)
)


def stamp_of_backend(backend: Backend) -> ModelStamp:
    """What messages say of the model that answers."""
    return ModelStamp(
        id=backend.manifest.name,
        sha256=backend.manifest.sha256,
        precision=backend.precision,
        backend=backend.name,
    )


class PoseMessageBuilder:
    """Makes the messages of one server.

    Args:
        backend: What computes the poses.
        config: Options.
        epoch: The server's.
    """

    def __init__(self, backend: Backend, config: PipelineConfig, epoch: int) -> None:
        self._epoch, self._config = epoch, config
        self.answer_with(backend)

    def answer_with(self, backend: Backend) -> None:
        """Say from now on that this backend answers."""
        self.model, self._frames = stamp_of_backend(backend), backend.frames

    def messages(self, lifted: LiftResult, now_ns: int) -> list[PoseMessage]:
        """The next message of every stream that was lifted.

        Args:
            lifted: Poses; changed in place for world axes.
            now_ns: The moment of sending by the clock of the latencies.
        """
        people = lifted.people
        facts = _Facts(
            ids=people["id"].copy(),
            flags=_flags(people["scores"] > 0),
            states=self._states(people),
            filled=np.minimum(people["pushes"], self._frames).tolist(),
        )
        starts = [0, *lifted.ends[:-1]]
        return [
            self._message(lifted, tracked, slice(start, end), facts, now_ns)
            for tracked, start, end in zip(lifted.tracked_frames, starts, lifted.ends, strict=True)
        ]

    def _message(
        self, lifted: LiftResult, tracked: TrackedFrame, rows: slice, facts: "_Facts", now_ns: int
    ) -> PoseMessage:
        frame, stream = tracked.frame, tracked.stream
        sent, stamp = frame.message, frame.stamp
        poses, root = lifted.poses[rows], lifted.root[rows]
        T_world_camera = frame.camera_model.T_world_camera
        in_world = self._config.axes == "world" and T_world_camera is not None
        if in_world and T_world_camera is not None:
            poses[..., :3] = poses[..., :3] @ T_world_camera[:3, :3].T
            root = camera_to_world(root, T_world_camera)
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
            flags=facts.flags[rows],
            ids=facts.ids[rows],
            state=facts.states[rows],
            root=root,
            scale_src=self._scale_source(sent.person_height_m),
            frame="world" if in_world else "camera",
            win=WindowFill(
                frames=self._frames,
                filled=tuple(facts.filled[rows]),
                lookahead_ns=stream.newest_ns - stamp.time_ns,
            ),
            drop=frame.drop,
            actions=None if lifted.actions is None else lifted.actions[rows],
        )

    def _scale_source(self, sent_height_m: float | None) -> ScaleSource:
        if sent_height_m is not None:
            return "given"
        return "prior" if self._config.person_height_m is None else "height"

    def _states(self, people: np.ndarray) -> tuple[State, ...]:
        facts = (people[name].tolist() for name in ("held", "history_ns", "unseen_ns"))
        return tuple(self._state(*one) for one in zip(*facts, strict=True))

    def _state(self, held: bool, history_ns: int, unseen_ns: int) -> State:
        if held:
            return "held"
        if unseen_ns > 0:
            return "lost" if unseen_ns > self._config.track_timeout_ns else "predicted"
        return "warmup" if history_ns < WARMUP_NS else "ok"


@dataclass(slots=True, eq=False)
class _Facts:
    """What messages say of every person of a step, one entry each."""

    ids: np.ndarray
    flags: np.ndarray
    states: tuple[State, ...]
    filled: list[int]


def _flags(measured: np.ndarray) -> np.ndarray:
    """Measured where the joint was seen, imputed where others were, predicted where none was."""
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
    """Answers the frames of all streams, each stream's oldest first.

    Args:
        model: What computes.
        persons: State of its slots.
        lifting: Lifts people.
        emitter: Makes the messages.
        incidents: Where it is counted what fails.
        lookahead_ns: An answer waits for this much of the future.
        clock: Reads the time in ns for the latency of the stages.

    Attributes:
        rate: Poses per second.
    """

    def __init__(
        self,
        model: Backend,
        persons: SlotTable,
        lifter: BatchLifter,
        builder: PoseMessageBuilder,
        faults: FaultReporter,
        *,
        lookahead_ns: int,
        clock: Callable[[], int],
    ) -> None:
        self._model, self._slot_table, self._lifter = model, persons, lifter
        self._builder, self._faults, self._clock = builder, faults, clock
        self._lookahead_ns = lookahead_ns
        self.rate = Rate(0)

    def due(self, streams: Sequence[Stream]) -> Replies:
        """Answers to the frames that have their lookahead."""
        return self._answer_while(streams, self._has_its_lookahead)

    def all_of(self, streams: Sequence[Stream]) -> Replies:
        """Answers to everything that waits, with the lookahead there is."""
        return self._answer_while(streams, lambda _: True)

    def before_leaving(self, stream: Stream, ids: list[int]) -> Replies:
        """Answers to the frames of a stream up to the last one with somebody who leaves."""
        return self._answer_while([stream], lambda _: stream.awaits(ids))

    def give_up(self, tracked_frames: Sequence[TrackedFrame], error: BackendError) -> None:
        """The backend failed: these frames are lost and their people begin anew."""
        self._faults.backend_failed(error)
        for tracked in tracked_frames:
            tracked.stream.frame_queue.fail(tracked.frame)
            slots = np.array(tracked.slots, np.int32)
            self._faults.guard_reset(partial(self._slot_table.reset, slots))

    def _has_its_lookahead(self, oldest: TrackedFrame) -> bool:
        """Whether a frame is old enough, or the window would lose it with the next one."""
        if oldest.time_ns <= oldest.stream.newest_ns - self._lookahead_ns:
            return True
        return self._lifter.frames_back(oldest) >= self._model.frames - 1

    def _answer_while(
        self, streams: Sequence[Stream], due: Callable[[TrackedFrame], bool]
    ) -> Replies:
        """Answer the oldest frame of each stream as long as it is due, all streams' together."""
        replies: Replies = []
        while oldest := [
            stream.unanswered.popleft()
            for stream in streams
            if stream.unanswered and due(stream.unanswered[0])
        ]:
            try:
                lifted = self._lifter.answer(oldest)
            except BackendError as error:
                self.give_up(oldest, error)
                continue
            self._faults.failures = 0
            self._faults.people_reset(lifted.failed)
            for message in self._builder.messages(lifted, self._clock()):
                replies += self._encoded(message)
        return replies

    def _encoded(self, message: PoseMessage) -> Replies:
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
