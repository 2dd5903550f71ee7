"""Control messages `ctl/1`: requests to a server and its answers.

This docstring is their specification; what all messages share is in `messages.py`.

The server's ROUTER takes one request per message and answers each with one message. A REQ socket
sends [request]; a DEALER sends [request], or ["", request] as REQ does underneath, and is answered
in the same way. A request is a map of at most 8 KiB, as msgpack or as JSON (its first byte is "{",
"[" or white space); the answer has the encoding of the request and at most 1 MiB.

Request
=======
    p, v, s     "lprt", 1 and "ctl/1"
    op          string, one of those below
  optional
    id          uint, returned in the answer, so that late answers can be recognised
    versions    hello: [int], at most 16, protocol versions the client speaks; left out: [v]
    name        schema: one keypoint format; left out: all
                drain, to the front of a cluster: one lifter; left out: the whole cluster
    t           clock: time, returned in the answer
    model       reload: a model folder on the server's machine; left out: the one it was started
                with, read again
    file        cameras: a calibration file on the server's machine. It replaces the one of the same
                name without its ending, or the only one; everybody in the volume keeps the id

Answer
======
    p, v, s, op, id     as above; op is "" where the request could not be read
    ok          bool
    err         string, where ok is false: one of the reasons of `RejectReason`
    detail      string, where ok is false: one sentence for a person
    versions    [int], where ok is false: protocol versions the server speaks
    data        map or list, where ok is true, of
        hello       {version: the highest both speak, server, epoch, state, model: as in pose3d/1,
                     ports: {keypoints, poses, control, http}, formats: [string],
                     limits: {name: uint}, t: time}; http is 0 where there is none
        status      what http://.../status shows
        schema      [schema/1 without p, v, s]
        clock       {t: as sent, t_rx, t_tx: unix ns of the server when the request came and when
                     this left it}; strings of digits if t was one
        reload      the model that is active from now on, as in pose3d/1; the answer comes when
                     it is, after seconds
        cameras     {volume: string, cameras: [string], notes: [string]}: the calibration that is
                    used from the next step on
        drain       {}; the server then publishes event/drain/ and ends within a second

hello is answered whatever its v. With the client's clock at sending and receipt, t0 and t3, the
clock answer gives offset = ((t_rx - t0) + (t_tx - t3)) / 2 from the client's clock to the server's,
with an uncertainty of (t3 - t0 - (t_tx - t_rx)) / 2; of several probes the least uncertain is best.

reload, cameras and drain change the server. A server with keys takes them from one key alone, which
its --admin names ("admin"), and the rest from every key; a server without takes them only where no
other machine can reach it. Others are refused as not_allowed, and a key that was taken out of the
server's folder as revoked_key. One reload runs at a time; a second is refused as busy, and a model
that cannot serve as model_refused, after which the old one goes on; likewise a calibration that
cannot be used as cameras_refused. A flood of requests is answered
late: all requests together get a tenth of a core.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from langpose_rt.protocol.header import (
    PROTOCOL,
    UNREADABLE,
    VERSION,
    VERSIONS_SPOKEN,
    RejectReason,
    Stamp,
    TimeNs,
    UInt,
    check_header_size,
    check_stamp,
    reject,
    sentence_of,
    time_from_wire,
)
from langpose_rt.protocol.keypoints_json import JSON_FIRST_BYTES
from langpose_rt.protocol.poses import ModelStamp

CONTROL_SCHEMA = "ctl/1"
OPERATIONS = ("hello", "status", "schema", "clock", "reload", "cameras", "drain")

Version = Annotated[int, Meta(ge=0, le=1 << 31)]
Path = Annotated[str, Meta(max_length=4096)]


class Request(Stamp, omit_defaults=True):
    """Request to a server; see above for every key."""

    op: str
    id: UInt | None = None
    versions: Annotated[tuple[Version, ...], Meta(max_length=16)] | None = None
    name: str | None = None
    t: TimeNs | None = None
    model: Path | None = None
    file: Path | None = None

    @classmethod
    def of(cls, op: str, **keys: Any) -> "Request":
        """Build a request of this version."""
        return cls(p=PROTOCOL, v=VERSION, s=CONTROL_SCHEMA, op=op, **keys)


class Reply(Stamp, omit_defaults=True):
    """Answer of a server; see above for every key."""

    op: str
    ok: bool
    id: UInt | None = None
    err: str = ""
    detail: str = ""
    versions: tuple[Version, ...] = ()
    data: Any = None

    @classmethod
    def of(cls, request: Request, data: object) -> "Reply":
        """Build the answer to a granted request; ``data`` is a Struct, a map or a list."""
        content = msgspec.to_builtins(data)
        return cls(
            p=PROTOCOL, v=VERSION, s=CONTROL_SCHEMA,
            op=request.op, ok=True, id=request.id, data=content,
        )  # fmt: skip

    @classmethod
    def refusal(cls, request: Request | None, reason: str, detail: str) -> "Reply":
        """Build the answer to a request that was refused, or could not be read."""
        return cls(
            p=PROTOCOL, v=VERSION, s=CONTROL_SCHEMA,
            op="" if request is None else request.op, ok=False,
            id=None if request is None else request.id,
            err=reason, detail=detail, versions=VERSIONS_SPOKEN,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports a server really listens on; http is 0 where there is none."""

    keypoints: int = 0
    poses: int = 0
    control: int = 0
    http: int = 0


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to the `hello` request: the server, its model, ports and limits.

    Args:
        version: The highest protocol version that both sides speak.
        server: Its name.
        epoch: Random number of this start of it.
        state: "starting", "ready", "degraded" or "draining".
        model: The active model.
        ports: Where it listens.
        formats: Keypoint formats it takes.
        limits: The largest numbers it takes, by name.
        t: Its unix time in nanoseconds.
    """

    version: int
    server: str
    epoch: UInt
    state: str
    model: ModelStamp
    ports: Ports
    formats: tuple[str, ...]
    limits: dict[str, UInt]
    t: TimeNs


class LoadedCameras(msgspec.Struct, frozen=True):
    """Answer to the `cameras` request: the calibration in use, and remarks on its file."""

    volume: str
    cameras: tuple[str, ...]
    notes: tuple[str, ...] = ()


class ClockReading(msgspec.Struct, frozen=True):
    """Clock answer: time in the request, server's time of receipt and of sending."""

    t: TimeNs
    t_rx: TimeNs
    t_tx: TimeNs


