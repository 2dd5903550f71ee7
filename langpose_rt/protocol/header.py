"""Topics, headers and arrays that all messages share, with limits and reject reasons.

A header is a msgpack map read by msgspec into a frozen Struct; an array is raw little-endian bytes
in C order, described by the header. The messages are in their own files, and the specification of
the protocol is the docstring of `messages.py`.
"""

import math
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from langpose_rt.errors import MessageError

PROTOCOL = "lprt"
VERSION = 1
VERSIONS_SPOKEN = (VERSION,)
"""Protocol versions this package reads: N and N-1; version 1 is the first."""

MAX_PEOPLE = 64
MAX_JOINTS = 256
MAX_HEADER_BYTES = 8 << 10
MAX_MESSAGE_BYTES = 1 << 20
MAX_PARTS = 16
MAX_UINT = (1 << 53) - 1
"""Largest unsigned integer on the wire: the largest one that JavaScript holds exactly."""
MAX_TIME_NS = (1 << 62) - 1
"""Largest size of a time stamp, so that the difference of two still fits 64 bits."""
MAX_TIME_S = 1e10
"""A time that is no whole number and below this is taken for seconds."""
MAX_IMAGE_PX = 1 << 16

DTYPES: dict[str, np.dtype[Any]] = {name: np.dtype(name) for name in ("<f4", "|u1", "<u4")}
"""Element types on the wire, by the name they have there."""

NAME_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,19}", re.ASCII)

UInt = Annotated[int, Meta(ge=0, le=MAX_UINT)]
PersonId = Annotated[int, Meta(ge=-1, le=MAX_UINT)]
TimeNs = int | str
"""Nanoseconds, as an integer or as a decimal string for languages without 64-bit integers."""


class RejectReason(str, Enum):
    """Reason of a rejected message: `reason` of its MessageError, and the name of a counter."""

    BAD_PARTS = "bad_parts"
    """Too few or too many parts, or a part that the header does not account for."""
    TOO_LARGE = "too_large"
    """The parts together are above 1 MiB, or JSON is longer than 64 people need."""
    HEADER_TOO_LARGE = "header_too_large"
    """The header is above 8 KiB."""
    BAD_TOPIC = "bad_topic"
    """Not `kind/name/` or `kind/name/name/` with names of [A-Za-z0-9_.-]{1,64}."""
    BAD_HEADER = "bad_header"
    """Not a msgpack map, a key is missing, or a value has the wrong type or range."""
    UNKNOWN_PROTOCOL = "unknown_protocol"
    """`p` is not "lprt"."""
    UNKNOWN_VERSION = "unknown_version"
    """`v` is a protocol version that is not spoken here."""
    UNKNOWN_SCHEMA = "unknown_schema"
    """`s` is not the message that the topic promises."""
    UNKNOWN_FORMAT = "unknown_format"
    """`fmt` is not a known keypoint format, or no format has that number of joints."""
    BAD_TIME = "bad_time"
    """`t` is not a decimal number of nanoseconds below 2^62."""
    BAD_SHAPE = "bad_shape"
    """`shape`, the bytes and the keypoint format do not fit together."""
    BAD_IDS = "bad_ids"
    """`ids` does not have one entry for every person."""
    BAD_CAMERA = "bad_camera"
    """`cam` holds numbers that no camera has."""
    BAD_JSON = "bad_json"
    """The JSON is malformed or is none of the layouts that are understood."""
    JSON_REFUSED = "json_refused"
    """JSON arrived where only msgpack is accepted."""
    NO_SIZE = "no_size"
    """JSON without `wh` from a camera whose size the server does not know."""
    SEVERAL_FRAMES = "several_frames"
    """JSON with the people of more than one image."""
    NOT_FINITE = "not_finite"
    """A number that is to be published, or was published, is not finite."""
    UNKNOWN_OP = "unknown_op"
    """A control request with an unknown operation."""
    NOT_ALLOWED = "not_allowed"
    """A control request that changes the server, from a sender that may not."""
    BUSY = "busy"
    """A reload was requested while another was under way."""
    MODEL_REFUSED = "model_refused"
    """The model of a reload cannot serve; the one before it goes on."""
    CAMERAS_REFUSED = "cameras_refused"
    """The calibration file of a request cannot be used; the one before it goes on."""
    SPOOFED_RIG = "spoofed_rig"
    """A key published as another rig than the one it is named after."""
    REVOKED_KEY = "revoked_key"
    """The sender's key was removed from the server's folder since it connected."""
    UNKNOWN_KEY = "unknown_key"
    """A connection with a key that is not in the server's folder."""
    NOT_ENCRYPTED = "not_encrypted"
    """A connection without keys to a server that has them."""
    WRONG_SERVER_KEY = "wrong_server_key"
    """A connection encrypted for another server."""
    OVER_BUDGET = "over_budget"
    """A message passed over unread: its sender had its share of the time, and others wanted it."""
    TOO_MUCH_SENT = "too_much_sent"
    """A peer that was cut: too many bytes that make no whole message, or too many subscriptions."""
    TOO_MANY_CONNECTIONS = "too_many_connections"
    """A peer that was cut because too many were connected."""
    NO_HANDSHAKE = "no_handshake"
    """A connection that ended, or was silent for 2 s, before the handshake was complete."""
    WRONG_SOCKET = "wrong_socket"
    """A peer whose type of ZeroMQ socket does not fit the port, such as PUSH for keypoints."""


