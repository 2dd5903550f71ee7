"""Pose messages as entities of a Rerun recording.

    /<rig>/<camera>/<id>/{bones,joints}        one camera's space
    /world/<rig>/<camera>/<id>/{bones,joints}  a calibration's world
    /latency_ms/<rig>/<camera>  /persons/<rig>/<camera>

Time lines: `capture`, the capture time on the server's unix clock, and `sequence`, the number of
the message in its stream. Axes have z up: against gravity where it is known, else as for a level
camera; who faces a camera faces x. Positions are metres; the radius of a joint is its predicted
standard deviation. The command chooses the destination of the recording.
"""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from langpose_rt.geometry.level_axes import level_from_pose
from langpose_rt.geometry.skeleton import BONES, JOINTS, PAIRS
from langpose_rt.protocol.messages import PoseMessage

if TYPE_CHECKING:
    from rerun import RecordingStream

_TRUNK, _LEFT, _RIGHT, _UNTRACKED = (233, 226, 208), (255, 138, 92), (76, 184, 255), (120, 130, 150)
_BONE_RADIUS_M = 0.02
_WORLD = "world"

Path = list[object]
"""An entity path in parts; Rerun escapes them."""


def _colours() -> UInt8[np.ndarray, "17 3"]:
    lefts, rights = (set(side) for side in zip(*PAIRS, strict=True))
    return np.array(
        [_LEFT if j in lefts else _RIGHT if j in rights else _TRUNK for j in range(len(JOINTS))],
        np.uint8,
    )


class RerunScene:
    """Logger of pose messages that clears the entities of lost persons.

    Args:
        recording: Rerun recording the entities are logged to.
    """

    def __init__(self, recording: "RecordingStream") -> None:
        import rerun

        self._rerun, self._recording = rerun, recording
        self._spaces: dict[str, Path] = {}
        self._shown: dict[str, set[int]] = {}
        self._colours = _colours()

    def log(self, message: PoseMessage) -> None:
        """Log one frame: its people, their number, and the server-added latency."""
        rerun, recording = self._rerun, self._recording
        names: Path = [message.rig, message.camera]
        space = [_WORLD, *names] if message.frame == "world" else names
        recording.set_time("capture", timestamp=np.datetime64(message.t_srv, "ns"))
        recording.set_time("sequence", sequence=message.seq)
        self._enter(message, space)
        here = set(message.ids.tolist())
        for lost in self._shown.get(message.topic, set()) - here:
            recording.log([*space, str(lost)], rerun.Clear(recursive=True))
        self._shown[message.topic] = here
        for person, number in enumerate(message.ids.tolist()):
            self._log_person([*space, str(number)], message, person)
        lat = message.lat
        added_ns = lat.rx + lat.win + lat.lift + lat.post + lat.tx
        recording.log(["latency_ms", *names], rerun.Scalars(added_ns / 1e6))
        recording.log(["persons", *names], rerun.Scalars(len(here)))

    def _log_person(self, path: Path, message: PoseMessage, person: int) -> None:
        rerun, state = self._rerun, message.state[person]
        pose, sigma_m = message.poses[person, :, :3], message.poses[person, :, 3]
        if message.root is not None:
            pose = pose + message.root[person]
        pose = pose @ level_from_pose(message.frame, message.gravity).T.astype(np.float32)
        known = state in ("ok", "warmup")
        colours = self._colours if known else np.full_like(self._colours, _UNTRACKED)
        parents, joints = np.array(BONES).T
        strips: Float[np.ndarray, "16 2 3"] = np.stack([pose[parents], pose[joints]], 1)
        bones = rerun.LineStrips3D(strips, colors=colours[joints], radii=_BONE_RADIUS_M)
        label = path[-1] if state == "ok" else f"{path[-1]} {state}"
        points = rerun.Points3D(
            pose, radii=sigma_m, colors=colours, labels=[label], show_labels=True
        )
        self._recording.log([*path, "bones"], bones)
        self._recording.log([*path, "joints"], points)

    def _enter(self, message: PoseMessage, space: Path) -> None:
        """Log the axes of a new or changed stream, and add a view for it."""
        rerun, before = self._rerun, self._spaces.get(message.topic)
        if before == space:
            return
        if before is not None:
            self._recording.log(before, rerun.Clear(recursive=True))
            del self._shown[message.topic]
        in_world = message.frame == "world"
        axes = rerun.ViewCoordinates.RIGHT_HAND_Z_UP
        self._recording.log([_WORLD] if in_world else space, axes, static=True)
        self._spaces[message.topic] = space
        self._arrange()

    def _arrange(self) -> None:
        """Lay out one 3D view for the world and for each other camera, with the plots below."""
        import rerun.blueprint as rrb

        spaces = {tuple(s[:1] if s[0] == _WORLD else s) for s in self._spaces.values()}
        views = [
            rrb.Spatial3DView(
                origin=self._rerun.new_entity_path(list(space)), name="/".join(map(str, space))
            )
            for space in sorted(spaces, key=str)
        ]
        figures = rrb.Horizontal(
            rrb.TimeSeriesView(origin="/latency_ms", name="server adds, ms"),
            rrb.TimeSeriesView(origin="/persons", name="people"),
        )
        layout = rrb.Vertical(rrb.Grid(*views), figures, row_shares=[3, 1])
        time = rrb.TimePanel(timeline="capture", state="collapsed")
        self._recording.send_blueprint(rrb.Blueprint(layout, time, collapse_panels=True))
