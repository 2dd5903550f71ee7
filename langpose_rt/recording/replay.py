"""Replay a recording through the pipeline and compare the poses with the recorded ones.

The pipeline is a function of the messages, their receive times, and the order in which its receive
and lift sides ran; a recording holds all of these. So the same frames are dropped, persons are
batched alike, and the poses are equal: bit for bit on the same processor with the same libraries,
elsewhere up to the backend's rounding.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from langpose_rt.errors import ConfigError
from langpose_rt.formats.gallery_npz import Gallery
from langpose_rt.formats.recording import Entry, Recording
from langpose_rt.formats.volume_calibration import VolumeCalibration, volume_from_text
from langpose_rt.geometry.camera import Camera
from langpose_rt.pipeline.model_swap import warm_up_backend
from langpose_rt.pipeline.pipeline import RECALIBRATE, Pipeline
from langpose_rt.pipeline.responder import OutgoingMessage
from langpose_rt.protocol.messages import Latency, PoseMessage, decode_pose, encode_pose
from langpose_rt.recording.setup import RecordedSetup
from langpose_rt.runtime.backend import Backend


@dataclass(slots=True)
class Comparison:
    """Result of comparing replayed poses with recorded ones, frame by frame.

    Attributes:
        frames, poses: Frames in both, and persons in them.
        different: Frames in which anything but the latencies differs.
        missing, extra: Frames only recorded, and only replayed.
        largest_mm: Largest distance of a joint or root between the same persons.
        model_changed: The server reloaded its model; the rest was not replayed.
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
        """True if all frames are equal, bit for bit."""
        return not (self.different or self.missing or self.extra)


class Replay:
    """Feeds a recording to a pipeline.

    Args:
        recording: Recording of `serve --record`.
        setup: Setup of the recording, from `setup_from_facts`.
        backend: Backend; the caller closes it.
        cameras: Cameras of the recording's camera file.
        gallery: Gallery of the recording's action sentences.
        on_pose: Receives every replayed pose message and its send time in ns.
        volumes: Capture volumes of the recording's camera files.

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
        volumes: Sequence[VolumeCalibration] = (),
    ) -> None:
        self._recording, self._on_pose = recording, on_pose
        self._model_sha256, self._up = setup.model.sha256, setup.up or None
        self._pipeline = Pipeline(
            backend, setup.pipeline, cameras, epoch=setup.epoch, gallery=gallery, volumes=volumes
        )
        self._waiting: deque[Entry] = deque()
        self._recorded: dict[tuple[str, int], PoseMessage] = {}
        self._replayed: dict[tuple[str, int], PoseMessage] = {}
        self._received = 0
        self.comparison = Comparison()

    def run(self, on_entry: Callable[[], None] = lambda: None) -> Comparison:
        """Replay to the end, or to the first damage.

        Args:
            on_entry: Called after every entry of the recording.

        Raises:
            ConfigError: If the recording's journal is damaged.
        """
        warm_up_backend(self._pipeline.model)
        for entry in self._recording.entries():
            if self._recording.damaged_bytes:
                break  # what is lost here is in the windows of what follows
            if entry.direction == "received":
                self._waiting.append(entry)
            elif entry.direction == "journal":
                self._apply(entry)
            elif entry.topic.startswith("pose3d/"):
                if decode_pose(entry.parts).model.sha256 != self._model_sha256:
                    self.comparison.model_changed = True
                    break
                self._compare(self._recorded, self._replayed, entry.parts)
            on_entry()
        self.comparison.missing = len(self._recorded)
        # a truncated file may hold a last step without its poses
        complete = self._recording.complete and not self.comparison.model_changed
        self.comparison.extra = len(self._replayed) if complete else 0
        return self.comparison

    def _apply(self, entry: Entry) -> None:
        """Repeat an action of the lift side, after the messages received before it."""
        action, received = _action_from_parts(entry.parts)
        while self._received < received:
            if not self._waiting:
                raise ConfigError(f"the recording lacks message {self._received + 1}; record again")
            message = self._waiting.popleft()
            self._pipeline.receive(message.parts, message.log_ns, message.sender)
            self._received += 1
        pipeline = self._pipeline
        if action.startswith(RECALIBRATE):
            name, _, text = action.removeprefix(RECALIBRATE).partition("\n")
            pipeline.load_calibration(volume_from_text(name, text, self._up))
            self._compare_replies(pipeline.fuse(entry.log_ns), entry.log_ns)
            return
        actions: dict[str, Callable[[int], list[OutgoingMessage]]] = {
            "step": pipeline.step,
            "silent": pipeline.tick,
            "flush": pipeline.lift_pending,
            "fuse": pipeline.fuse,
            "fuse_all": partial(pipeline.fuse, everything=True),
        }
        if action not in actions:
            raise ConfigError(f'the recording says "{action}", which this version does not know')
        self._compare_replies(actions[action](entry.log_ns), entry.log_ns)

    def _compare_replies(self, replies: list[OutgoingMessage], now_ns: int) -> None:
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
        """Keep a message until its counterpart comes, then compare the two."""
        message = decode_pose(parts)
        other = others.pop((message.topic, message.seq), None)
        if other is None:
            own[message.topic, message.seq] = message
            return
        comparison = self.comparison
        comparison.frames += 1
        comparison.poses += len(message.ids)
        if _without_latency(message) != _without_latency(other):
            comparison.different += 1
            comparison.largest_mm = max(comparison.largest_mm, _distance_mm(message, other))


def _action_from_parts(parts: list[bytes]) -> tuple[str, int]:
    try:
        action, received = parts
        return action.decode(), int(received)
    except ValueError:
        raise ConfigError("the recording's journal is damaged; record again") from None


def _without_latency(message: PoseMessage) -> list[bytes]:
    """Encode a message without its latencies, which differ from run to run."""
    return encode_pose(replace(message, lat=Latency()))


def _distance_mm(one: PoseMessage, other: PoseMessage) -> float:
    """Return the largest distance between equal joints or roots; 0 if the persons differ."""
    if one.ids.tolist() != other.ids.tolist() or not len(one.ids):
        return 0.0
    distances = [np.linalg.norm(one.poses[..., :3] - other.poses[..., :3], axis=-1).max()]
    if one.root is not None and other.root is not None:
        distances.append(np.linalg.norm(one.root - other.root, axis=-1).max())
    return 1000.0 * float(max(distances))
