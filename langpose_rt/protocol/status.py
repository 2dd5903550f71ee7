"""Status messages: heartbeat `hb/1`, schema `schema/1` and event `event/1`.

They are scheduled by `langpose_rt.monitoring.announcer`; the byte format is specified in
`messages.py`.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from langpose_rt.geometry.skeleton import Skeleton
from langpose_rt.protocol.header import (
    MAX_JOINTS,
    MAX_TIME_NS,
    PROTOCOL,
    VERSION,
    RejectReason,
    UInt,
    check_parts,
    header_from_bytes,
    header_to_bytes,
    reject,
    topic_names,
    topic_of,
)
from langpose_rt.protocol.poses import ModelStamp

UnixNs = Annotated[int, Meta(ge=-MAX_TIME_NS, le=MAX_TIME_NS)]
Amount = Annotated[float, Meta(ge=0, le=1e15)]
Joint = Annotated[int, Meta(ge=0, lt=MAX_JOINTS)]
Weight = Annotated[float, Meta(ge=-1e3, le=1e3)]


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, rename={"t_ns": "t"}):
    """Heartbeat of the server, once a second.

    Args:
        server: Name of the server.
        epoch: Random number of this start of the server.
        seq: Number of the heartbeat.
        t_ns: The server's unix time in nanoseconds.
        state: "starting", "ready", "degraded" or "draining".
        uptime_s: Seconds since the start.
        streams: Streams with recent messages.
        persons: People that are being lifted.
        fps: Poses per second over the last second, all people together.
        p99_ms: 99th percentile of the latency the server added lately.
        model: The active model, once there is one.
        counters: Totals since the start, by name: what was rejected, dropped and shed.
    """

    server: str
    epoch: UInt
    seq: UInt
    t_ns: UnixNs
    state: Literal["starting", "ready", "degraded", "draining"]
    uptime_s: Amount = 0.0
    streams: UInt = 0
    persons: UInt = 0
    fps: Amount = 0.0
    p99_ms: Amount = 0.0
    model: ModelStamp | None = None
    counters: dict[str, UInt] = {}

    @property
    def topic(self) -> str:
        """Topic of this server's heartbeat."""
        return topic_of("hb", self.server)


class SchemaMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A keypoint format as data, so that a viewer needs no table of its own.

    Args:
        name: Name of the format.
        joints: Name of every joint.
        edges: Bones to draw, as joint numbers.
        pairs: (left, right) joints that trade places in a mirror.
        to_h36m: For every Human3.6M joint the (joint, weight) that make it; empty if none do.
    """

    name: str
    joints: tuple[str, ...]
    edges: tuple[tuple[Joint, Joint], ...]
    pairs: tuple[tuple[Joint, Joint], ...]
    to_h36m: tuple[tuple[tuple[Joint, Weight], ...], ...]

    @property
    def topic(self) -> str:
        """Topic of this schema."""
        return topic_of("schema", self.name)


class Event(msgspec.Struct, frozen=True, kw_only=True, rename={"t_ns": "t"}):
    """Event that a person may want to know.

    Args:
        kind: "reject", "drain", "clock" or another name.
        epoch: Random number of this start of the server.
        seq: Number of the event of this kind.
        t_ns: The server's unix time in nanoseconds.
        subject: Topic it is about; empty if it is about the server.
        reason: Short snake_case label.
        detail: One sentence for a person.
        count: How often it happened since it was last reported.
    """

    kind: str
    epoch: UInt
    seq: UInt
    t_ns: UnixNs
    subject: str = ""
    reason: str = ""
    detail: str = ""
    count: UInt = 1

    @property
    def topic(self) -> str:
        """Topic of this kind of event."""
        return topic_of("event", self.kind)


StatusMessage = Heartbeat | SchemaMessage | Event

_KINDS: dict[str, tuple[type[StatusMessage], msgspec.msgpack.Decoder[Any], str]] = {
    "hb": (Heartbeat, msgspec.msgpack.Decoder(Heartbeat), "server"),
    "schema": (SchemaMessage, msgspec.msgpack.Decoder(SchemaMessage), "name"),
    "event": (Event, msgspec.msgpack.Decoder(Event), "kind"),
}
"""Type, decoder and the field that names the topic, by the first word of the topic."""


def schema_from_skeleton(skeleton: Skeleton) -> SchemaMessage:
    """Return the schema message of a keypoint format."""
    return SchemaMessage(
        name=skeleton.name,
        joints=skeleton.joints,
        edges=skeleton.edges,
        pairs=skeleton.pairs,
        to_h36m=skeleton.to_h36m,
    )


def encode_status(message: StatusMessage) -> list[bytes]:
    """Encode a heartbeat, schema or event.

    Raises:
        MessageError: bad_topic, bad_header (such as a number that is not finite) or
            header_too_large.
    """
    kind = next(kind for kind, (known, *_) in _KINDS.items() if type(message) is known)
    stamp = {"p": PROTOCOL, "v": VERSION, "s": f"{kind}/1"}
    parts = [message.topic.encode(), header_to_bytes(stamp | msgspec.to_builtins(message))]
    decode_status(parts)  # status messages are rare: one that cannot be read is not sent
    return parts


def decode_status(parts: Sequence[bytes]) -> StatusMessage:
    """Decode a heartbeat, schema or event; unknown keys and further parts are ignored.

    Raises:
        MessageError: If it is none of them, or not acceptable.
    """
    check_parts(parts, at_least=2)
    kind = parts[0].partition(b"/")[0].decode("latin-1")
    if kind not in _KINDS:
        raise reject(
            RejectReason.BAD_TOPIC, f"got topic {kind[:64]!r}, expected one of {list(_KINDS)}"
        )
    (name,) = topic_names(parts[0], kind, 1)
    _, decoder, field = _KINDS[kind]
    message: StatusMessage = header_from_bytes(parts[1], decoder, f"{kind}/1")
    if getattr(message, field) != name:
        raise reject(RejectReason.BAD_TOPIC, f"got topic of {name!r}, but {field} differs")
    return message