_REQUESTS = msgspec.msgpack.Decoder(Request), msgspec.json.Decoder(Request)
_REPLIES = msgspec.msgpack.Decoder(Reply), msgspec.json.Decoder(Reply)


def is_json(raw: bytes) -> bool:
    """Return True if a request or an answer is JSON, False if it is msgpack."""
    return raw[:1] in JSON_FIRST_BYTES and raw != b""


def encode_control(message: Request | Reply, *, as_json: bool = False) -> bytes:
    """Encode a request or an answer."""
    return msgspec.json.encode(message) if as_json else msgspec.msgpack.encode(message)


def decode_request(raw: bytes) -> Request:
    """Decode a request; the keys of its operation are checked where it is answered.

    Raises:
        MessageError: header_too_large, bad_header, bad_time, unknown_protocol, unknown_version or
            unknown_schema.
    """
    check_header_size(len(raw))
    try:
        request = _REQUESTS[is_json(raw)].decode(raw)
    except UNREADABLE as error:
        raise reject(RejectReason.BAD_HEADER, sentence_of(error)) from None
    negotiates = request.op == "hello" and request.v not in VERSIONS_SPOKEN
    check_stamp(
        Stamp(p=request.p, v=VERSION if negotiates else request.v, s=request.s), CONTROL_SCHEMA
    )
    if request.t is not None:
        time_from_wire(request.t)
    return request


def decode_reply(raw: bytes) -> Reply:
    """Decode an answer.

    Raises:
        MessageError: bad_header, unknown_protocol, unknown_version or unknown_schema.
    """
    try:
        reply = _REPLIES[is_json(raw)].decode(raw)
    except UNREADABLE as error:
        raise reject(RejectReason.BAD_HEADER, sentence_of(error)) from None
    check_stamp(reply, CONTROL_SCHEMA)
    return reply
