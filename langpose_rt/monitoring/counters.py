"""Counters of the server: totals, latencies and rates, in bounded memory.

Their values at one moment are in `snapshot.py`; metrics pages are in `langpose_rt.server.http`.
"""

import threading
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from langpose_rt.protocol.header import MAX_UINT

NS_PER_MS = 1_000_000
EDGES_MS = (0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 25, 35, 50, 75, 100, 250, 1000)
"""Upper edges of the latency histogram's buckets; one more bucket takes the rest."""

LOSSES = ("late", "dup", "gap", "shed", "failed")
"""Ways in which a frame is lost; each stream counts its own.

    late, dup, gap, shed    never reached the encoder
    failed                  the backend failed in the step that encoded or lifted it
"""

MEANINGS = {
    "messages": "Messages that arrived, whatever they were.",
    "frames": "Frames that were lifted.",
    "poses": "People in the frames that were lifted.",
    "late": "Frames that came after a newer one of their stream.",
    "dup": "Frames that came twice.",
    "gap": "Frames that never came: their numbers were passed over.",
    "shed": "Frames left out because there was no time to lift them.",
    "failed": "Frames lost to an error of the model.",
    "people_dropped": "People beyond the most that one message may hold.",
    "clipped": "Joints made missing because a number was impossible.",
    "duplicate_ids": "People whose id was taken.",
    "slots_refused": "People, in each frame, for whom the server had no room.",
    "clock_steps": "Frames timed by the receive clock because the capture clock stepped.",
    "restarts": "New starts of the publishers of known streams.",
    "backend_errors": "Computations that failed, each for all the people in it.",
    "reset_errors": "Resets of people that failed in the backend.",
    "forgotten": "People reset because the model gave impossible numbers.",
    "reloads": "Models that became active.",
    "reloads_refused": "Models that could not become active.",
    "fused": "Messages of capture volumes.",
    "unfused": "Frames that their capture volume did not take.",
    "reconnects": "Reconnections to rigs that bind, because they were silent.",
    "unsendable": "Messages that could not be encoded.",
    "internal_errors": "Unexpected exceptions that cost one message or step.",
    "recorded": "Messages and decisions written to the recording.",
    "unrecorded": "Messages and decisions lost to the recording.",
}
"""Help text of each counter; late, dup, gap, shed and failed include removed streams."""

RECENT = 4096
"""Latencies that quantiles are taken over, at most."""

_EDGES_NS = tuple(round(edge * NS_PER_MS) for edge in EDGES_MS)


class LatencyHistogram:
    """Latencies since the start in buckets, and the recent ones exactly.

    Attributes:
        buckets: Count per bucket, not cumulated.
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
        """Return quantiles of the recent latencies; 0 without any."""
        ordered = sorted(self._recent[: self._added])
        if not ordered:
            return (0.0,) * len(shares)
        return tuple(
            ordered[min(int(s * len(ordered)), len(ordered) - 1)] / NS_PER_MS for s in shares
        )


class Rate:
    """Events per second between two readings."""

    def __init__(self, now_ns: int) -> None:
        self._count, self._since_ns, self.per_s = 0, now_ns, 0.0

    def add(self, count: int) -> None:
        """Count events."""
        self._count += count

    def update(self, now_ns: int) -> float:
        """Return events per second since the last call; kept in ``per_s``."""
        elapsed_ns = now_ns - self._since_ns
        if elapsed_ns > 0:
            self.per_s = self._count * 1e9 / elapsed_ns
            self._count, self._since_ns = 0, now_ns
        return self.per_s


@dataclass(slots=True, eq=False)
class Stats:
    """Totals since the start. The names of the integer fields are the names of the counters.

    Counted with `add` and `reject` by every thread of the server; read without a lock.

    What each counts is in `MEANINGS`.

    Attributes:
        recording: "off", "on", or "stopped: " and the reason.
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
    failed: int = 0
    people_dropped: int = 0
    clipped: int = 0
    duplicate_ids: int = 0
    slots_refused: int = 0
    clock_steps: int = 0
    restarts: int = 0
    backend_errors: int = 0
    reset_errors: int = 0
    forgotten: int = 0
    reloads: int = 0
    reloads_refused: int = 0
    fused: int = 0
    unfused: int = 0
    reconnects: int = 0
    unsendable: int = 0
    internal_errors: int = 0
    recorded: int = 0
    unrecorded: int = 0
    recording: str = "off"
    rejected: dict[str, int] = field(default_factory=dict)
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def add(self, name: str, count: int = 1) -> int:
        """Add to one counter, which stops at MAX_UINT; return its total. Safe from any thread."""
        with self._lock:
            total: int = min(getattr(self, name) + count, MAX_UINT)
            setattr(self, name, total)
            return total

    def reject(self, reason: str) -> None:
        """Count a refused message; reasons are few and fixed. Safe from any thread."""
        with self._lock:
            self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def keep(self, totals: Mapping[str, int]) -> None:
        """Add the losses of a stream that is removed."""
        for name in LOSSES:
            self.add(name, totals[name])

    def counters(self, streams: Iterable[Mapping[str, int]] = ()) -> dict[str, int]:
        """Return every counter by name, and the number of rejected messages.

        Args:
            streams: Losses of the current streams.
        """
        names = [name for name in self.__slots__ if isinstance(getattr(self, name), int)]
        counters = {name: getattr(self, name) for name in names}
        for totals in streams:
            for name in LOSSES:
                counters[name] = min(counters[name] + totals[name], MAX_UINT)
        with self._lock:
            rejected = sum(self.rejected.values())
        return counters | {"rejected": rejected}
