"""The server at one moment: a heartbeat, the metrics and the status page all say this."""

from collections.abc import Sequence
from dataclasses import dataclass

from langpose_rt.monitoring.counters import Stats
from langpose_rt.protocol.messages import ModelStamp


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamSnapshot:
    """One stream at one moment.

    Attributes:
        epoch: Of the rig.
        persons: People who have a slot.
        waiting: Frames that wait to be lifted.
        unanswered: Frames that wait for their lookahead.
        assumed_intrinsics: Nobody knows its lens: the rig should send k, or the server be told.
        offset_ns: What to add to the rig's clock to have the server's.
        heard_ago_s: Time since its last message.
        totals: Frames accepted and lost, by name.
    """

    rig: str
    camera: str
    epoch: int
    persons: int
    waiting: int
    unanswered: int
    assumed_intrinsics: bool
    offset_ns: int
    heard_ago_s: float
    totals: dict[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """The whole server at one moment.

    Attributes:
        state: One of starting, ready, degraded, draining.
        persons, slots: Slots that are taken, and all.
        fps: Poses per second, all people together.
        p50_ms, p95_ms, p99_ms: Of the recent latencies that the server added.
        counters, rejected: Totals since the start.
        recording: "off", "on", or "stopped: " and why.
        buckets, latency_total_ns: Of the latency histogram since the start.
    """

    server: str
    state: str
    uptime_s: float
    model: ModelStamp
    persons: int
    slots: int
    fps: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    counters: dict[str, int]
    rejected: dict[str, int]
    recording: str
    buckets: tuple[int, ...]
    latency_total_ns: int
    streams: tuple[StreamSnapshot, ...]

    @classmethod
    def of(
        cls,
        stats: Stats,
        streams: Sequence[StreamSnapshot],
        *,
        server: str,
        state: str,
        uptime_s: float,
        model: ModelStamp,
        persons: int,
        slots: int,
        fps: float,
    ) -> "Snapshot":
        """What was counted so far, with what only the pipeline knows."""
        p50_ms, p95_ms, p99_ms = stats.latency.quantiles_ms(0.5, 0.95, 0.99)
        return cls(
            server=server,
            state=state,
            uptime_s=uptime_s,
            model=model,
            persons=persons,
            slots=slots,
            fps=fps,
            p50_ms=p50_ms,
            p95_ms=p95_ms,
            p99_ms=p99_ms,
            counters=stats.counters(stream.totals for stream in streams),
            rejected=dict(stats.rejected),
            recording=stats.recording,
            buckets=tuple(stats.latency.buckets),
            latency_total_ns=stats.latency.total_ns,
            streams=tuple(streams),
        )