class Stamp(msgspec.Struct, kw_only=True):
    """Keys of every header; the header of a message adds its own."""

    p: str
    v: int
    s: str


class Extra(msgspec.Struct, frozen=True):
    """Entry of `header.extra`: describes the part at the same place after the payload."""

    name: str
    shape: tuple[UInt, ...]
    dtype: str


HeaderT = TypeVar("HeaderT")

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)
"""Exceptions of msgspec on hostile bytes; ValueError covers invalid UTF-8."""

_ENCODER = msgspec.msgpack.Encoder()
_STAMP = msgspec.msgpack.Decoder(Stamp)


def reject(reason: RejectReason, detail: str) -> MessageError:
    """Return the error for a rejected message; the caller raises it."""
    return MessageError(reason.value, detail)


def check_parts(parts: Sequence[bytes], *, at_least: int) -> None:
    """Refuse a message whose parts are too few, too many or too long.

    Raises:
        MessageError: bad_parts, too_large or header_too_large.
    """
    if not at_least <= len(parts) <= MAX_PARTS:
        raise reject(
            RejectReason.BAD_PARTS, f"got {len(parts)} parts, expected {at_least} to {MAX_PARTS}"
        )
    total = sum(map(len, parts))
    if total > MAX_MESSAGE_BYTES:
        raise reject(
            RejectReason.TOO_LARGE, f"got {total} bytes, at most {MAX_MESSAGE_BYTES} are read"
        )


def topic_of(kind: str, *names: str) -> str:
    """Return the topic `kind/name/` or `kind/name/name/`.

    Raises:
        MessageError: bad_topic, if a name is not 1 to 64 letters, digits or any of `_.-`.
    """
    for name in names:
        if not NAME_PATTERN.fullmatch(name):
            raise reject(
                RejectReason.BAD_TOPIC,
                f"name {name!r} is not 1 to 64 letters, digits or any of _.-",
            )
    return "/".join((kind, *names, ""))


def topic_names(topic: bytes, kind: str, count: int) -> tuple[str, ...]:
    """Return the names in a topic `kind/name/...`.

    Args:
        topic: First part of a message.
        kind: What the topic must begin with, such as "kp2d".
        count: How many names must follow.

    Raises:
        MessageError: bad_topic.
    """
    text = topic[:256].decode("latin-1")
    first, *names, last = text.split("/") if "/" in text else (text, "-")
    good = first == kind and len(names) == count and last == ""
    if not good or not all(map(NAME_PATTERN.fullmatch, names)):
        shape = "/".join((kind, *["<name>"] * count, ""))
        raise reject(RejectReason.BAD_TOPIC, f"got topic {text[:150]!r}, expected {shape!r}")
    return tuple(names)


