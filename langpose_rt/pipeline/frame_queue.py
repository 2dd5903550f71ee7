"""Frame queue: frames of one stream that wait to be lifted, in order, without old ones.

The ingest side of a stream: duplicates, gaps, epochs, and the longest wait. The lift side, with
people and poses, is in `camera_stream.py`.
"""

from collections import deque
from dataclasses import dataclass

from langpose_rt.config import NS_PER_S
from langpose_rt.pipeline.camera_lookup import CameraLookup, CameraModel
from langpose_rt.pipeline.capture_clock import CaptureClock, Stamp, stamp_with_sync
from langpose_rt.protocol.header import MAX_UINT
from langpose_rt.protocol.messages import Drops, KeypointMessage, RigCamera

MAX_WAITING = 64
"""Frames of one stream that may wait, whatever their age: memory stays bounded."""

EPOCHS_REMEMBERED = 8
SILENCE_NS = 2 * NS_PER_S
"""An old epoch is accepted again once the present one has been silent for this long."""


@dataclass(slots=True, eq=False)
class Frame:
    """Accepted frame of a stream.

    Attributes:
        message: What the rig sent.
        camera_model: Its camera.
        received_ns: When it arrived, by the server's clock.
        stamp: Its times.
        generation: Counts the epochs of the stream; a change removes every person.
        drop: Losses of the stream before this frame; set when it is taken.
    """

    message: KeypointMessage
    camera_model: CameraModel
    received_ns: int
    stamp: Stamp
    generation: int
    drop: Drops = Drops()


class FrameQueue:
    """Frames of one stream in order, each at most once.

    Args:
        camera_lookup: Finds the cameras of the frames.
        max_wait_ns: The oldest waiting frames are dropped once they have waited longer than this.

    Attributes:
        heard_ns: When a message last arrived, accepted or not.
        generation: Number of past epochs.
        totals: Frames accepted and lost since the stream appeared, by name; those accepted are
            lifted, shed or failed in the end.
        suspects: Findings of the plausibility checks so far: reason and sentence.
    """

    def __init__(self, camera_lookup: CameraLookup, max_wait_ns: int) -> None:
        self.heard_ns = 0
        self.generation = 0
        self.epoch: int | None = None
        self._assignment: tuple[int, int | None] | None = None
        self.clock: CaptureClock | None = None
        self.totals = dict.fromkeys(("accepted", "late", "dup", "gap", "shed", "failed"), 0)
        self.suspects: dict[str, str] = {}
        self._reported = dict(self.totals)
        self._camera_lookup, self._max_wait_ns = camera_lookup, max_wait_ns
        self._last_camera: tuple[RigCamera | None, tuple[int, int], CameraModel] | None = None
        self._seq = -1
        self._accepted_ns = 0
        self._old_epochs: deque[tuple[int, int | None]] = deque(maxlen=EPOCHS_REMEMBERED)
        self._waiting: deque[Frame] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def assumed_intrinsics(self) -> bool:
        """True if the lens of the newest frame is not known."""
        return self._last_camera is not None and self._last_camera[2].intrinsics.assumed

    def look_up_camera(self) -> None:
        """Look up the camera again at the next frame: the calibration has changed."""
        self._last_camera = None

    def push(self, message: KeypointMessage, now_ns: int) -> Frame | None:
        """Queue a frame, unless it is a duplicate, late, or of a past epoch.

        Returns:
            The queued frame, or None if it was counted and dropped.

        Raises:
            MessageError: bad_camera; order and clock are as if the message had never come.
        """
        self.heard_ns = now_ns
        camera_model = self._camera_model_of(message)
        assignment = _assignment_of(message)
        if assignment != self._assignment or self.clock is None:
            if assignment in self._old_epochs and now_ns - self._accepted_ns < SILENCE_NS:
                self.totals["late"] += 1
                return None
            clock = self._begin(message, now_ns)
        else:
            if message.seq <= self._seq:
                self.totals["dup" if message.seq == self._seq else "late"] += 1
                return None
            self.totals["gap"] = min(self.totals["gap"] + message.seq - self._seq - 1, MAX_UINT)
            clock = self.clock
        self._seq, self._accepted_ns = message.seq, now_ns
        stamp = stamp_with_sync(clock.stamp(message.t_ns, now_ns), message.sync, message.t_ns)
        frame = Frame(message, camera_model, now_ns, stamp, self.generation)
        self.totals["accepted"] += 1
        self._waiting.append(frame)
        self._drop_old(now_ns)
        return frame

    def oldest(self, now_ns: int) -> Frame | None:
        """Return the oldest frame that is still worth lifting; it stays in the queue."""
        self._drop_old(now_ns)
        return self._waiting[0] if self._waiting else None

    def shed_all(self) -> None:
        """Drop all waiting frames."""
        self.totals["shed"] += len(self._waiting)
        self._waiting.clear()

    def take(self, now_ns: int) -> Frame | None:
        """Take the oldest frame that is still worth lifting, with the losses before it."""
        self._drop_old(now_ns)
        if not self._waiting:
            return None
        frame = self._waiting.popleft()
        lost = {name: self.totals[name] - self._reported[name] for name in Drops.__struct_fields__}
        if any(lost.values()):
            self._reported = dict(self.totals)
            frame.drop = Drops(**{name: min(count, MAX_UINT) for name, count in lost.items()})
        return frame

    def fail(self, frame: Frame) -> None:
        """Count a taken frame as failed; the losses before it are reported with the next one."""
        self.totals["failed"] += 1
        for name in Drops.__struct_fields__:
            self._reported[name] -= getattr(frame.drop, name)

    def _camera_model_of(self, message: KeypointMessage) -> CameraModel:
        last = self._last_camera
        if last is None or last[0] != message.cam or last[1] != message.wh:
            found = self._camera_lookup.camera_model_of(message)
            last = self._last_camera = (message.cam, message.wh, found)
        return last[2]

    def _begin(self, message: KeypointMessage, now_ns: int) -> CaptureClock:
        if self._assignment is not None:
            self._old_epochs.append(self._assignment)
            self.generation += 1
        self.epoch, self._assignment = message.epoch, _assignment_of(message)
        self.clock = CaptureClock(message.t_ns, now_ns)
        return self.clock

    def _drop_old(self, now_ns: int) -> None:
        """Drop the oldest frames while they are too old and a newer one waits behind them."""
        waiting = self._waiting
        while len(waiting) > 1 and (
            now_ns - waiting[0].received_ns > self._max_wait_ns or len(waiting) > MAX_WAITING
        ):
            waiting.popleft()
            self.totals["shed"] += 1


def _assignment_of(message: KeypointMessage) -> tuple[int, int | None]:
    """Return the epochs of a message: the rig's, and that of a cluster's front if there is one.

    A stream that comes back to this server has frames missing that another server answered, so it
    starts again.
    """
    return message.epoch, None if message.via is None else message.via.epoch
