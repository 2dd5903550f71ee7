"""What the live viewer is told: the newest poses of every stream, as JSON events.

The lift thread hands messages over and does nothing else with them; reading and encoding happen in
the thread of whoever watches, and not at all when nobody does.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float32

from langpose_rt.monitoring.snapshot import Snapshot
from langpose_rt.protocol.messages import decode_pose
from langpose_rt.protocol.poses import PoseMessage

MOST_VIEWERS = 4
"""Pages that watch at once."""

PERIOD_S = 1 / 30
"""Shortest time between two events of one page."""

_TICKS_A_STATUS = 15


class ViewerFeed:
    """The newest pose message of every topic, for pages that watch.

    Args:
        licence: Of the weights, as the page shows it.
    """

    def __init__(self, licence: str = "not stated") -> None:
        self._licence = licence
        self._newest: dict[bytes, Sequence[bytes]] = {}
        self._seats = threading.BoundedSemaphore(MOST_VIEWERS)
        self._lock = threading.Lock()
        self._viewers = 0
        self._closed = threading.Event()

    def offer(self, parts: Sequence[bytes]) -> None:
        """Take a message that is being published; costs a comparison when nobody watches."""
        if self._viewers and parts[0].startswith(b"pose3d/"):
            with self._lock:
                self._newest[parts[0]] = parts

    def close(self) -> None:
        """End every page's events."""
        self._closed.set()

    @contextmanager
    def seat(self) -> Iterator[bool]:
        """A place among the viewers for the block; False if all are taken."""
        if not self._seats.acquire(blocking=False):
            yield False
            return
        with self._lock:
            self._viewers += 1
        try:
            yield True
        finally:
            with self._lock:
                self._viewers -= 1
                if not self._viewers:
                    self._newest.clear()
            self._seats.release()

    def events(self, snapshot: Callable[[], Snapshot]) -> Iterator[bytes]:
        """Server-sent events for one viewer, paced, until the feed is closed.

        Args:
            snapshot: The server at this moment.
        """
        seen: dict[bytes, Sequence[bytes]] = {}
        tick = 0
        while not self._closed.is_set():
            if tick % _TICKS_A_STATUS == 0:
                yield _event("status", self._status(snapshot()))
            with self._lock:
                newest = dict(self._newest)
            news = [parts for topic, parts in newest.items() if seen.get(topic) is not parts]
            seen = newest
            if news:
                yield _event("poses", [_pose_as_json(decode_pose(parts)) for parts in news])
            self._closed.wait(PERIOD_S)
            tick += 1

    def _status(self, now: Snapshot) -> dict[str, Any]:
        shown = ("server", "state", "uptime_s", "model", "persons", "slots", "fps", "p50_ms")
        status: dict[str, Any] = {name: getattr(now, name) for name in (*shown, "p99_ms")}
        streams = [
            {"name": f"{s.rig}/{s.camera}", "persons": s.persons, "totals": s.totals,
             "assumed_lens": s.assumed_intrinsics, "heard_ago_s": s.heard_ago_s}
            for s in now.streams
        ]  # fmt: skip
        return status | {"licence": self._licence, "streams": streams}


def _event(name: str, content: object) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(content) + b"\n\n"


def _pose_as_json(message: PoseMessage) -> dict[str, Any]:
    """A message as the page reads it: whole millimetres, person by person, X Y Z sigma."""
    lat = message.lat
    root = message.root
    return {
        "name": f"{message.rig}/{message.camera}",
        "seq": message.seq,
        "world": message.frame == "world",
        "ids": message.ids.tolist(),
        "state": message.state,
        "root": None if root is None else _millimetres(root),
        "poses": _millimetres(message.poses.reshape(len(message.ids), -1)),
        "latency_ms": (lat.rx + lat.win + lat.lift + lat.post + lat.tx) / 1e6,
    }


def _millimetres(metres: Float32[np.ndarray, "person number"]) -> list[list[int]]:
    rounded: list[list[int]] = np.rint(1000 * metres).astype(np.int64).tolist()
    return rounded
