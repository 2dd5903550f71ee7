"""Pose message `pose3d/1`: the 3D people of one camera frame, and where they come from.

The byte format is specified in `messages.py`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from jaxtyping import Float32, Int64, UInt8, UInt32

from langpose_rt.errors import MessageError
from langpose_rt.formats.detections.detected_people import Names
from langpose_rt.protocol.fusion_info import FusionInfo
from langpose_rt.protocol.header import (
    PROTOCOL,
    VERSION,
    Extra,
    PersonId,
    RejectReason,
    Stamp,
    TimeNs,
    UInt,
    array_from_bytes,
    array_to_bytes,
    check_parts,
    check_uints,
    extras_from_parts,
    extras_to_parts,
    header_from_bytes,
    header_to_bytes,
    reject,
    time_from_wire,
    topic_names,
    topic_of,
)

POSE_SCHEMA = "pose3d/1"

State = Literal["warmup", "ok", "held", "predicted", "lost"]
Frame = Literal["camera", "world"]
ScaleSource = Literal["given", "height", "focal", "prior"]
LevelSource = Literal["given", "calibration", "estimated", "none"]
Axes = Literal["x-right,y-down,z-forward", "x,y,z as in the calibration's world"]
AXES: dict[Frame, Axes] = {
    "camera": "x-right,y-down,z-forward",
    "world": "x,y,z as in the calibration's world",
}
"""Value of `axes` for every `frame`."""
Actions = tuple[tuple[tuple[str, float], ...], ...]


class Source(msgspec.Struct, frozen=True):
    """Source frame of a pose: epoch, seq and capture time in ns."""

    epoch: UInt
    seq: UInt
    t: TimeNs


class Latency(msgspec.Struct, frozen=True):
    """Nanoseconds the server spent per stage; negative only if its clock was set back."""

    rx: int = 0
    """From the arrival of the frame until it was taken from the queue."""
    win: int = 0
    """Until the frame's features were in the window."""
    lift: int = 0
    """Until the network was done."""
    post: int = 0
    """Until root, filter and states were done."""
    tx: int = 0
    """Until the message was handed to the socket."""


class ModelStamp(msgspec.Struct, frozen=True):
    """Model, precision and backend that computed a pose."""

    id: str
    sha256: str = ""
    precision: str = "fp32"
    backend: str = "onnx"


class WindowFill(msgspec.Struct, frozen=True):
    """Frames a window holds, how many of them every person has, and the lookahead in ns."""

    frames: UInt
    filled: tuple[UInt, ...]
    lookahead_ns: UInt = 0


class Drops(msgspec.Struct, frozen=True, omit_defaults=True):
    """Frames of the stream that were lost since the last message."""

    # A default made by a factory is always sent; a constant one is left out where it is meant.
    late: UInt = msgspec.field(default_factory=int)
    dup: UInt = msgspec.field(default_factory=int)
    gap: UInt = msgspec.field(default_factory=int)
    shed: UInt = msgspec.field(default_factory=int)
    failed: UInt = 0


NO_DROPS = Drops()


class JointFlag(IntFlag):
    """Bits of `PoseMessage.flags`: origin of a joint."""

    MEASURED = 1
    """Its 2D keypoint was seen in this frame."""
    IMPUTED = 2
    """Its 2D keypoint was missing and filled in."""
    PREDICTED = 4
    """The person was not seen; the joint is extrapolated."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PoseMessage:
    """3D people of one camera frame.

    Args:
        rig: Name of the rig the keypoints came from.
        camera: Name of its camera.
        epoch: Random number of this start of the server.
        seq: Number of the message, one more for every message of the topic.
        src: The rig's frame that was lifted.
        t_srv: Capture time of that frame in nanoseconds of the server's clock.
        t_unc_ns: Uncertainty of t_srv; see `messages.py` for what it covers.
        lat: Time per stage in the server.
        model: The model that computed the poses.
        poses: X, Y, Z relative to the root in metres, and the standard deviation in metres.
        flags: JointFlag bits of every joint.
        ids: Number of every person.
        state: Visibility of every person lately.
        root: Position of every person's hip in metres in the axes of `frame`, if known.
        scale_src: Source of the metric scale.
        frame: Axes of poses and root.
        gravity: Unit vector that points down, in the axes of `frame`; None if it is not known.
        level_src: Source of the gravity.
        win: State of the window.
        drop: Frames lost since the last message of the topic.
        names: Name of every person where the rig's tracker gives texts; None without one.
        via: Number of the assignment of the stream, where the frame came through a cluster's front.
        actions: For every person (label, score) pairs, best first, if actions are loaded.
        embedding: Motion embedding of every person; reserved.
        echo: The 2D keypoints in pixels and score as 17 joints; reserved.
        fused: Facts of a capture volume; None for the poses of one camera. The fields below are
            those of a capture volume.
        views: Mask of the cameras every joint rests on; bit n is the n-th of `fused.cameras`.
        residual_px: Root mean square distance of every joint from its views; 0 without one.
        covariance_m2: Of every joint, as xx, xy, xz, yy, yz, zz.
        bones_m: Bone lengths estimated so far, in the order of `skeleton.BONES`.
        keypoints: Every keypoint of `fused.fmt`: X, Y, Z relative to the root and the standard
            deviation in metres; one that is not known is all 0.
        keypoint_views: Mask of the cameras every keypoint rests on.
    """

    rig: str
    camera: str
    epoch: int
    seq: int
    src: Source
    t_srv: int
    t_unc_ns: int = 0
    lat: Latency
    model: ModelStamp
    poses: Float32[np.ndarray, "person 17 4"]
    flags: UInt8[np.ndarray, "person 17"]
    ids: Int64[np.ndarray, " person"]
    state: tuple[State, ...]
    root: Float32[np.ndarray, "person 3"] | None = None
    scale_src: ScaleSource = "prior"
    frame: Frame = "camera"
    gravity: tuple[float, float, float] | None = None
    level_src: LevelSource = "none"
    win: WindowFill
    drop: Drops = NO_DROPS
    names: Names | None = None
    via: int | None = None
    actions: Actions | None = None
    embedding: Float32[np.ndarray, "person channel"] | None = None
    echo: Float32[np.ndarray, "person 17 3"] | None = None
    fused: FusionInfo | None = None
    views: UInt32[np.ndarray, "person 17"] | None = None
    residual_px: Float32[np.ndarray, "person 17"] | None = None
    covariance_m2: Float32[np.ndarray, "person 17 6"] | None = None
    bones_m: Float32[np.ndarray, "person 16"] | None = None
    keypoints: Float32[np.ndarray, "person keypoint 4"] | None = None
    keypoint_views: UInt32[np.ndarray, "person keypoint"] | None = None

    @property
    def topic(self) -> str:
        """Topic of this camera's poses."""
        return topic_of("pose3d", self.rig, self.camera)


