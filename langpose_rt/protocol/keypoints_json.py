"""JSON decoder for `kp2d/1`: OpenPose, AlphaPose and MMPose results, or the header as JSON.

Keys that JSON leaves out are filled in here from arguments: receive time, image size, numbering.
"""

import codecs
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from langpose_rt.formats.detections.detected_people import (
    Instance,
    Landmarks,
    NamedId,
    Names,
    Numbers,
    OpenPosePerson,
    check_people_named,
    has_own_scores,
    names_of_ids,
    numbers_of_landmarks,
    people_from_instances,
    people_from_landmarks,
    people_from_openpose,
    people_with_scores,
    person_id,
)
from langpose_rt.formats.detections.json_text import FIRST_BYTES, json_from_bytes
from langpose_rt.geometry.camera import name_of_stream
from langpose_rt.geometry.keypoint_formats import USUAL
from langpose_rt.geometry.skeleton import SKELETONS
from langpose_rt.protocol.bone_lengths import WireBones, bones_from_wire
from langpose_rt.protocol.camera_info import RigCamera, camera_checked
from langpose_rt.protocol.detections import detections_from_wire
from langpose_rt.protocol.header import (
    MAX_HEADER_BYTES,
    MAX_PEOPLE,
    MAX_UINT,
    PROTOCOL,
    UNREADABLE,
    VERSION,
    PersonId,
    RejectReason,
    Stamp,
    TimeNs,
    UInt,
    check_parts,
    check_stamp,
    reject,
    sentence_of,
    time_from_wire,
    topic_names,
)
from langpose_rt.protocol.keypoints import (
    KEYPOINT_SCHEMA,
    Clock,
    ClockSync,
    FramesPerSecond,
    HeightM,
    KeypointMessage,
    Pixels,
    Unit,
    check_joint_count,
    ids_from_wire,
    names_of_people,
    size_from_wire,
    sync_checked,
)

JSON_FIRST_BYTES = FIRST_BYTES
"""A msgpack map never begins with one of these."""

MAX_JSON_BYTES = MAX_HEADER_BYTES + MAX_PEOPLE * (
    1024 + 3 * 26 * max(len(skeleton.joints) for skeleton in SKELETONS.values())
)
"""Longest JSON that is read: 64 people of the largest format with every digit of a double, and
1 KiB beside for each."""

_MAX_TOPICS = 1024


class JsonNumbering:
    """Numbers the frames of streams whose JSON has no epoch and seq; keeps their last format.

    A stream after which 1024 others were received starts a new epoch.

    Args:
        epoch: Random number of this start of the server.
    """

    def __init__(self, epoch: int) -> None:
        self._next_epoch = epoch
        self._streams: OrderedDict[str, tuple[int, int, str]] = OrderedDict()

    def format_of(self, topic: str) -> str | None:
        """Return the keypoint format a stream last sent."""
        stream = self._streams.get(topic)
        return stream[2] if stream else None

    def number(self, topic: str, skeleton: str) -> tuple[int, int]:
        """Return epoch and seq of the next frame of a stream."""
        epoch, seq, _ = self._streams.pop(topic, (self._next_epoch, -1, ""))
        if seq < 0:
            self._next_epoch = (self._next_epoch + 1) & MAX_UINT
        self._streams[topic] = (epoch, seq + 1, skeleton)
        if len(self._streams) > _MAX_TOPICS:
            self._streams.popitem(last=False)
        return epoch, seq + 1


class _Document(msgspec.Struct):
    people: list[OpenPosePerson] | None = None
    instances: list[Instance] | None = None
    keypoints: Numbers | None = None
    keypoint_scores: Numbers | None = None
    scores: Any = None
    landmarks: Landmarks | None = None
    pose_landmarks: Landmarks | None = None
    camel_landmarks: Landmarks | None = msgspec.field(default=None, name="poseLandmarks")
    p: str = PROTOCOL
    v: int = VERSION
    s: str = KEYPOINT_SCHEMA
    epoch: UInt | None = None
    seq: UInt | None = None
    t: TimeNs | float | None = None
    clk: Clock = "unix"
    fmt: str | None = None
    unit: Unit = "px"
    wh: tuple[Pixels | float, Pixels | float] | None = None
    ids: Sequence[PersonId | float | str] | None = None
    names: Names | None = None
    fps: FramesPerSecond | None = None
    cam: RigCamera | None = None
    person_height_m: HeightM | None = None
    bones_m: WireBones | None = None
    sync: ClockSync | None = None


_DOCUMENT = msgspec.json.Decoder(_Document)
_INSTANCES = msgspec.json.Decoder(list[Instance])


