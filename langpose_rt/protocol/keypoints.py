"""Keypoint message `kp2d/1`: the 2D people of one camera frame, encoded, decoded and checked.

Bad numbers are corrected and counted in `detections.py`, those of cameras in `camera_info.py`. JSON
is read in `keypoints_json.py`; the byte format is specified in `messages.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, cast

import msgspec
import numpy as np
from jaxtyping import Float32, Int64
from msgspec import Meta

from langpose_rt.formats.detections.detected_people import Names
from langpose_rt.geometry.skeleton import SKELETONS
from langpose_rt.protocol.bone_lengths import WireBones, bones_from_wire, bones_to_wire
from langpose_rt.protocol.camera_info import RigCamera, camera_checked
from langpose_rt.protocol.detections import detections_from_wire
from langpose_rt.protocol.header import (
    MAX_IMAGE_PX,
    MAX_JOINTS,
    MAX_UINT,
    PROTOCOL,
    VERSION,
    PersonId,
    RejectReason,
    Stamp,
    TimeNs,
    UInt,
    array_from_bytes,
    array_to_bytes,
    check_parts,
    check_uints,
    header_from_bytes,
    header_to_bytes,
    reject,
    time_from_wire,
    topic_names,
    topic_of,
    whole_numbers,
)

KEYPOINT_SCHEMA = "kp2d/1"

Pixels = Annotated[int, Meta(ge=1, le=MAX_IMAGE_PX)]
Clock = Annotated[str, Meta(pattern=r"\A(unix|ptp|mono:[A-Za-z0-9_.-]{1,64})\Z")]
Unit = Literal["px", "norm"]
FramesPerSecond = Annotated[float, Meta(ge=0.01, le=10_000.0)]
HeightM = Annotated[float, Meta(ge=0.3, le=3.0)]


class ClockSync(msgspec.Struct, frozen=True):
    """Offset from a rig's capture clock to the server's unix time, and its largest error.

    Measured with `clock` requests, see `langpose_rt.protocol.control`.

    Args:
        offset: In ns, an integer or a decimal string.
        unc: Largest error in ns.
    """

    offset: TimeNs
    unc: UInt


class Via(msgspec.Struct, frozen=True, omit_defaults=True):
    """Key that the front of a cluster adds to a frame on its way to a server.

    Args:
        epoch: Number of the assignment of the stream to that server.
        ids: Of a frame that another server has answered: the ids it gave, one for every person.
        next: Least id of a new person.
        replayed: The frame is sent again, or late, so that the server catches up with the stream.
    """

    epoch: UInt
    ids: tuple[PersonId, ...] = ()
    next: UInt = 0
    replayed: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class KeypointMessage:
    """People that one camera saw in one frame.

    Args:
        rig: Name of the machine that publishes.
        camera: Name of the camera on that rig.
        epoch: Random number of this start of the publisher.
        seq: Number of the frame, one more for every frame of the topic.
        t_ns: Capture time in nanoseconds of the rig's clock.
        clk: That clock: "unix", "ptp" or "mono:<boot id>".
        skeleton: Name of the keypoint format.
        wh: Width and height of the image in pixels.
        keypoints: x and y in pixels, score in 0..1; a missing joint is (0, 0, 0).
        ids: The rig's number for every person; -1 is untracked; no other number comes twice.
        fps: Nominal frame rate in Hz, if known.
        cam: Camera parameters, if the rig sends them.
        person_height_m: Standing height of the people, if known.
        bones_m: Length of every bone of `skeleton.BONES`, if those of anybody are known; a row with
            NaN is unknown.
        sync: Offset from the rig's clock to the server's, if the rig has probed it.
        via: Assignment of the stream, if the frame came through the front of a cluster.
        clipped: Joints that were made missing because a number was impossible.
        people_dropped: People beyond the 64 best, left out.
        duplicate_ids: People whose id was taken by an earlier one; their id became -1.
        largest_score: Largest score as it came, at least 1; those above 1 became 1.
        json: The message arrived as JSON.
        format_guessed: The rig did not name the format; it is the usual one of its joints.
        names: Name of every person where a tracker gives texts; None without one.
    """

    rig: str
    camera: str
    epoch: int
    seq: int
    t_ns: int
    clk: str = "unix"
    skeleton: str
    wh: tuple[int, int]
    keypoints: Float32[np.ndarray, "person joint 3"]
    ids: Int64[np.ndarray, " person"]
    fps: float | None = None
    cam: RigCamera | None = None
    person_height_m: float | None = None
    bones_m: Float32[np.ndarray, "person 16"] | None = None
    sync: ClockSync | None = None
    via: Via | None = None
    clipped: int = 0
    people_dropped: int = 0
    duplicate_ids: int = 0
    largest_score: float = 1.0
    json: bool = False
    format_guessed: bool = False
    names: Names | None = None

    @property
    def topic(self) -> str:
        """Topic of this camera's stream."""
        return topic_of("kp2d", self.rig, self.camera)


class _Header(Stamp, kw_only=True, omit_defaults=True):
    epoch: UInt
    seq: UInt
    t: TimeNs | float
    clk: Clock
    fmt: str
    unit: Unit
    wh: tuple[Pixels | float, Pixels | float]
    shape: tuple[UInt, UInt, UInt]
    dtype: Literal["<f4"]
    ids: Sequence[PersonId | float]
    fps: FramesPerSecond | None = None
    cam: RigCamera | None = None
    person_height_m: HeightM | None = None
    bones_m: WireBones | None = None
    sync: ClockSync | None = None
    names: Names | None = None
    via: Via | None = None


_DECODER = msgspec.msgpack.Decoder(_Header)


