"""Keypoints as JSON, read into the same message as msgpack: any language starts in five minutes.

Understood are OpenPose, AlphaPose and MMPose results and our own header with nested lists. What
JSON leaves out is filled in here, from what the caller says: receive time, image sizes, numbering.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from langpose_rt.geometry.keypoint_formats import USUAL
from langpose_rt.geometry.skeleton import SKELETONS
from langpose_rt.protocol.camera_info import RigCamera, camera_checked
from langpose_rt.protocol.header import (
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
    detections_from_wire,
    sync_checked,
)

JSON_FIRST_BYTES = b"{[ \t\r\n"
"""A msgpack map never begins with one of these."""

_MAX_TOPICS = 1024

Numbers = list[float | list[float | list[float | None] | None] | None]
"""Nested lists of numbers; null is a missing one."""


class JsonNumbering:
    """Epoch and seq for streams whose JSON has none, and the format they last sent.

    A stream that was not heard for so long that 1024 others came since starts a new epoch.

    Args:
        epoch: Random number of this start of the server.
    """

    def __init__(self, epoch: int) -> None:
        self._next_epoch = epoch
        self._streams: OrderedDict[str, tuple[int, int, str]] = OrderedDict()

    def format_of(self, topic: str) -> str | None:
        """The keypoint format a stream last sent."""
        stream = self._streams.get(topic)
        return stream[2] if stream else None

    def number(self, topic: str, skeleton: str) -> tuple[int, int]:
        """Epoch and seq of the next frame of a stream."""
        epoch, seq, _ = self._streams.pop(topic, (self._next_epoch, -1, ""))
        if seq < 0:
            self._next_epoch = (self._next_epoch + 1) & MAX_UINT
        self._streams[topic] = (epoch, seq + 1, skeleton)
        if len(self._streams) > _MAX_TOPICS:
            self._streams.popitem(last=False)
        return epoch, seq + 1


class _OpenPosePerson(msgspec.Struct):
    pose_keypoints_2d: list[float | None] = []
    person_id: Any = None


class _Instance(msgspec.Struct):
    """A person of AlphaPose (flat x, y, score) or MMPose (pairs, and scores beside them)."""

    keypoints: Numbers
    keypoint_scores: list[float | None] | None = None
    track_id: Any = None
    idx: Any = None
    image_id: Any = None


class _Document(msgspec.Struct):
    people: list[_OpenPosePerson] | None = None
    instances: list[_Instance] | None = None
    keypoints: Numbers | None = None
    keypoint_scores: Numbers | None = None
    p: str = PROTOCOL
    v: int = VERSION
    s: str = KEYPOINT_SCHEMA
    epoch: UInt | None = None
    seq: UInt | None = None
    t: TimeNs | None = None
    clk: Clock = "unix"
    fmt: str | None = None
    unit: Unit = "px"
    wh: tuple[Pixels, Pixels] | None = None
    ids: Sequence[PersonId] | None = None
    fps: FramesPerSecond | None = None
    cam: RigCamera | None = None
    person_height_m: HeightM | None = None
    sync: ClockSync | None = None


_DOCUMENT = msgspec.json.Decoder(_Document)
_INSTANCES = msgspec.json.Decoder(list[_Instance])


def keypoints_from_json(
    parts: Sequence[bytes],
    *,
    now_ns: int,
    numbering: JsonNumbering,
    sizes: Mapping[str, tuple[int, int]] | None = None,
) -> KeypointMessage:
    """Read `[topic, JSON]`; unknown keys are ignored.

    Args:
        parts: Topic and JSON.
        now_ns: Receive time in unix nanoseconds; the capture time of JSON without `t`.
        numbering: Gives epoch and seq unless the JSON has both; remembers the stream's format.
        sizes: Width and height in pixels by "rig/camera" or "camera", for JSON without `wh`.

    Returns:
        A message that owns its arrays.

    Raises:
        MessageError: With any Reason; the numbering then stays as it was.
    """
    check_parts(parts, at_least=2)
    rig, camera = topic_names(parts[0], "kp2d", 2)
    topic = parts[0].decode("ascii")
    document, keypoints, ids = _document_from_bytes(parts[1])
    skeleton, keypoints = _with_format(document.fmt, keypoints, numbering.format_of(topic))
    wh = document.wh or _size_of(rig, camera, sizes or {})
    kept = detections_from_wire(keypoints, ids, wh, unit=document.unit)
    t_ns = now_ns if document.t is None else time_from_wire(document.t)
    cam = camera_checked(document.cam, wh)
    sync = None if document.t is None else sync_checked(document.sync, t_ns)
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
        sync=sync,
        clipped=kept.clipped,
        people_dropped=kept.people_dropped,
        duplicate_ids=kept.duplicate_ids,
        json=True,
    )


def _document_from_bytes(raw: bytes) -> tuple[_Document, npt.NDArray[np.float32], Sequence[int]]:
    try:
        if raw.lstrip()[:1] == b"[":
            document = _Document(instances=_INSTANCES.decode(raw))
        else:
            document = _DOCUMENT.decode(raw)
        check_stamp(Stamp(p=document.p, v=document.v, s=document.s), KEYPOINT_SCHEMA)
        people, ids = _people_of(document)
        with np.errstate(over="ignore"):  # what overflows float32 becomes an impossible number
            return document, people.astype(np.float32), ids
    except UNREADABLE as error:
        raise reject(RejectReason.BAD_JSON, sentence_of(error)) from None


def _people_of(document: _Document) -> tuple[npt.NDArray[np.float64], Sequence[int]]:
    """People, joints and x, y, score in whichever layout they came, and the ids beside them."""
    if document.people is not None:
        seen = [person for person in document.people if person.pose_keypoints_2d]
        people = _with_columns([person.pose_keypoints_2d for person in seen], None)
        ids = [_id_from_json(person.person_id) for person in seen]
    elif document.instances is not None:
        images = {str(instance.image_id) for instance in document.instances}
        if len(images) > 1:
            raise reject(RejectReason.SEVERAL_FRAMES, f"got people of {len(images)} images")
        scores = [item.keypoint_scores for item in document.instances]
        unscored = all(score is None for score in scores)
        found = [item.keypoints for item in document.instances]
        people = _with_columns(found, None if unscored else scores)
        ids = [_id_from_json(item.track_id, _alphapose_id(item.idx)) for item in document.instances]
    elif document.keypoints is not None:
        people = _with_columns(document.keypoints, document.keypoint_scores)
        ids = [-1] * len(people)
    else:
        raise reject(RejectReason.BAD_JSON, "got none of people, instances and keypoints")
    return people, ids if document.ids is None else document.ids


def _with_columns(numbers: Sequence[Any], scores: Sequence[Any] | None) -> npt.NDArray[np.float64]:
    """[P, K, 3] from nested lists of x, y, score, of x and y, or with every person in one row."""
    found = np.array(numbers, np.float64)
    if found.size == 0:
        return np.empty((0, 0, 3))
    if found.ndim == 1 or (found.ndim == 2 and found.shape[1] in (2, 3)):
        found = found[None]  # one person without the outermost list
    if found.ndim == 2 and found.shape[1] % 3 == 0:
        found = found.reshape(len(found), -1, 3)
    if found.ndim != 3 or found.shape[2] not in (2, 3):
        shape = list(found.shape)
        raise reject(RejectReason.BAD_SHAPE, f"got keypoints of shape {shape}, expected [P, K, 3]")
    if found.shape[2] == 3 and scores is None:
        return found
    beside = np.ones(found.shape[:2]) if scores is None else np.array(scores, np.float64)
    if found.shape[2] == 3 or beside.size != found[..., 0].size:
        shapes = f"{list(found.shape)} and scores of shape {list(beside.shape)}"
        raise reject(
            RejectReason.BAD_SHAPE, f"got keypoints of shape {shapes}; they do not fit together"
        )
    return np.concatenate([found, beside.reshape(*found.shape[:2], 1)], -1)


def _id_from_json(*candidates: object) -> int:
    """The first that is a number of a person, alone or in lists; else -1."""
    for value in candidates:
        number = value
        while isinstance(number, list) and number:  # AlphaPose: [[1.0], [1.0]] after merging boxes
            number = number[0]
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        if 0 <= number <= MAX_UINT and number == int(number):
            return int(number)
    return -1


def _alphapose_id(idx: object) -> int | None:
    """AlphaPose's number of a person; its 0 is everybody's while it does not track."""
    return _id_from_json(idx) or None


def _with_format(
    named: str | None, people: npt.NDArray[np.float32], last: str | None
) -> tuple[str, npt.NDArray[np.float32]]:
    """The keypoint format, and the people with its number of joints even if there are none."""
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
    size = sizes.get(f"{rig}/{camera}") or sizes.get(camera)
    if size is None:
        raise reject(
            RejectReason.NO_SIZE,
            f'JSON of camera "{camera}" has no wh, and no --cameras file knows it',
        )
    return size
