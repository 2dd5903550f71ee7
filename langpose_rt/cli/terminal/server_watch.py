"""Statistics of a server from its published messages; no socket, no screen, no clock."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from langpose_rt.client.subscriber import ALIVE_S
from langpose_rt.config import NS_PER_S
from langpose_rt.errors import MessageError
from langpose_rt.protocol.fusion_info import FusionInfo
from langpose_rt.protocol.messages import (
    Drops,
    Event,
    Heartbeat,
    PoseMessage,
    decode_pose,
    decode_status,
)

_RECENT = 600
_FORGET_S = 10.0
_EVENTS = 32
_SHOWN_EVENTS = 5


@dataclass
class StreamWatch:
    """Recent messages of one stream."""

    received_s: float = 0.0
    last: PoseMessage | None = None
    latency_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    times_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_RECENT))
    dropped: Counter[str] = field(default_factory=Counter)

    def note(self, message: PoseMessage, now_s: float) -> None:
        """Add one message."""
        lat, drop = message.lat, message.drop
        self.received_s, self.last = now_s, message
        self.latency_ms.append((lat.rx + lat.win + lat.lift + lat.post + lat.tx) / 1e6)
        self.times_ns.append(message.t_srv)
        self.dropped.update({how: getattr(drop, how) for how in Drops.__struct_fields__})

    def row(self) -> dict[str, Any]:
        """Return the stream as --json prints it; the frame rate is that of the capture times."""
        assert self.last is not None
        p50, p99 = np.quantile(self.latency_ms, (0.5, 0.99)).tolist()
        span_s = (self.times_ns[-1] - self.times_ns[0]) / NS_PER_S
        return {
            "stream": f"{self.last.rig}/{self.last.camera}",
            "people": len(self.last.ids),
            "states": dict(Counter(self.last.state)),
            "fps": (len(self.times_ns) - 1) / span_s if span_s > 0 else 0.0,
            "p50_ms": p50,
            "p99_ms": p99,
            "dropped": {how: count for how, count in self.dropped.items() if count},
            "clock_uncertainty_ms": self.last.t_unc_ns / 1e6,
        }


@dataclass
class VolumeWatch:
    """Recent messages of one capture volume."""

    received_s: float = 0.0
    last: PoseMessage | None = None
    wait_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    times_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_RECENT))
    live: deque[int] = field(default_factory=lambda: deque(maxlen=_RECENT))
    residual_px: deque[list[float | None]] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def note(self, message: PoseMessage, fused: FusionInfo, now_s: float) -> None:
        """Add one message."""
        before = None if self.last is None else self.last.fused
        if before is not None and before.cameras != fused.cameras:  # another calibration
            self.live.clear()
            self.residual_px.clear()
        self.received_s, self.last = now_s, message
        self.wait_ms.append(fused.wait_ns / 1e6)
        self.times_ns.append(message.t_srv)
        self.live.append(fused.live)
        self.residual_px.append(_residuals(message, fused))

    def row(self) -> dict[str, Any]:
        """Return the volume as --json prints it.

        The residual of a camera is the median one of the joints it has seen, over recent instants.
        """
        assert self.last is not None
        assert self.last.fused is not None
        p50, p99 = np.quantile(self.wait_ms, (0.5, 0.99)).tolist()
        span_s = (self.times_ns[-1] - self.times_ns[0]) / NS_PER_S
        return {
            "volume": self.last.rig,
            "people": len(self.last.ids),
            "states": dict(Counter(self.last.state)),
            "fps": (len(self.times_ns) - 1) / span_s if span_s > 0 else 0.0,
            "wait_p50_ms": p50,
            "wait_p99_ms": p99,
            "cameras": [
                {
                    "camera": name,
                    "live": float(np.mean([live >> bit & 1 for live in self.live])),
                    "residual_px": _median([row[bit] for row in self.residual_px]),
                }
                for bit, name in enumerate(self.last.fused.cameras)
            ],
        }


def _residuals(message: PoseMessage, fused: FusionInfo) -> list[float | None]:
    """Return the median residual of the joints that each camera sees beside another one."""
    if message.views is None or message.residual_px is None:
        return [None] * len(fused.cameras)
    cameras = fused.cameras_in(message.views)
    several = cameras.sum(-1) >= 2
    seen = [message.residual_px[several & own] for own in np.moveaxis(cameras, -1, 0)]
    return [float(np.median(own)) if len(own) else None for own in seen]


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


@dataclass
class _CountedEvent:
    """An event with its count and the time of its last message."""

    last: Event
    count: int
    received_s: float


class ServerWatch:
    """State of a server from outside: heartbeat, streams, volumes and events.

    Attributes:
        heartbeat: The last one; None before the first.
    """

    def __init__(self) -> None:
        self.heartbeat: Heartbeat | None = None
        self._beat_s = float("-inf")
        self._streams: dict[bytes, StreamWatch] = {}
        self._volumes: dict[bytes, VolumeWatch] = {}
        self._events: dict[tuple[str, str, str], _CountedEvent] = {}

    def note(self, parts: Sequence[bytes], now_s: float) -> None:
        """Add one published message; unreadable ones are skipped."""
        try:
            if parts[0].startswith(b"pose3d/"):
                message = decode_pose(parts)
                if (fused := message.fused) is not None:
                    self._volumes.setdefault(parts[0], VolumeWatch()).note(message, fused, now_s)
                else:
                    self._streams.setdefault(parts[0], StreamWatch()).note(message, now_s)
            elif parts[0].startswith(b"hb/"):
                status = decode_status(parts)
                assert isinstance(status, Heartbeat)
                self.heartbeat, self._beat_s = status, now_s
            elif parts[0].startswith(b"event/"):
                event = decode_status(parts)
                assert isinstance(event, Event)
                self._add_event(event, now_s)
        except MessageError:  # a newer server may publish unknown messages
            return

    def alive(self, now_s: float) -> bool:
        """Return True if a heartbeat has arrived recently."""
        return now_s - self._beat_s <= ALIVE_S

    def report(self, now_s: float) -> dict[str, Any]:
        """Return everything --json prints; the server is null without a heartbeat."""
        self._streams = {
            topic: stream
            for topic, stream in self._streams.items()
            if now_s - stream.received_s <= _FORGET_S
        }
        self._volumes = {
            topic: volume
            for topic, volume in self._volumes.items()
            if now_s - volume.received_s <= _FORGET_S
        }
        return {
            "server": self._server() if self.alive(now_s) else None,
            "streams": [self._streams[topic].row() for topic in sorted(self._streams)],
            "volumes": [self._volumes[topic].row() for topic in sorted(self._volumes)],
            "events": [
                {
                    "kind": counted.last.kind, "subject": counted.last.subject,
                    "reason": counted.last.reason, "detail": counted.last.detail,
                    "count": counted.count, "ago_s": now_s - counted.received_s,
                }
                for counted in list(self._events.values())[: -_SHOWN_EVENTS - 1 : -1]
            ],
        }  # fmt: skip

    def _server(self) -> dict[str, Any]:
        beat = self.heartbeat
        assert beat is not None
        names = ("server", "state", "uptime_s", "persons", "fps", "p99_ms")
        server: dict[str, Any] = {name: getattr(beat, name) for name in names}
        model = beat.model
        server["model"] = model and f"{model.id} {model.sha256[:12]} {model.precision}"
        server["backend"] = model and model.backend
        return server

    def _add_event(self, event: Event, now_s: float) -> None:
        """Add an event, in the order of last arrival."""
        name = event.kind, event.subject, event.reason
        before = self._events.pop(name, None)
        count = event.count + (before.count if before is not None else 0)
        self._events[name] = _CountedEvent(event, count, now_s)
        if len(self._events) > _EVENTS:
            del self._events[next(iter(self._events))]
