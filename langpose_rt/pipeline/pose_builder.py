"""From lifted people to the message that is published: world axes, states, flags and provenance."""

from dataclasses import dataclass

import numpy as np

from langpose_rt.config import NS_PER_S
from langpose_rt.geometry.camera import camera_to_world
from langpose_rt.pipeline.batch_lifter import LiftResult
from langpose_rt.pipeline.camera_stream import TrackedFrame
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.protocol.messages import (
    JointFlag,
    Latency,
    ModelStamp,
    PoseMessage,
    Source,
    WindowFill,
)
from langpose_rt.protocol.poses import ScaleSource, State
from langpose_rt.runtime.backend import Backend

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
