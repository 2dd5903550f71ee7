"""What is counted and measured while serving: totals, latencies and rates, in bounded memory.

The picture of it all at one moment is `snapshot.py`; how that is shown is `health.py`'s business.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

NS_PER_MS = 1_000_000
EDGES_MS = (0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 25, 35, 50, 75, 100, 250, 1000)
"""Upper edges of the latency histogram's buckets; one more bucket takes the rest."""

LOSSES = ("late", "dup", "gap", "shed")
"""Ways in which a frame never reaches the encoder; each stream counts its own."""

RECENT = 4096
"""Latencies that quantiles are taken over, at most."""

_EDGES_NS = tuple(round(edge * NS_PER_MS) for edge in EDGES_MS)


class LatencyHistogram:
    """Latencies since the start in buckets, and the recent ones exactly.

    Attributes:
        buckets: How many fell into each bucket, not cumulated.
        total_ns: Sum of all.
    """

    def __init__(self) -> None:
        self.buckets = [0] * (len(EDGES_MS) + 1)
        self.total_ns = self._added = 0
        # A ring of plain numbers: thousands of int objects that come and go all over the heap
        # would keep its pages from being reused.
        self._recent = array("q", bytes(8 * RECENT))

    def add(self, latency_ns: int) -> None:
        """Count one latency; a negative one, of a clock that was set back, counts as 0."""
        latency_ns = max(latency_ns, 0)
        self.buckets[bisect_left(_EDGES_NS, latency_ns)] += 1
        self.total_ns += latency_ns
        self._recent[self._added % RECENT] = latency_ns
        self._added += 1

    def quantiles_ms(self, *shares: float) -> tuple[float, ...]:
        """The given quantiles of the recent latencies; 0 where there are none."""
        ordered = sorted(self._recent[: self._added])
        if not ordered:
            return (0.0,) * len(shares)
        return tuple(
            ordered[min(int(s * len(ordered)), len(ordered) - 1)] / NS_PER_MS for s in shares
        )


class Rate:
    """Events per second between two looks."""

    def __init__(self, now_ns: int) -> None:
        self._count, self._since_ns, self.per_s = 0, now_ns, 0.0

    def add(self, count: int) -> None:
        """Count events."""
        self._count += count

    def look(self, now_ns: int) -> float:
        """Events per second since the last look; remembered in ``per_s``."""
        elapsed_ns = now_ns - self._since_ns
        if elapsed_ns > 0:
            self.per_s = self._count * 1e9 / elapsed_ns
            self._count, self._since_ns = 0, now_ns
        return self.per_s


@dataclass(slots=True, eq=False)
class Stats:
    """Totals since the start. The names of the integer fields are the names of the counters.

    Attributes:
        messages: Messages that arrived, whatever they were.
        frames, poses: Frames answered and people in them.
        late, dup, gap, shed: Frames of streams that are gone, lost before the encoder.
        people_dropped: People beyond the most one message may hold.
        clipped: Joints made missing because a number was impossible.
        duplicate_ids: People whose id was taken.
        slots_refused: People (per frame) for whom there was no slot.
        clock_steps: Frames timed by the receive clock because the capture clock stepped.
        restarts: New epochs of known streams.
        backend_errors: Computations that failed, each for all the people in it.
        forgotten: People forgotten because the model gave impossible numbers.
        reloads, reloads_refused: Models that took over, and that could not.
        reconnects: Connections made anew to rigs that bind, because they were silent.
        unsendable: Messages that could not be encoded.
        internal_errors: Faults of this program that cost one message or step.
        recorded, unrecorded: Messages and decisions that went into a recording, and that did not
            although there was to be one.
        recording: "off", "on", or "stopped: " and why.
        rejected: Messages refused, by reason.
        latency: From the arrival of a frame to the end of the step that took it.
    """

    messages: int = 0
    frames: int = 0
    poses: int = 0
    late: int = 0
    dup: int = 0
    gap: int = 0
    shed: int = 0
    people_dropped: int = 0
    clipped: int = 0
    duplicate_ids: int = 0
    slots_refused: int = 0
    clock_steps: int = 0
    restarts: int = 0
    backend_errors: int = 0
    forgotten: int = 0
    reloads: int = 0
    reloads_refused: int = 0
    reconnects: int = 0
    unsendable: int = 0
    internal_errors: int = 0
    recorded: int = 0
    unrecorded: int = 0
    recording: str = "off"
    rejected: dict[str, int] = field(default_factory=dict)
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)

    def reject(self, reason: str) -> None:
        """Count a refused message; reasons are few and fixed."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def keep(self, totals: Mapping[str, int]) -> None:
        """Take over what a stream lost that is now forgotten."""
        for name in LOSSES:
            setattr(self, name, getattr(self, name) + totals[name])

    def counters(self, streams: Iterable[Mapping[str, int]] = ()) -> dict[str, int]:
        """Every integer by its name, and how many messages were rejected in all.

        Args:
            streams: Losses of the streams there are.
        """
        names = [name for name in self.__slots__ if isinstance(getattr(self, name), int)]
        counters = {name: getattr(self, name) for name in names}
        for totals in streams:
            for name in LOSSES:
                counters[name] += totals[name]
        return counters | {"rejected": sum(self.rejected.values())}