class _Header(Stamp, kw_only=True, omit_defaults=True):
    epoch: UInt
    seq: UInt
    src: Source
    t_srv: TimeNs
    t_unc_ns: UInt
    lat: Latency
    model: ModelStamp
    skel: Literal["h36m17"]
    frame: Frame
    unit: Literal["m"]
    axes: Axes
    shape: tuple[UInt, Literal[17], Literal[4]]
    dtype: Literal["<f4"]
    root: Sequence[tuple[float, float, float]] | None
    scale_src: ScaleSource
    ids: Sequence[PersonId]
    state: tuple[State, ...]
    win: WindowFill
    drop: Drops
    extra: tuple[Extra, ...]
    actions: Actions | None = None
    gravity: tuple[float, float, float] | None = None
    level_src: LevelSource = "none"
    fused: FusionInfo | None = None
    names: Names | None = None
    via: UInt | None = None


_DECODER = msgspec.msgpack.Decoder(_Header)

_EXTRA_SHAPES = {
    "flags": ("|u1", (17,)),
    "embedding": ("<f4", (-1,)),
    "echo": ("<f4", (17, 3)),
    "views": ("<u4", (17,)),
    "residual_px": ("<f4", (17,)),
    "covariance_m2": ("<f4", (17, 6)),
    "bones_m": ("<f4", (16,)),
    "keypoints": ("<f4", (-1, 4)),
    "keypoint_views": ("<u4", (-1,)),
}
"""The extra arrays that are known, in the order they are sent: type, and shape of one person."""

_EXTRA_DTYPES = {name: dtype for name, (dtype, _) in _EXTRA_SHAPES.items()}

_SHAPES = {"poses": (17, 4), "root": (3,)} | {
    name: shape for name, (_, shape) in _EXTRA_SHAPES.items()
}
"""Shape of every array for one person; -1 is any length."""


def encode_pose(message: PoseMessage) -> list[bytes]:
    """Encode a pose message.

    Actions are shortened to the best of every person, then left out, then the names, where they do
    not fit the header: a label never costs a pose.

    Raises:
        MessageError: not_finite, if a number to be published is not; bad_shape or bad_ids, if the
            arrays are not of the same people; bad_topic; bad_header; header_too_large.
    """
    check_uints(epoch=message.epoch, seq=message.seq, t_unc_ns=message.t_unc_ns)
    named = {name: getattr(message, name) for name in _SHAPES}
    arrays = {name: array for name, array in named.items() if array is not None}
    extras, parts = extras_to_parts(arrays, _EXTRA_DTYPES)
    header = _header_of(message, extras)
    _check_people(header, arrays)
    payload = array_to_bytes(message.poses, "<f4")
    parts = [message.topic.encode(), _header_to_bytes(header), payload, *parts]
    check_parts(parts, at_least=3)
    return parts


