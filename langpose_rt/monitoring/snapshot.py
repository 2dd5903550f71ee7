"""Snapshot of the server at one moment, for the heartbeat, the metrics and the status page."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from langpose_rt.monitoring.counters import Stats
from langpose_rt.protocol.messages import ModelStamp


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamSnapshot:
    """State of one stream at one moment.

    Attributes:
        epoch: Of the rig.
        persons: People who have a slot.
        waiting: Frames that wait to be encoded.
        unanswered: Frames that wait for their lookahead.
        assumed_intrinsics: The lens is not known: send k from the rig, or give the server a file.
        offset_ns: Difference from the rig's clock to the server's.
        heard_ago_s: Time since its last message.
        totals: Frames accepted and lost, by name.
        suspects: Findings of the plausibility checks: reason and sentence.
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
    suspects: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeCamera:
    """State of one camera of a capture volume at one moment.

    Attributes:
        name: In the calibration.
        stream: "rig/camera" that stands for it; empty before the first frame.
        heard_ago_s: Time since its last frame was fused; None before the first.
        late_ms: Mean time from capture until a frame is there to be fused.
        residual_mm: Median distance of its rays from the people, lately; None without people.
        people: People in its last frame.
        T_world_camera: Where it stands, 4 x 4 row by row.
    """

    name: str
    stream: str
    heard_ago_s: float | None
    late_ms: float | None
    residual_mm: float | None
    people: int
    T_world_camera: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeSnapshot:
    """State of one capture volume at one moment.

    Attributes:
        name: Name in the topic of its poses.
        people: People at the last instant.
        fps: Instants per second.
        gravity: Unit vector that points down in world axes; None if it is not known.
        format: Keypoint format that is fused; empty before the first frame.
        cameras: One snapshot per camera of the calibration.
    """

    name: str
    people: int
    fps: float
    gravity: tuple[float, float, float] | None
    format: str
    cameras: tuple[VolumeCamera, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerState:
    """State of the pipeline at one moment.

    Attributes:
        server: Name of the server.
        state: One of starting, ready, degraded, draining.
        uptime_s: Time since the start.
        model: The active model.
        persons, slots: Slots in use, and all.
        fps: Poses per second, all people together.
    """

    server: str
    state: str
    uptime_s: float
    model: ModelStamp
    persons: int
    slots: int
    fps: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot(ServerState):
    """State, counters and streams of the server at one moment.

    Attributes:
        p50_ms, p95_ms, p99_ms: Of the recent latencies that the server added.
        counters, rejected: Totals since the start.
        recording: "off", "on", or "stopped: " and the reason.
        buckets, latency_total_ns: Of the latency histogram since the start.
        streams: One snapshot per stream.
        volumes: One snapshot per capture volume.
    """

    p50_ms: float
    p95_ms: float
    p99_ms: float
    counters: dict[str, int]
    rejected: dict[str, int]
    recording: str
    buckets: tuple[int, ...]
    latency_total_ns: int
    streams: tuple[StreamSnapshot, ...]
    volumes: tuple[VolumeSnapshot, ...] = ()

    @classmethod
    def of(
        cls,
        state: ServerState,
        stats: Stats,
        streams: Sequence[StreamSnapshot],
        volumes: tuple[VolumeSnapshot, ...] = (),
    ) -> "Snapshot":
        """Return a snapshot of this state and of the counters at this moment."""
        p50_ms, p95_ms, p99_ms = stats.latency.quantiles_ms(0.5, 0.95, 0.99)
        return cls(
            **{field.name: getattr(state, field.name) for field in fields(ServerState)},
            p50_ms=p50_ms,
            p95_ms=p95_ms,
            p99_ms=p99_ms,
            counters=stats.counters(stream.totals for stream in streams),
            rejected=dict(stats.rejected),
            recording=stats.recording,
            buckets=tuple(stats.latency.buckets),
            latency_total_ns=stats.latency.total_ns,
            streams=tuple(streams),
            volumes=volumes,
        )