def size_from_wire(wh: tuple[int | float, int | float]) -> tuple[int, int]:
    """Return width and height in pixels, which may have come as whole floats.

    Raises:
        MessageError: bad_header.
    """
    width, height = whole_numbers(wh, 1, MAX_IMAGE_PX, "wh", RejectReason.BAD_HEADER)
    return width, height


def ids_from_wire(ids: Sequence[int | float]) -> list[int]:
    """Return the numbers of people, which may have come as whole floats.

    Raises:
        MessageError: bad_ids.
    """
    return whole_numbers(ids, -1, MAX_UINT, "ids", RejectReason.BAD_IDS)


def encode_keypoints(message: KeypointMessage) -> list[bytes]:
    """Encode a keypoint message.

    Numbers are sent as they are: the reader decides which are impossible.

    Raises:
        MessageError: If the message has no valid topic, too large a header, or ids, joints and
            format that do not fit together.
    """
    people, joints = message.keypoints.shape[:2]
    check_joint_count(message.skeleton, joints)
    if len(message.ids) != people:
        raise reject(RejectReason.BAD_IDS, f"got {len(message.ids)} ids for {people} people")
    if people and not -1 <= message.ids.min() <= message.ids.max() <= MAX_UINT:
        raise reject(RejectReason.BAD_IDS, "ids must be -1 or from 0 to 2^53 - 1")
    check_uints(epoch=message.epoch, seq=message.seq)
    header = _Header(
        p=PROTOCOL,
        v=VERSION,
        s=KEYPOINT_SCHEMA,
        epoch=message.epoch,
        seq=message.seq,
        t=time_from_wire(message.t_ns),
        clk=message.clk,
        fmt=message.skeleton,
        unit="px",
        wh=message.wh,
        shape=(people, joints, 3),
        dtype="<f4",
        ids=message.ids.tolist(),
        fps=message.fps,
        cam=message.cam,
        person_height_m=message.person_height_m,
        bones_m=cast("WireBones | None", bones_to_wire(message.bones_m, people)),
        sync=sync_checked(message.sync, message.t_ns),
        names=message.names,
        via=message.via,
    )
    payload = array_to_bytes(message.keypoints, "<f4")
    parts = [message.topic.encode(), header_to_bytes(header), payload]
    check_parts(parts, at_least=3)
    return parts


def keypoints_from_msgpack(parts: Sequence[bytes]) -> KeypointMessage:
    """Decode a keypoint message; further parts and unknown keys are ignored.

    Returns:
        A message that owns its arrays.

    Raises:
        MessageError: With any Reason but those of JSON.
    """
    check_parts(parts, at_least=3)
    rig, camera = topic_names(parts[0], "kp2d", 2)
    header = header_from_bytes(parts[1], _DECODER, KEYPOINT_SCHEMA)
    _, joints, columns = header.shape
    check_joint_count(header.fmt, joints)
    if columns != 3:
        raise reject(RejectReason.BAD_SHAPE, f"got {columns} columns, expected 3: x, y, score")
    raw = array_from_bytes(parts[2], header.shape, header.dtype)
    wh = size_from_wire(header.wh)
    ids = ids_from_wire(header.ids)
    kept = detections_from_wire(raw, ids, wh, unit=header.unit)
    t_ns = time_from_wire(header.t)
    return KeypointMessage(
        rig=rig,
        camera=camera,
        epoch=header.epoch,
        seq=header.seq,
        t_ns=t_ns,
        clk=header.clk,
        skeleton=header.fmt,
        wh=wh,
        keypoints=kept.keypoints,
        ids=kept.ids,
        fps=header.fps,
        cam=camera_checked(header.cam, wh),
        person_height_m=header.person_height_m,
        bones_m=bones_from_wire(header.bones_m, kept.places, len(ids)),
        sync=sync_checked(header.sync, t_ns),
        via=header.via,
        clipped=kept.clipped,
        people_dropped=kept.people_dropped,
        duplicate_ids=kept.duplicate_ids,
        largest_score=kept.largest_score,
        names=_names_from_wire(header.names, ids, kept.ids),
    )


def _names_from_wire(
    names: Names | None, ids: Sequence[int], kept: Int64[np.ndarray, " person"]
) -> Names | None:
    if names is None:
        return None
    if len(names) != len(ids):
        raise reject(RejectReason.BAD_IDS, f"got {len(names)} names for {len(ids)} ids")
    return names_of_people(kept, dict(zip(ids, names, strict=True)))


def names_of_people(
    ids: Int64[np.ndarray, " person"], names: Mapping[int, str | None]
) -> Names | None:
    """Return the name of every person by id; None if nobody has one."""
    found = tuple(names.get(number) if number >= 0 else None for number in ids.tolist())
    return found if any(found) else None


def sync_checked(sync: ClockSync | None, t_ns: int) -> ClockSync | None:
    """Check the clock offset of a frame and return it as an integer.

    Raises:
        MessageError: bad_time, if the offset or the resulting time is out of range.
    """
    if sync is None:
        return None
    offset_ns = time_from_wire(sync.offset)
    time_from_wire(t_ns + offset_ns)
    return ClockSync(offset_ns, sync.unc)


def check_joint_count(skeleton: str, joints: int) -> None:
    """Refuse an unknown keypoint format, or a number of joints that is not the format's.

    Raises:
        MessageError: unknown_format or bad_shape.
    """
    if skeleton not in SKELETONS:
        known = ", ".join(sorted(SKELETONS))
        raise reject(RejectReason.UNKNOWN_FORMAT, f"got fmt {skeleton[:64]!r}, known are {known}")
    expected = len(SKELETONS[skeleton].joints)
    if joints != expected or joints > MAX_JOINTS:
        raise reject(
            RejectReason.BAD_SHAPE,
            f"got {joints} joints, {skeleton} has {expected} (at most {MAX_JOINTS})",
        )
