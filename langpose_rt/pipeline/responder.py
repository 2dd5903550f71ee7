"""Answers to frames that are in the window: which are due, their messages, and what may fail.

Which frames go into the window, and when somebody has left, is `pipeline.py`'s business.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from langpose_rt.errors import BackendError, MessageError
from langpose_rt.monitoring.counters import Rate
from langpose_rt.monitoring.faults import FaultReporter
from langpose_rt.pipeline.batch_lifter import BatchLifter
from langpose_rt.pipeline.camera_stream import Stream, TrackedFrame
from langpose_rt.pipeline.pose_builder import PoseMessageBuilder
from langpose_rt.pipeline.slots import SlotTable
from langpose_rt.protocol.messages import PoseMessage, encode_pose
from langpose_rt.runtime.backend import Backend

Replies = list[list[bytes]]
"""Encoded messages to publish, in order."""


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
        stats.frames += 1
        try:
            parts = encode_pose(message)
        except MessageError as error:
            self._faults.unsendable(error, message.topic)
            return []
        stats.poses += len(message.ids)
        self.rate.add(len(message.ids))
        return [parts]
