"""A recording through the very pipeline again, and how its poses compare with the recorded ones.

The pipeline is a function of the messages, their receive times, and what its two sides did in
which order; a recording holds all of these. So frames that were shed are shed again, people are
batched as they were, and the poses are equal: bit for bit on the same processor with the same
libraries, elsewhere as far as the backend's rounding goes.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from langpose_rt.errors import ConfigError
from langpose_rt.formats.gallery_npz import Gallery
from langpose_rt.formats.recording import Entry, Recording
from langpose_rt.geometry.camera import Camera
from langpose_rt.pipeline.model_swap import warm_up_backend
from langpose_rt.pipeline.pipeline import Pipeline
from langpose_rt.pipeline.responder import Replies
from langpose_rt.protocol.messages import Latency, PoseMessage, decode_pose, encode_pose
from langpose_rt.recording.setup import RecordedSetup
from langpose_rt.runtime.backend import Backend


@dataclass(slots=True)
class Comparison:
    """Replayed poses beside recorded ones, frame by frame.

    Attributes:
        frames, poses: Frames in both, and people in them.
        different: Frames of which anything but the latencies differs.
        missing, extra: Frames only recorded, and only replayed.
        largest_mm: Largest distance of a joint or root, where the people are the same.
        model_changed: The server changed its model; what came after was not replayed.
    """

    frames: int = 0
    poses: int = 0
    different: int = 0
    missing: int = 0
    extra: int = 0
    largest_mm: float = 0.0
    model_changed: bool = False

    @property
    def equal(self) -> bool:
        """Whether everything is the same, bit for bit."""
        return not (self.different or self.missing or self.extra)


class Replay:
    """Feeds a recording to a pipeline.

    Args:
        recording: From `serve --record`.
        setup: Of the recording, from `setup_from_facts`.
        backend: What computes; the caller closes it.
        cameras: Of the recording's camera file.
        gallery: Of the recording's action sentences.
        on_pose: Takes every replayed pose message and the time it was sent at.

    Raises:
        ConfigError: If the model does not take live input, or was not aligned with the sentences.
    """

    def __init__(
        self,
        recording: Recording,
        setup: RecordedSetup,
        backend: Backend,
        cameras: Mapping[str, Camera],
        *,
        gallery: Gallery | None = None,
        on_pose: Callable[[list[bytes], int], None] = lambda *_: None,
    ) -> None:
        self._recording, self._on_pose = recording, on_pose
        self._model_sha256 = setup.model.sha256
        self._pipeline = Pipeline(
            backend, setup.pipeline, cameras, epoch=setup.epoch, gallery=gallery
        )
        self._waiting: deque[Entry] = deque()
        self._recorded: dict[tuple[str, int], PoseMessage] = {}
        self._replayed: dict[tuple[str, int], PoseMessage] = {}
        self._heard = 0
        self.comparison = Comparison()

    def run(self, on_entry: Callable[[], None] = lambda: None) -> Comparison:
        """Replay to the end.

        Args:
            on_entry: Called after every entry of the recording.

        Raises:
            ConfigError: If the recording is damaged.
        """
        warm_up_backend(self._pipeline.model)
        for entry in self._recording.entries():
            if entry.direction == "received":
                self._waiting.append(entry)
            elif entry.direction == "journal":
                self._do(entry)
            elif entry.topic.startswith("pose3d/"):
                if decode_pose(entry.parts).model.sha256 != self._model_sha256:
                    self.comparison.model_changed = True
                    break
                self._compare(self._recorded, self._replayed, entry.parts)
            on_entry()
        self.comparison.missing = len(self._recorded)
        # a file that breaks off knows of a last step whose poses it has not
        whole = self._recording.complete and not self.comparison.model_changed
        self.comparison.extra = len(self._replayed) if whole else 0
        return self.comparison

    def _do(self, entry: Entry) -> None:
        """What the lift side did then, after the messages that had been heard then."""
        what, heard = _decision_from_parts(entry.parts)
        while self._heard < heard:
            if not self._waiting:
                raise ConfigError(f"the recording lacks message {self._heard + 1}; record again")
            message = self._waiting.popleft()
            self._pipeline.receive(message.parts, message.log_ns, message.sender)
            self._heard += 1
        pipeline = self._pipeline
        work = {"step": pipeline.step, "silent": pipeline.tick, "flush": pipeline.answer_all}
        if what not in work:
            raise ConfigError(f'the recording says "{what}", which this version does not know')
        self._take(work[what](entry.log_ns), entry.log_ns)

    def _take(self, replies: Replies, now_ns: int) -> None:
        for parts in replies:
            if parts[0].startswith(b"pose3d/"):
                self._on_pose(parts, now_ns)
                self._compare(self._replayed, self._recorded, parts)

    def _compare(
        self,
        own: dict[tuple[str, int], PoseMessage],
        others: dict[tuple[str, int], PoseMessage],
        parts: list[bytes],
    ) -> None:
        """Keep a message until its twin comes, then compare the two."""
        message = decode_pose(parts)
        twin = others.pop((message.topic, message.seq), None)
        if twin is None:
            own[message.topic, message.seq] = message
            return
        found = self.comparison
        found.frames += 1
        found.poses += len(message.ids)
        if _without_latency(message) != _without_latency(twin):
            found.different += 1
            found.largest_mm = max(found.largest_mm, _distance_mm(message, twin))


def _decision_from_parts(parts: list[bytes]) -> tuple[str, int]:
    try:
        what, heard = parts
        return what.decode(), int(heard)
    except ValueError:
        raise ConfigError("the recording's journal is damaged; record again") from None


def _without_latency(message: PoseMessage) -> list[bytes]:
    """The bytes of a message but for the latencies, which are of the moment."""
    return encode_pose(replace(message, lat=Latency()))


def _distance_mm(one: PoseMessage, other: PoseMessage) -> float:
    """Largest distance between the same joints or roots; 0 where the people are not the same."""
    if one.ids.tolist() != other.ids.tolist() or not len(one.ids):
        return 0.0
    apart = [np.linalg.norm(one.poses[..., :3] - other.poses[..., :3], axis=-1).max()]
    if one.root is not None and other.root is not None:
        apart.append(np.linalg.norm(one.root - other.root, axis=-1).max())
    return 1000.0 * float(max(apart))
