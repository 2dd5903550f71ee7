"""Extract one track per person from the published poses of a recording."""

from dataclasses import dataclass, field

import numpy as np

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.formats.recording import Recording
from langpose_rt.formats.track import Track
from langpose_rt.geometry.level_axes import Vector
from langpose_rt.protocol.messages import PoseMessage, decode_pose

_CLOCK_STEP_NS = NS_PER_S // 2


@dataclass
class _TrackedColumns:
    """Columns of the track of one person."""

    t_ns: list[int] = field(default_factory=list)
    joints: list[np.ndarray] = field(default_factory=list)
    sigma_m: list[np.ndarray] = field(default_factory=list)
    name: str = ""


@dataclass
class _Level:
    """The last gravity a stream was published with: an estimate improves with time."""

    gravity: Vector | None = None
    level_src: str = "none"


class _StreamClock:
    """Maps capture times of one stream to server time, across the rig's epochs.

    Within an epoch the first offset is kept, because the server's estimate of the offset drifts
    slightly; after a step of the rig's clock the server's current offset is used.
    """

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._offset_ns = 0

    def t_ns(self, message: PoseMessage) -> int:
        src_ns = int(message.src.t)
        offset_ns = message.t_srv - src_ns
        stepped = abs(offset_ns - self._offset_ns) > _CLOCK_STEP_NS
        if message.src.epoch != self._epoch or stepped:
            self._epoch, self._offset_ns = message.src.epoch, offset_ns
        return src_ns + self._offset_ns


def tracks_from_recording(recording: Recording) -> list[Track]:
    """Return the tracks of all published persons, ordered by stream and person.

    Raises:
        ConfigError: If the recording is damaged or holds no poses.
    """
    clocks: dict[str, _StreamClock] = {}
    persons: dict[tuple[str, int, str], _TrackedColumns] = {}
    levels: dict[tuple[str, str], _Level] = {}
    for entry in recording.entries():
        if entry.direction != "published" or not entry.topic.startswith("pose3d/"):
            continue
        try:
            message = decode_pose(entry.parts)
        except MessageError as error:
            raise ConfigError(f"{recording.path}: a pose is damaged: {error.detail}") from None
        stream = f"{message.rig}/{message.camera}"
        t_ns = clocks.setdefault(stream, _StreamClock()).t_ns(message)
        if message.gravity is not None:
            levels[stream, message.frame] = _Level(message.gravity, message.level_src)
        _add(persons, stream, message, t_ns)
    tracks = [
        Track(
            stream=stream,
            person=person,
            t_ns=np.array(columns.t_ns, np.int64),
            joints=np.stack(columns.joints),
            sigma_m=np.stack(columns.sigma_m),
            frame=frame,
            gravity=levels.get((stream, frame), _Level()).gravity,
            level_src=levels.get((stream, frame), _Level()).level_src,
            name=columns.name,
        )
        for (stream, person, frame), columns in sorted(persons.items())
    ]
    if not tracks:
        raise ConfigError(f"{recording.path} holds no poses")
    return tracks


def _add(
    persons: dict[tuple[str, int, str], _TrackedColumns],
    stream: str,
    message: PoseMessage,
    t_ns: int,
) -> None:
    for index, person in enumerate(message.ids.tolist()):
        columns = persons.setdefault((stream, person, message.frame), _TrackedColumns())
        if columns.t_ns and t_ns <= columns.t_ns[-1]:
            continue  # the clock stepped back; time must increase within a file
        root = 0.0 if message.root is None else message.root[index]
        columns.t_ns.append(t_ns)
        columns.name = (message.names[index] if message.names else None) or columns.name
        columns.joints.append(message.poses[index, :, :3] + root)
        columns.sigma_m.append(message.poses[index, :, 3])
