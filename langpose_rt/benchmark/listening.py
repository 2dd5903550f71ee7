"""Collection of a server's pose messages, and their latency."""

import threading
import time
from dataclasses import dataclass, field

import numpy as np

from langpose_rt.client.subscriber import PoseSubscriber
from langpose_rt.config import NS_PER_S
from langpose_rt.protocol.messages import PoseMessage

_POLL_S = 0.05


@dataclass
class Listener:
    """A thread that collects every pose message of a rig while the block runs.

    Attributes:
        endpoint: Pose endpoint of the server.
        rig: Name of the rig.
        messages: Messages in the order of arrival.
        arrived_s: Arrival time of each, seconds of `time.perf_counter`.
    """

    endpoint: str
    rig: str = ""
    messages: list[PoseMessage] = field(default_factory=list)
    arrived_s: list[float] = field(default_factory=list)

    def __enter__(self) -> "Listener":
        self._stop, self._heard = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for_server(self, timeout_s: float) -> bool:
        """Wait for a heartbeat, after which no poses are missed; return False if none came."""
        return self._heard.wait(timeout_s)

    def wait_for(self, count: int, timeout_s: float) -> bool:
        """Wait until a number of messages has arrived; return False if they have not."""
        until_s = time.monotonic() + timeout_s
        while len(self.messages) < count and time.monotonic() < until_s:
            time.sleep(_POLL_S)
        return len(self.messages) >= count

    def latency(self, *, skip_s: float = 1.0) -> "LatencySummary":
        """Return the server-added latency of the messages, without the first seconds."""
        first_s = self.arrived_s[0] if self.arrived_s else 0.0
        kept = [
            message
            for message, arrived_s in zip(self.messages, self.arrived_s, strict=True)
            if arrived_s - first_s >= skip_s
        ]
        return latency_summary(kept)

    def poses_per_s(self) -> float:
        """Return the poses per second over the whole time."""
        if len(self.arrived_s) < 2:
            return 0.0
        poses = sum(len(message.ids) for message in self.messages[1:])
        return poses / (self.arrived_s[-1] - self.arrived_s[0])

    def _collect(self) -> None:
        with PoseSubscriber(self.endpoint, self.rig) as subscriber:
            while not self._stop.is_set():
                message = subscriber.receive(_POLL_S)
                if subscriber.alive:
                    self._heard.set()
                if message is not None:
                    self.arrived_s.append(time.perf_counter())
                    self.messages.append(message)


@dataclass(frozen=True, kw_only=True)
class LatencySummary:
    """Quantiles of the server-added latency, from a frame's arrival to the sending of its poses."""

    frames: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


def latency_summary(messages: list[PoseMessage]) -> LatencySummary:
    """Return the latency quantiles of messages; NaN if there are none."""
    if not messages:
        return LatencySummary(frames=0, p50_ms=np.nan, p95_ms=np.nan, p99_ms=np.nan)
    added_ns = [m.lat.rx + m.lat.win + m.lat.lift + m.lat.post + m.lat.tx for m in messages]
    p50, p95, p99 = np.quantile(np.array(added_ns) * 1e3 / NS_PER_S, (0.5, 0.95, 0.99)).tolist()
    return LatencySummary(frames=len(messages), p50_ms=p50, p95_ms=p95, p99_ms=p99)
