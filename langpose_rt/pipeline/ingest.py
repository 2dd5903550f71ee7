"""Ingest: decode messages from the network, put them in order and queue them per stream.

Called by the thread that owns the socket; it never waits for the model. The lift side takes its
frames here, so the state that both share is behind one lock, held for microseconds.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import count

from langpose_rt.errors import MessageError
from langpose_rt.geometry.camera import Camera
from langpose_rt.monitoring.announcer import Announcer
from langpose_rt.monitoring.counters import Stats
from langpose_rt.pipeline.camera_lookup import CameraLookup
from langpose_rt.pipeline.camera_stream import Stream
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.frame_queue import Frame, FrameQueue
from langpose_rt.pipeline.stream_plausibility import StreamPlausibility
from langpose_rt.pipeline.turns import Turns, Waiting
from langpose_rt.protocol.header import check_sender
from langpose_rt.protocol.messages import (
    JsonNumbering,
    KeypointMessage,
    decode_keypoints,
    topic_names,
)

Journal = Callable[[str, int, int], None]

TOO_MANY_STREAMS = "too_many_streams"
"""Reject reason of a valid message from one camera more than the server takes."""


class Ingest:
    """All streams and the frames that wait in them.

    Args:
        config: Options.
        camera_lookup: Finds the cameras of the frames.
        epoch: Of the server; numbers JSON messages that have no number.
        stats: Counts messages and losses.
        announcer: Reports rejected messages, clock steps and unknown lenses.
        new_stream: Makes the lift side of a stream from its name, its frame queue and the number of
            its first pose message. That is the number of messages received before: a topic that
            comes back never has a number twice, as it had at most one pose per message.
        journal: Records, under the lock, decisions of the lift side: name, now_ns, messages
            received so far. The same messages and decisions in the same order give the same poses.
    """

    def __init__(
        self,
        config: PipelineConfig,
        camera_lookup: CameraLookup,
        epoch: int,
        *,
        stats: Stats,
        announcer: Announcer,
        new_stream: Callable[[str, str, FrameQueue, int], Stream],
        journal: Journal = lambda *_: None,
    ) -> None:
        self._config, self._camera_lookup = config, camera_lookup
        self._sizes, self._numbering = camera_lookup.sizes, JsonNumbering(epoch)
        self._stats, self._announcer, self._new_stream = stats, announcer, new_stream
        self._journal, self._received = journal, 0
        self._streams: dict[tuple[str, str], Stream] = {}
        self._reported_assumed: set[Stream] = set()
        self._reported_axes: set[Stream] = set()
        self._plausibility: dict[Stream, StreamPlausibility] = {}
        self._checked = count()
        self._leaving: list[Stream] = []
        self._turns = Turns()
        self._lock = threading.Lock()

    @property
    def streams(self) -> list[Stream]:
        """Current streams."""
        with self._lock:
            return list(self._streams.values())

    @property
    def image_sizes(self) -> Mapping[str, tuple[int, int]]:
        """Image sizes by camera, for messages without one."""
        return self._sizes

    @property
    def waiting(self) -> bool:
        """True if a frame waits to be lifted."""
        with self._lock:
            return any(len(stream.frame_queue) for stream in self._streams.values())

    def receive(self, parts: Sequence[bytes], now_ns: int, sender: str | None = None) -> bool:
        """Take one message; a bad one is counted, reported and dropped.

        Args:
            parts: As they arrived.
            now_ns: Time of arrival.
            sender: Name of the sender's key; None where there are no keys.

        Returns:
            True if a frame was queued.
        """
        received = self._stats.add("messages")
        try:
            if sender is not None and sender != self._config.front:
                check_sender(parts[0], sender)
            message = decode_keypoints(
                parts, now_ns=now_ns, numbering=self._numbering, sizes=self._sizes
            )
            with self._lock:
                self._received = received
                stream = self._stream_of(message, received - 1)
                self._check(stream, message, now_ns)
                generation = stream.frame_queue.generation
                frame = stream.frame_queue.push(message, now_ns)
        except MessageError as error:
            self._stats.reject(error.reason)
            self._announcer.report("reject", error.reason, error.detail, _subject_of(parts))
            return False
        self._count(message, frame, generation)
        if stream.frame_queue.assumed_intrinsics and stream not in self._reported_assumed:
            self._reported_assumed.add(stream)
            assumed = self._camera_lookup.assumption(message.camera)
            self._announcer.report("camera", "assumed_intrinsics", assumed, message.topic)
        if frame is not None and self._config.axes == "world":
            self._check_axes(stream, frame)
        return frame is not None

    def take(self, now_ns: int) -> list[tuple[Stream, Frame]]:
        """Take the oldest frame of every stream that has one worth lifting, in turn if need be."""
        with self._lock:
            ready = [
                (stream, oldest)
                for stream in self._streams.values()
                if (oldest := stream.frame_queue.oldest(now_ns)) is not None
            ]
            if not ready:
                return []
            waiting = [
                Waiting(stream.rig, len(oldest.message.ids), oldest.received_ns)
                for stream, oldest in ready
            ]
            chosen = [ready[index][0] for index in self._turns.choose(waiting, now_ns)]
            found = [(stream, stream.frame_queue.take(now_ns)) for stream in chosen]
            taken = [(stream, frame) for stream, frame in found if frame is not None]
            if taken:
                self._journal("step", now_ns, self._received)
        return taken

    def silent(self, now_ns: int) -> tuple[list[Stream], list[Stream]]:
        """Return quiet streams with pending frames, and streams that are removed now.

        The former have nothing to encode and were not heard for a while; the latter were silent
        for longer and have no pending frames, and the caller removes their people.
        """
        with self._lock:
            idle = [stream for stream in self._streams.values() if not len(stream.frame_queue)]
            before_ns = now_ns - min(self._config.track_timeout_ns, self._config.idle_ns)
            quiet = [s for s in idle if s.frame_queue.heard_ns < before_ns and s.pending]
            removed_ns = now_ns - self._config.idle_ns
            gone = [s for s in idle if s.frame_queue.heard_ns < removed_ns and not s.pending]
            for stream in gone:
                self._forget(stream)
            quiet += [s for s in self._leaving if s.pending]
            removed = gone + [s for s in self._leaving if not s.pending]
            self._leaving = [s for s in self._leaving if s.pending]
            for stream in removed:
                self._stats.keep(stream.frame_queue.totals)
            if quiet or removed:
                self._journal("silent", now_ns, self._received)
        return quiet, removed

    def all(self, now_ns: int) -> list[Stream]:
        """Return all streams, and record that their pending frames are about to be lifted."""
        with self._lock:
            self._journal("flush", now_ns, self._received)
            return [*self._streams.values(), *self._leaving]

    def decide(self, what: str, now_ns: int) -> None:
        """Record a decision of the lift side."""
        with self._lock:
            self._journal(what, now_ns, self._received)

    def use_cameras(self, cameras: Mapping[str, Camera], decision: str, now_ns: int) -> None:
        """Take the cameras of the next frames from another calibration, and record that."""
        with self._lock:
            self._journal(decision, now_ns, self._received)
            self._camera_lookup.use(cameras)
            self._sizes = self._camera_lookup.sizes
            for stream in self._streams.values():
                stream.frame_queue.look_up_camera()
            for plausibility in self._plausibility.values():
                plausibility.look_up_camera()

    def _check(self, stream: Stream, message: KeypointMessage, now_ns: int) -> None:
        """Refuse an implausible message, and report every finding once per stream."""
        plausibility = self._plausibility.get(stream)
        if plausibility is None:
            plausibility = StreamPlausibility(next(self._checked), self._camera_lookup.gravity_of)
            self._plausibility[stream] = plausibility
        stream.frame_queue.heard_ns = now_ns  # a stream that is refused stays known
        try:
            plausibility.check(message, now_ns)
        finally:
            for found in plausibility.new_findings():
                stream.frame_queue.suspects |= {found.reason: found.detail}
                self._announcer.report("suspect", found.reason, found.detail, message.topic)

    def _check_axes(self, stream: Stream, frame: Frame) -> None:
        """Report, once per stream, that its poses cannot be in world axes."""
        if frame.camera_model.T_world_camera is None and stream not in self._reported_axes:
            self._reported_axes.add(stream)
            detail = self._camera_lookup.no_world(frame.message.camera)
            self._announcer.report("camera", "no_world_axes", detail, frame.message.topic)

    def _stream_of(self, message: KeypointMessage, received_before: int) -> Stream:
        name = (message.rig, message.camera)
        stream = self._streams.get(name)
        if stream is None:
            most = self._config.max_streams
            if len(self._streams) >= most and not self._displaced_for(message.rig):
                raise MessageError(
                    TOO_MANY_STREAMS,
                    f"the server takes {most} cameras at once, evenly over rigs, and rig "
                    f"{message.rig} has its share; raise --max-streams",
                )
            frame_queue = FrameQueue(self._camera_lookup, self._config.max_wait_ns)
            stream = self._streams[name] = self._new_stream(*name, frame_queue, received_before)
        return stream

    def _displaced_for(self, rig: str) -> bool:
        """Displace a stream of the rig that has the most, if that has more than this one will."""
        counts = Counter(stream.rig for stream in self._streams.values())
        richest, most = counts.most_common(1)[0]
        if most <= counts[rig] + 1:
            return False
        own = [stream for stream in self._streams.values() if stream.rig == richest]
        stream = min(own, key=lambda stream: stream.frame_queue.heard_ns)
        stream.frame_queue.shed_all()
        self._forget(stream)
        self._leaving.append(stream)
        return True

    def _forget(self, stream: Stream) -> None:
        del self._streams[stream.rig, stream.camera]
        self._reported_assumed.discard(stream)
        self._reported_axes.discard(stream)
        self._plausibility.pop(stream, None)

    def _count(self, message: KeypointMessage, frame: Frame | None, generation: int) -> None:
        stats = self._stats
        for name in ("people_dropped", "clipped", "duplicate_ids"):
            if count := getattr(message, name):
                stats.add(name, count)
        if frame is None:
            return
        if frame.generation != generation:
            stats.add("restarts", frame.generation - generation)
        if frame.stamp.stepped:
            stats.add("clock_steps")
            detail = (
                "the capture clock stepped back or far ahead; the receive clock timed this frame"
            )
            self._announcer.report("clock", "clock_step", detail, message.topic)


def _subject_of(parts: Sequence[bytes]) -> str:
    """Return the topic of a message from the network if it is valid, else an empty string."""
    try:
        rig, camera = topic_names(parts[0], "kp2d", 2)
    except (MessageError, IndexError):
        return ""
    return f"kp2d/{rig}/{camera}/"
