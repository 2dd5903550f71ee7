"""Snapshot of the cluster: those of its lifters added up, as if it were one server."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from langpose_rt.monitoring.counters import EDGES_MS
from langpose_rt.monitoring.snapshot import Snapshot
from langpose_rt.protocol.poses import ModelStamp


@dataclass(frozen=True, kw_only=True, slots=True)
class LifterState:
    """One lifter at one moment.

    Attributes:
        lifter: Its name.
        state: "starting" and "lost", or as in its own snapshot.
        streams, persons, slots: Streams it owns, slots in use, and all.
        fps: Poses per second.
        p99_ms: Of the latency it added lately.
    """

    lifter: str
    state: str
    streams: int = 0
    persons: int = 0
    slots: int = 0
    fps: float = 0.0
    p99_ms: float = 0.0
    model: ModelStamp | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterSnapshot(Snapshot):
    """Snapshot of the cluster, and the state of every lifter."""

    lifters: tuple[LifterState, ...]


def merged_snapshot(
    front: Mapping[str, object],
    snapshots: Mapping[str, Snapshot],
    states: Sequence[LifterState],
    *,
    owner: Callable[[str, str], str | None],
    counts: Mapping[str, int],
    rejected: Mapping[str, int],
) -> ClusterSnapshot:
    """Return the snapshots of all lifters as one.

    Args:
        front: Name, state and uptime of the front.
        snapshots: Of the live lifters, by name.
        states: Of all lifters.
        owner: Returns the owner of a stream: only its view of the stream is taken.
        counts, rejected: Totals of the front, which are added.

    Returns:
        Sums; of the quantiles of latency the largest, and the model of the first lifter.
    """
    own = list(snapshots.values())
    counters, reasons = Counter(counts), Counter(rejected)
    for snapshot in own:
        counters.update(snapshot.counters)
        reasons.update(snapshot.rejected)
    streams = [
        stream
        for name, snapshot in sorted(snapshots.items())
        for stream in snapshot.streams
        if owner(stream.rig, stream.camera) == name
    ]
    buckets = [sum(column) for column in zip(*(s.buckets for s in own), strict=True)]
    model = own[0].model if own else ModelStamp("none")
    return ClusterSnapshot(
        server=str(front["server"]),
        state=str(front["state"]),
        uptime_s=float(str(front["uptime_s"])),
        model=model,
        persons=sum(stream.persons for stream in streams),
        slots=sum(snapshot.slots for snapshot in own),
        fps=float(sum(snapshot.fps for snapshot in own)),
        p50_ms=max((s.p50_ms for s in own), default=0.0),
        p95_ms=max((s.p95_ms for s in own), default=0.0),
        p99_ms=max((s.p99_ms for s in own), default=0.0),
        counters=dict(counters),
        rejected=dict(reasons),
        recording="off",
        buckets=tuple(buckets or [0] * (len(EDGES_MS) + 1)),
        latency_total_ns=sum(snapshot.latency_total_ns for snapshot in own),
        streams=tuple(streams),
        lifters=tuple(states),
    )