def header_to_bytes(header: Stamp | Mapping[str, object]) -> bytes:
    """Encode a header as msgpack.

    Raises:
        MessageError: header_too_large, or bad_header for what msgpack cannot hold.
    """
    try:
        raw = _ENCODER.encode(header)
    except UNREADABLE as error:
        raise reject(RejectReason.BAD_HEADER, sentence_of(error)) from None
    check_header_size(len(raw))
    return raw


def header_from_bytes(
    raw: bytes, decoder: "msgspec.msgpack.Decoder[HeaderT]", schema: str
) -> HeaderT:
    """Decode a header strictly, with an exact reason when it is not acceptable.

    The stamp is read first: a header of another version may have other types throughout.

    Args:
        raw: Second part of a message.
        decoder: Decoder of the header's Struct.
        schema: The `s` the header must carry, such as "kp2d/1".

    Raises:
        MessageError: header_too_large, bad_header, unknown_protocol, unknown_version or
            unknown_schema.
    """
    check_header_size(len(raw))
    try:
        check_stamp(_STAMP.decode(raw), schema)
        return decoder.decode(raw)
    except UNREADABLE as error:
        raise reject(RejectReason.BAD_HEADER, sentence_of(error)) from None


def check_header_size(size: int) -> None:
    """Refuse a header above MAX_HEADER_BYTES.

    Raises:
        MessageError: header_too_large.
    """
    if size > MAX_HEADER_BYTES:
        raise reject(
            RejectReason.HEADER_TOO_LARGE,
            f"the header takes {size} bytes, at most {MAX_HEADER_BYTES} are read",
        )


def check_stamp(stamp: Stamp, schema: str) -> None:
    """Refuse a header of another protocol, version or message.

    Raises:
        MessageError: unknown_protocol, unknown_version or unknown_schema.
    """
    if stamp.p != PROTOCOL:
        raise reject(
            RejectReason.UNKNOWN_PROTOCOL, f"got p {stamp.p[:64]!r}, expected {PROTOCOL!r}"
        )
    if stamp.v not in VERSIONS_SPOKEN:
        spoken = ", ".join(map(str, VERSIONS_SPOKEN))
        raise reject(RejectReason.UNKNOWN_VERSION, f"got version {stamp.v}, spoken here: {spoken}")
    if stamp.s != schema:
        raise reject(RejectReason.UNKNOWN_SCHEMA, f"got s {stamp.s[:64]!r}, expected {schema!r}")


def time_from_wire(value: TimeNs | float) -> int:
    """Return nanoseconds from an integer, a whole float or a decimal string.

    Raises:
        MessageError: bad_time.
    """
    if isinstance(value, float):
        value = _whole_time(value)
    if isinstance(value, str):
        if not _DECIMAL.fullmatch(value):
            raise reject(
                RejectReason.BAD_TIME, f"got t {value[:40]!r}, expected decimal nanoseconds"
            )
        value = int(value)
    if abs(value) > MAX_TIME_NS:
        raise reject(RejectReason.BAD_TIME, f"got t {value}, expected less than 2^62 ns from zero")
    return value


def _whole_time(value: float) -> int:
    if value.is_integer():
        return int(value)
    unit = "; it looks like seconds, multiply by 1e9" if abs(value) < MAX_TIME_S else ""
    raise reject(RejectReason.BAD_TIME, f"got t {value!r}, expected whole nanoseconds{unit}")


def whole_numbers(
    numbers: Sequence[int | float], least: int, most: int, name: str, reason: RejectReason
) -> list[int]:
    """Return integers from integers and whole floats, as languages without integers send them.

    Raises:
        MessageError: With that reason, if one has a fraction or is out of range.
    """
    for number in numbers:
        if not (least <= number <= most and number == int(number)):
            raise reject(
                reason, f"got {name} {number}, expected whole numbers from {least} to {most}"
            )
    return [int(number) for number in numbers]