def decode_pose(parts: Sequence[bytes]) -> PoseMessage:
    """Decode a pose message; unknown keys and unknown extra arrays are ignored.

    Returns:
        A message that owns its arrays.

    Raises:
        MessageError: With any Reason but those of JSON, keypoint formats and cameras.
    """
    check_parts(parts, at_least=3)
    rig, camera = topic_names(parts[0], "pose3d", 2)
    header = header_from_bytes(parts[1], _DECODER, POSE_SCHEMA)
    if header.axes != AXES[header.frame]:
        raise reject(RejectReason.BAD_HEADER, f"got axes {header.axes!r} in frame {header.frame!r}")
    arrays = extras_from_parts(header.extra, parts[3:], _EXTRA_DTYPES)
    if "flags" not in arrays:
        raise reject(RejectReason.BAD_PARTS, 'the extra array "flags" is missing')
    arrays["poses"] = array_from_bytes(parts[2], header.shape, header.dtype)
    if header.root is not None:
        with np.errstate(over="ignore"):  # what overflows float32 is refused as not finite
            arrays["root"] = np.array(header.root, np.float32).reshape(-1, 3)
    _check_people(header, arrays)
    return PoseMessage(
        rig=rig,
        camera=camera,
        epoch=header.epoch,
        seq=header.seq,
        src=Source(header.src.epoch, header.src.seq, time_from_wire(header.src.t)),
        t_srv=time_from_wire(header.t_srv),
        t_unc_ns=header.t_unc_ns,
        lat=header.lat,
        model=header.model,
        ids=np.array(header.ids, np.int64),
        state=header.state,
        scale_src=header.scale_src,
        frame=header.frame,
        gravity=_unit_gravity(header),
        level_src=header.level_src,
        win=header.win,
        drop=header.drop,
        via=header.via,
        actions=header.actions,
        fused=header.fused,
        names=header.names,
        **{name: array.copy() for name, array in arrays.items()},
    )


def _header_of(message: PoseMessage, extra: tuple[Extra, ...]) -> _Header:
    return _Header(
        p=PROTOCOL,
        v=VERSION,
        s=POSE_SCHEMA,
        epoch=message.epoch,
        seq=message.seq,
        src=message.src,
        t_srv=message.t_srv,
        t_unc_ns=message.t_unc_ns,
        lat=message.lat,
        model=message.model,
        skel="h36m17",
        frame=message.frame,
        unit="m",
        axes=AXES[message.frame],
        shape=(len(message.poses), 17, 4),
        dtype="<f4",
        root=None if message.root is None else message.root.tolist(),
        scale_src=message.scale_src,
        ids=message.ids.tolist(),
        state=message.state,
        win=message.win,
        drop=message.drop,
        extra=extra,
        actions=message.actions,
        names=message.names,
        gravity=message.gravity,
        level_src=message.level_src,
        fused=message.fused,
        via=message.via,
    )


def _unit_gravity(header: _Header) -> tuple[float, float, float] | None:
    """Return the gravity of a header at length 1.

    Raises:
        MessageError: not_finite, or bad_header for a vector that has no direction.
    """
    if header.gravity is None:
        return None
    length = math.hypot(*header.gravity)
    if not math.isfinite(length):
        raise reject(RejectReason.NOT_FINITE, "gravity holds a number that is not finite")
    if not 0.1 <= length <= 100.0:
        raise reject(RejectReason.BAD_HEADER, f"got gravity {header.gravity}")
    if abs(length - 1.0) < 1e-6:
        return header.gravity  # unchanged, so that a message encoded again has the same bytes
    x, y, z = (axis / length for axis in header.gravity)
    return x, y, z


def _check_people(header: _Header, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Refuse lists and arrays that are not of the same people, or hold a number not finite."""
    people = header.shape[0]
    for name, array in arrays.items():
        expected = (people, *_SHAPES[name])
        if array.shape != expected and not _fits(array.shape, expected):
            found, wanted = list(array.shape), list(expected)
            raise reject(RejectReason.BAD_SHAPE, f"got {name} of shape {found}, expected {wanted}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise reject(RejectReason.NOT_FINITE, f"{name} holds a number that is not finite")
    actions = header.actions or ()
    lists: dict[str, Sequence[object] | None]
    lists = {"state": header.state, "win.filled": header.win.filled, "actions": actions or None}
    lists["names"] = header.names
    for name, entries in lists.items():
        if entries is not None and len(entries) != people:
            raise reject(RejectReason.BAD_SHAPE, f"got {len(entries)} {name} for {people} people")
    if len(header.ids) != people:
        raise reject(RejectReason.BAD_IDS, f"got {len(header.ids)} ids for {people} people")
    if not all(math.isfinite(score) for pairs in actions for _, score in pairs):
        raise reject(RejectReason.NOT_FINITE, "an action's score is not finite")


def _fits(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Return whether a shape is the expected one, in which -1 is any length."""
    pairs = zip(shape, expected, strict=False)
    return len(shape) == len(expected) and all(wanted in (-1, size) for size, wanted in pairs)


def _header_to_bytes(header: _Header) -> bytes:
    """Encode the header with as many actions and names as fit."""
    while True:
        try:
            return header_to_bytes(header)
        except MessageError:
            if not (header.actions or header.names):
                raise
        if not header.actions:
            header = msgspec.structs.replace(header, names=None)
            continue
        best = tuple(pairs[:1] for pairs in header.actions)
        header = msgspec.structs.replace(header, actions=None if best == header.actions else best)
