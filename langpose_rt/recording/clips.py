"""Collect the keypoint messages of several cameras to one clip a camera, on one clock."""

from dataclasses import dataclass, field
from itertools import count

import numpy as np

from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.formats.clip import Clip
from langpose_rt.formats.recording import Recording
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.geometry.skeleton import BONES, SKELETONS
from langpose_rt.pipeline.capture_clock import CaptureClock, stamp_with_sync
from langpose_rt.protocol.messages import JsonNumbering, KeypointMessage, decode_keypoints


@dataclass(slots=True)
class _Stream:
    """Frames of one camera so far; lengths_m has the bone lengths of a person, by number."""

    first: KeypointMessage
    clock: CaptureClock
    epoch: int
    seq: int = -1
    t_ns: list[int] = field(default_factory=list)
    people: list[np.ndarray] = field(default_factory=list)
    ids: list[list[int]] = field(default_factory=list)
    numbers: dict[tuple[int, int], int] = field(default_factory=dict)
    lengths_m: dict[int, np.ndarray] = field(default_factory=dict)


class ClipCollector:
    """Frames of any number of cameras, in the order of their arrival."""

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {}

    def add(self, message: KeypointMessage, now_ns: int) -> bool:
        """Take a frame; one that is late, a duplicate or out of order in time is left out.

        Args:
            message: The frame.
            now_ns: When it came, by the clock on which the clips shall be.

        Returns:
            Whether the frame was taken.

        Raises:
            ConfigError: If a camera changes its keypoint format or image size.
        """
        name = f"{message.rig}/{message.camera}"
        if name not in self._streams:
            clock = CaptureClock(message.t_ns, now_ns)
            self._streams[name] = _Stream(message, clock, message.epoch)
        stream = self._streams[name]
        if (message.skeleton, message.wh) != (stream.first.skeleton, stream.first.wh):
            raise ConfigError(
                f"camera {name} changes from {_kind(stream.first)} to {_kind(message)}; expected "
                "one keypoint format and image size"
            )
        if message.epoch != stream.epoch:
            stream.epoch, stream.clock = message.epoch, CaptureClock(message.t_ns, now_ns)
        elif message.seq <= stream.seq:
            return False
        stream.seq = message.seq
        stamp = stamp_with_sync(
            stream.clock.stamp(message.t_ns, now_ns), message.sync, message.t_ns
        )
        if stream.t_ns and stamp.t_srv_ns <= stream.t_ns[-1]:
            return False
        stream.t_ns.append(stamp.t_srv_ns)
        stream.people.append(message.keypoints)
        own = [_number(stream, message.epoch, given) for given in message.ids.tolist()]
        stream.ids.append(own)
        if message.bones_m is not None:
            known = np.isfinite(message.bones_m).all(-1)
            stream.lengths_m |= {own[row]: message.bones_m[row] for row in np.flatnonzero(known)}
        return True

    @property
    def frames(self) -> int:
        """Frames taken so far, of all cameras."""
        return sum(len(stream.t_ns) for stream in self._streams.values())

    def clips(self) -> dict[str, Clip]:
        """Return the clip of every camera that sent a frame, by "rig/camera"."""
        return {name: _clip(stream) for name, stream in self._streams.items()}


def clips_from_recording(recording: Recording) -> dict[str, Clip]:
    """Return the keypoints that a server received, one clip a camera, by "rig/camera".

    Capture times are on the clock of the server. Messages that it could not read are left out.

    Raises:
        ConfigError: If the recording is damaged, holds no keypoints, or a camera changes its
            keypoint format or image size.
    """
    collector, numbering = ClipCollector(), JsonNumbering(epoch=0)
    for entry in recording.entries():
        if entry.direction != "received" or not entry.topic.startswith("kp2d/"):
            continue
        try:
            message = decode_keypoints(entry.parts, now_ns=entry.log_ns, numbering=numbering)
        except MessageError:
            continue
        collector.add(message, entry.log_ns)
    clips = collector.clips()
    if not clips:
        raise ConfigError(
            f"{recording.path} holds no keypoints; make it with 'serve --record' while rigs send"
        )
    return clips


def _number(stream: _Stream, epoch: int, given: int) -> int:
    """Return a number for a rig's id that no other start of the rig uses; -1 stays."""
    if given < 0:
        return -1
    return stream.numbers.setdefault((epoch, given), len(stream.numbers))


def _clip(stream: _Stream) -> Clip:
    first = stream.first
    columns = [_columns(stream, own) for own in stream.ids]
    shape = len(columns), max((max(own, default=0) for own in columns), default=0) + 1
    joints = len(SKELETONS[first.skeleton].joints)
    keypoints = np.zeros((*shape, joints, 3), np.float32)
    ids = np.full(shape, -1, np.int64)
    for frame, own in enumerate(columns):
        keypoints[frame, own], ids[frame, own] = stream.people[frame], stream.ids[frame]
    cam = first.cam
    gravity = None if cam is None or cam.gravity is None else np.array(cam.gravity)
    return Clip(
        keypoints=keypoints,
        skeleton=SKELETONS[first.skeleton],
        size=first.wh,
        t_ns=np.array(stream.t_ns, np.int64),
        ids=ids,
        intrinsics=_lens(first),
        gravity=gravity,
        person_height_m=first.person_height_m,
        bones_m=_bones_m(stream, shape[1]),
        format_guessed=first.format_guessed,
    )


def _columns(stream: _Stream, ids: list[int]) -> list[int]:
    """Return the columns of the people of a frame; a person with bone lengths keeps one."""
    if not stream.lengths_m:
        return list(range(len(ids)))
    spare = count(len(stream.numbers))
    return [number if number >= 0 else next(spare) for number in ids]


def _bones_m(stream: _Stream, columns: int) -> np.ndarray | None:
    """Return the bone lengths of the person of every column; those without an id have none."""
    bones_m = np.full((columns, len(BONES)), np.nan, np.float32)
    for number, lengths_m in stream.lengths_m.items():
        if number >= 0:
            bones_m[number] = lengths_m
    return None if np.isnan(bones_m).all() else bones_m


def _lens(message: KeypointMessage) -> Intrinsics | None:
    """Return the lens that a rig sent with its frames."""
    if message.cam is None or message.cam.k is None:
        return None
    fx, fy, cx, cy = message.cam.k
    width, height = message.wh
    return Intrinsics(
        fx_px=fx, fy_px=fy, cx_px=cx, cy_px=cy, width_px=float(width), height_px=float(height),
        dist=() if message.cam.undistorted else tuple(message.cam.dist),
    )  # fmt: skip


def _kind(message: KeypointMessage) -> str:
    return f"{message.skeleton} at {message.wh[0]} x {message.wh[1]}"