def check_uints(**numbers: int) -> None:
    """Refuse to send an unsigned integer that JavaScript could not hold.

    Raises:
        MessageError: bad_header, naming the number.
    """
    for name, number in numbers.items():
        if not 0 <= number <= MAX_UINT:
            raise reject(RejectReason.BAD_HEADER, f"got {name} {number}, expected 0 to 2^53 - 1")


def sentence_of(error: Exception) -> str:
    """Return the message of another library's exception as the end of a sentence."""
    text = str(error)[:200].rstrip(".")
    return text[:1].lower() + text[1:]


def check_sender(topic: bytes, name: str) -> None:
    """Refuse a message of a rig other than the one its sender's key is named after.

    Args:
        topic: First part of the message.
        name: Name the key is pinned to; empty if it is not allowed any more.

    Raises:
        MessageError: revoked_key, spoofed_rig, or bad_topic if no rig is named at all.
    """
    if not name:
        detail = "the sender's key was taken out of the server's folder of keys"
        raise reject(RejectReason.REVOKED_KEY, detail)
    if topic.startswith(f"kp2d/{name}/".encode()):
        return
    claimed, _ = topic_names(topic, "kp2d", 2)
    raise reject(
        RejectReason.SPOOFED_RIG,
        f"the key of {name!r} published as rig {claimed!r}; a key may publish only as its own name",
    )


def array_to_bytes(array: npt.NDArray[Any], dtype: str) -> bytes:
    """Encode an array, in C order and the element type `dtype`."""
    return np.ascontiguousarray(array, DTYPES[dtype]).tobytes()


def array_from_bytes(raw: bytes, shape: Sequence[int], dtype: str) -> npt.NDArray[Any]:
    """Decode the array in a part of a message.

    Returns:
        A read-only view of `raw`; copy what is to be changed.

    Raises:
        MessageError: bad_shape, if the bytes are not exactly the array's.
    """
    element = DTYPES.get(dtype)
    if element is None:
        known = ", ".join(DTYPES)
        raise reject(RejectReason.BAD_SHAPE, f"got dtype {dtype[:16]!r}, expected one of {known}")
    if math.prod(shape) * element.itemsize != len(raw) or max(shape, default=0) > MAX_MESSAGE_BYTES:
        found = list(shape[:8])
        raise reject(RejectReason.BAD_SHAPE, f"got {len(raw)} bytes for shape {found} of {dtype}")
    return np.frombuffer(raw, element).reshape(shape)


def extras_to_parts(
    arrays: Mapping[str, npt.NDArray[Any]], dtypes: Mapping[str, str]
) -> tuple[tuple[Extra, ...], list[bytes]]:
    """Return `header.extra` and the parts it describes, in the order of `dtypes`."""
    names = [name for name in dtypes if name in arrays]
    extras = tuple(Extra(name, arrays[name].shape, dtypes[name]) for name in names)
    return extras, [array_to_bytes(arrays[name], dtypes[name]) for name in names]


def extras_from_parts(
    extras: Sequence[Extra], parts: Sequence[bytes], dtypes: Mapping[str, str]
) -> dict[str, npt.NDArray[Any]]:
    """Decode the extra arrays whose names are in `dtypes`; others are ignored.

    Args:
        extras: `header.extra`.
        parts: The parts after the payload.
        dtypes: Element type of every array that is understood.

    Raises:
        MessageError: bad_parts or bad_shape.
    """
    if len(extras) != len(parts):
        raise reject(
            RejectReason.BAD_PARTS, f"got {len(parts)} extra parts, extra names {len(extras)}"
        )
    arrays: dict[str, npt.NDArray[Any]] = {}
    for extra, part in zip(extras, parts, strict=True):
        if dtypes.get(extra.name) == extra.dtype:
            arrays[extra.name] = array_from_bytes(part, extra.shape, extra.dtype)
        elif extra.name in dtypes:
            found = f"{extra.name} as {extra.dtype[:16]!r}"
            raise reject(RejectReason.BAD_SHAPE, f"got {found}, expected {dtypes[extra.name]}")
    return arrays