def keypoints_from_json(
    parts: Sequence[bytes],
    *,
    now_ns: int,
    numbering: JsonNumbering,
    sizes: Mapping[str, tuple[int, int]] | None = None,
) -> KeypointMessage:
    """Decode `[topic, JSON]`; unknown keys are ignored.

    Args:
        parts: Topic and JSON.
        now_ns: Receive time in unix nanoseconds; the capture time of JSON without `t`.
        numbering: Gives epoch and seq unless the JSON has both; keeps the stream's format.
        sizes: Width and height in pixels by "rig/camera" or "camera", for JSON without `wh`; "" is
            any other camera.

    Returns:
        A message that owns its arrays.

    Raises:
        MessageError: With any Reason; the numbering then stays as it was.
    """
    check_parts(parts, at_least=2)
    rig, camera = topic_names(parts[0], "kp2d", 2)
    if len(parts[1]) > MAX_JSON_BYTES:
        detail = f"got {len(parts[1])} bytes of JSON, at most {MAX_JSON_BYTES} are read"
        raise reject(RejectReason.TOO_LARGE, detail)
    topic = parts[0].decode("ascii")
    document, keypoints, ids = _document_from_bytes(parts[1])
    skeleton, keypoints = _with_format(document.fmt, keypoints, numbering.format_of(topic))
    wh = _size_of(rig, camera, sizes or {}) if document.wh is None else size_from_wire(document.wh)
    kept = detections_from_wire(keypoints, ids, wh, unit=document.unit)
    t_ns = now_ns if document.t is None else time_from_wire(document.t)
    cam = camera_checked(document.cam, wh)
    sync = None if document.t is None else sync_checked(document.sync, t_ns)
    bones_m = bones_from_wire(document.bones_m, kept.places, len(ids))
    epoch, seq = numbering.number(topic, skeleton)
    if document.epoch is not None and document.seq is not None:
        epoch, seq = document.epoch, document.seq
    return KeypointMessage(
        rig=rig,
        camera=camera,
        epoch=epoch,
        seq=seq,
        t_ns=t_ns,
        clk=document.clk,
        skeleton=skeleton,
        wh=wh,
        keypoints=kept.keypoints,
        ids=kept.ids,
        fps=document.fps,
        cam=cam,
        person_height_m=document.person_height_m,
        bones_m=bones_m,
        sync=sync,
        clipped=kept.clipped,
        people_dropped=kept.people_dropped,
        duplicate_ids=kept.duplicate_ids,
        largest_score=kept.largest_score,
        json=True,
        format_guessed=document.fmt is None,
        names=names_of_people(kept.ids, _names_of(document, ids)),
    )


def _document_from_bytes(raw: bytes) -> tuple[_Document, npt.NDArray[np.float32], Sequence[int]]:
    try:
        if raw.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"[":
            document = _Document(instances=json_from_bytes(raw, _INSTANCES))
        else:
            document = json_from_bytes(raw, _DOCUMENT)
        check_stamp(Stamp(p=document.p, v=document.v, s=document.s), KEYPOINT_SCHEMA)
        if document.people is not None:
            check_people_named(document.people, raw.removeprefix(codecs.BOM_UTF8))
        people, ids = _people_of(document)
        with np.errstate(over="ignore"):  # what overflows float32 becomes an impossible number
            return document, people.astype(np.float32), ids
    except UNREADABLE as error:
        raise reject(RejectReason.BAD_JSON, sentence_of(error)) from None


def _people_of(document: _Document) -> tuple[npt.NDArray[np.float64], Sequence[int]]:
    """Return people, joints and x, y, score in whichever layout they came, and the ids."""
    ids: Sequence[int]
    named = (document.landmarks, document.pose_landmarks, document.camel_landmarks)
    landmarks = next((found for found in named if found is not None), None)
    if document.people is not None:
        people, ids = people_from_openpose(document.people)
    elif document.instances is not None:
        people, ids = people_from_instances(document.instances)
    elif document.keypoints is not None:
        found = numbers_of_landmarks(document.keypoints)
        beside = document.keypoint_scores
        if beside is None and not has_own_scores(found):
            beside = document.scores  # rtmlib
        people = people_with_scores(found, beside)
        ids = [-1] * len(people)
    elif landmarks is not None:
        people, ids = people_from_landmarks(landmarks)
        document.unit = "norm"
    else:
        raise reject(RejectReason.BAD_JSON, "got none of people, instances and keypoints")
    if document.ids is not None:
        numbers = [person_id(i) if isinstance(i, str) else i for i in document.ids]
        ids_from_wire(numbers)
        ids = [i if isinstance(i, NamedId) else int(i) for i in numbers]
    return people, ids


def _names_of(document: _Document, ids: Sequence[int]) -> Mapping[int, str | None]:
    """Return the names of people by number: those beside the ids, and ids that are texts."""
    names: dict[int, str | None] = dict(names_of_ids(ids))
    if document.names is None:
        return names
    if len(document.names) != len(ids):
        count = len(document.names)
        raise reject(RejectReason.BAD_IDS, f"got {count} names for {len(ids)} ids")
    return dict(zip(ids, document.names, strict=True))


def _with_format(
    named: str | None, people: npt.NDArray[np.float32], last: str | None
) -> tuple[str, npt.NDArray[np.float32]]:
    """Return the keypoint format, and the people with its number of joints even if empty."""
    if len(people) == 0:
        skeleton = named or last or USUAL[17]
        joints = len(SKELETONS[skeleton].joints) if skeleton in SKELETONS else 0
        people = np.empty((0, joints, 3), np.float32)
    else:
        skeleton = named or USUAL.get(people.shape[1], "")
    if not skeleton:
        count = people.shape[1]
        raise reject(
            RejectReason.UNKNOWN_FORMAT, f"no format of {count} joints is known; name it in fmt"
        )
    check_joint_count(skeleton, people.shape[1])
    return skeleton, people


def _size_of(rig: str, camera: str, sizes: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    size = sizes.get(name_of_stream(sizes, rig, camera) or "")
    if size is None:
        names = ", ".join(sizes)
        known = f"the calibration has {names}" if names else "no --cameras file knows it"
        raise reject(
            RejectReason.NO_SIZE,
            f'JSON of camera "{camera}" has no wh, and {known}; send "wh": [1920, 1080] '
            'with it (with a list: {"instances": [...], "wh": [1920, 1080]}), or serve with '
            "--size 1920x1080",
        )
    return size
