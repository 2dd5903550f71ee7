"""Viewer feed: the files of the live viewer, and the latest poses of every stream as JSON events.

The lift thread only stores messages; they are decoded in the thread of each viewer, and not at all
without viewers.
"""

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from jaxtyping import Float

from langpose_rt.geometry.level_axes import level_from_camera, level_from_pose
from langpose_rt.monitoring.snapshot import Snapshot, VolumeSnapshot
from langpose_rt.protocol.messages import decode_pose
from langpose_rt.protocol.poses import PoseMessage
from langpose_rt.server.viewer.keypoint_feed import ImageSizes, KeypointEvents, formats_as_json
from langpose_rt.server.viewer.listeners import Listeners, NewestMessages
from langpose_rt.server.viewer.pose_recordings import PoseRecordings

VIEWER = Path(__file__).parents[2] / "assets" / "viewer"

VIEWER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy: the page loads from this server only."""

_VIEWER_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/viewer.css": ("viewer.css", "text/css; charset=utf-8"),
    "/viewer.js": ("viewer.js", "text/javascript; charset=utf-8"),
    "/pictures.js": ("pictures.js", "text/javascript; charset=utf-8"),
    "/record.js": ("record.js", "text/javascript; charset=utf-8"),
    "/three.min.js": ("three.min.js", "text/javascript; charset=utf-8"),
}

LIVE, LIVE_2D, RECORDING = "/live", "/live/2d", "/recording"
LIVE_PATHS = frozenset({LIVE, LIVE_2D, RECORDING})
"""Paths whose answers do not end by themselves: poses, keypoints, and a recording."""

MOST_VIEWERS = 4
"""Viewers of each of LIVE_PATHS at once."""

PERIOD_S = 1 / 30
"""Shortest time between two events of one viewer."""

_TICKS_PER_STATUS = 15


@dataclass(frozen=True)
class LiveAnswer:
    """Answer to a page that does not end by itself.

    Attributes:
        content_type: Of the answer.
        pieces: Its parts; they go on until the page leaves or the server stops.
        headers: Further headers.
    """

    content_type: str
    pieces: Generator[bytes, None, None]
    headers: Mapping[str, str] = field(default_factory=dict)


class ViewerFeed:
    """Latest poses and keypoints of every stream, and recordings, for live viewers.

    Args:
        licence: Returns the licence of the active weights; called for every status, as a reload
            may bring weights with another licence.
        sizes: Returns the image sizes by camera, for JSON keypoints without one.
    """

    def __init__(
        self, licence: Callable[[], str] = lambda: "not stated", sizes: ImageSizes = dict
    ) -> None:
        self._licence, self._sizes = licence, sizes
        self._poses = NewestMessages(b"pose3d/", MOST_VIEWERS)
        self._keypoints = NewestMessages(b"kp2d/", MOST_VIEWERS)
        self.recordings = PoseRecordings(MOST_VIEWERS)
        self._listeners: dict[str, Listeners] = {
            LIVE: self._poses, LIVE_2D: self._keypoints, RECORDING: self.recordings
        }  # fmt: skip
        self._closed = threading.Event()

    def publish(self, parts: Sequence[bytes], now_ns: int) -> None:
        """Take a message that is being published; costs two comparisons without viewers."""
        if self._poses.count:
            self._poses.offer(parts)
        if self.recordings.count:
            self.recordings.offer(parts, now_ns)

    def received(self, parts: Sequence[bytes]) -> None:
        """Take keypoints that were accepted; costs a comparison without viewers."""
        if self._keypoints.count:
            self._keypoints.offer(parts)

    def close(self) -> None:
        """End the answers to every viewer."""
        self._closed.set()
        self.recordings.end()

    def viewer_slot(self, path: str = LIVE) -> AbstractContextManager[bool]:
        """Count a viewer of a path for the block; give False if there are MOST_VIEWERS already."""
        return self._listeners[path].slot()

    def live_answer(self, path: str, snapshot: Callable[[], Snapshot]) -> LiveAnswer:
        """Return the answer for one of LIVE_PATHS.

        Raises:
            ConfigError: If recordings cannot be made here.
        """
        if path == RECORDING:
            token, pieces = self.recordings.open()
            return LiveAnswer("application/octet-stream", pieces, {"X-Recording": token})
        events = self.events(snapshot) if path == LIVE else self.keypoint_events()
        return LiveAnswer("text/event-stream", events)

    def events(self, snapshot: Callable[[], Snapshot]) -> Generator[bytes, None, None]:
        """Yield server-sent events for one viewer, paced, until the feed is closed.

        Args:
            snapshot: Returns the state of the server.
        """
        for tick, changed in enumerate(self._changes(self._poses)):
            if tick % _TICKS_PER_STATUS == 0:
                yield _event("status", self._status(snapshot()))
            if changed:
                yield _event("poses", [_pose_as_json(decode_pose(parts)) for parts in changed])

    def keypoint_events(self) -> Generator[bytes, None, None]:
        """Yield the keypoint formats, then the newest keypoints of the streams, paced."""
        yield _event("formats", formats_as_json())
        told = KeypointEvents(self._sizes)
        for tick, changed in enumerate(self._changes(self._keypoints)):
            if changed or tick % _TICKS_PER_STATUS == 0:  # a page that has left is noticed
                yield _event("keypoints", told.of_messages(changed))

    def _changes(self, messages: NewestMessages) -> Iterator[list[Sequence[bytes]]]:
        """Yield the messages that are new since the last time, paced, until the feed is closed."""
        seen: dict[bytes, Sequence[bytes]] = {}
        while not self._closed.is_set():
            newest = messages.all()
            yield [parts for topic, parts in newest.items() if seen.get(topic) is not parts]
            seen = newest
            self._closed.wait(PERIOD_S)

    def _status(self, now: Snapshot) -> dict[str, Any]:
        shown = ("server", "state", "uptime_s", "model", "persons", "slots", "fps", "p50_ms")
        status: dict[str, Any] = {name: getattr(now, name) for name in (*shown, "p99_ms")}
        streams = [
            {"name": f"{s.rig}/{s.camera}", "persons": s.persons, "totals": s.totals,
             "assumed_lens": s.assumed_intrinsics, "heard_ago_s": s.heard_ago_s,
             "suspects": s.suspects}
            for s in now.streams
        ]  # fmt: skip
        return status | {
            "licence": self._licence(), "streams": streams,
            "volumes": [_level_volume(volume) for volume in now.volumes],
        }  # fmt: skip


def viewer_file(path: str) -> tuple[str, bytes] | None:
    """Return content type and bytes of a file of the viewer; None if there is no such file."""
    if path not in _VIEWER_FILES:
        return None
    name, content_type = _VIEWER_FILES[path]
    return content_type, (VIEWER / name).read_bytes()


def _event(name: str, content: object) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(content) + b"\n\n"


def _level_volume(volume: VolumeSnapshot) -> dict[str, Any]:
    """Return a volume with the places of its cameras in a world that has z up."""
    found: dict[str, Any] = msgspec.to_builtins(volume)
    turn = np.eye(4)
    turn[:3, :3] = level_from_pose("world", volume.gravity)
    for camera in found["cameras"]:
        T = np.reshape(camera["T_world_camera"], (4, 4))
        camera["T_world_camera"] = (turn @ T).ravel().tolist()
    return found


def _pose_as_json(message: PoseMessage) -> dict[str, Any]:
    """Return a message as the page reads it: whole millimetres, X Y Z sigma per joint, level.

    Poses of a camera are in the axes a level camera at its place would have; `turn` is the rotation
    of the camera to those, row by row. Poses of a world have z up.
    """
    lat = message.lat
    turn = level_from_pose(message.frame, message.gravity)
    if message.frame == "camera":
        turn = level_from_camera(None).T @ turn
    poses = message.poses.copy()
    poses[..., :3] = poses[..., :3] @ turn.T
    root = None if message.root is None else message.root @ turn.T
    views = message.views
    return {
        "name": f"{message.rig}/{message.camera}",
        "seq": message.seq,
        "world": message.frame == "world",
        "level_src": message.level_src,
        "turn": turn.ravel().tolist(),
        "ids": message.ids.tolist(),
        "names": message.names,
        "actions": message.actions and [next(iter(pairs), None) for pairs in message.actions],
        "lookahead_ms": message.win.lookahead_ns / 1e6,
        "state": message.state,
        "views": None if views is None else [[int(v).bit_count() for v in own] for own in views],
        "root": None if root is None else _millimetres(root),
        "poses": _millimetres(poses.reshape(len(message.ids), -1)),
        "latency_ms": (lat.rx + lat.win + lat.lift + lat.post + lat.tx) / 1e6,
    }


def _millimetres(metres: Float[np.ndarray, "person number"]) -> list[list[int]]:
    rounded: list[list[int]] = np.rint(1000 * metres).astype(np.int64).tolist()
    return rounded
