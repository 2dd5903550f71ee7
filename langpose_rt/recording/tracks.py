"""The people of a recording as tracks, from the poses a server published."""

from dataclasses import dataclass, field

import numpy as np

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.formats.recording import Recording
from langpose_rt.formats.track import Track
from langpose_rt.protocol.messages import PoseMessage, decode_pose

_CLOCK_STEP_NS = NS_PER_S // 2


@dataclass
class _TrackedColumns:
    """What is known of one person so far."""

    t_ns: list[int] = field(default_factory=list)
    joints: list[np.ndarray] = field(default_factory=list)
    sigma_m: list[np.ndarray] = field(default_factory=list)


class _StreamClock:
    """Capture times of one stream in server time, through the rig's epochs.

    Within an epoch the rig's own clock counts the time, for the server's estimate of the offset
    moves a little; where the rig's clock stepped, the server's time is taken.
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
    """Everybody who was published, by stream and person.

    Raises:
        ConfigError: If the recording is damaged or holds no poses.
    """
    clocks: dict[str, _StreamClock] = {}
    people: dict[tuple[str, int, str], _TrackedColumns] = {}
    for entry in recording.entries():
        if entry.direction != "published" or not entry.topic.startswith("pose3d/"):
            continue
        try:
            message = decode_pose(entry.parts)
        except MessageError as error:
            raise ConfigError(f"{recording.path}: a pose is damaged: {error.detail}") from None
        stream = f"{message.rig}/{message.camera}"
        t_ns = clocks.setdefault(stream, _StreamClock()).t_ns(message)
        _add(people, stream, message, t_ns)
    tracks = [
        Track(
            stream=stream,
            person=person,
            t_ns=np.array(seen.t_ns, np.int64),
            joints=np.stack(seen.joints),
            sigma_m=np.stack(seen.sigma_m),
            frame=frame,
        )
        for (stream, person, frame), seen in sorted(people.items())
    ]
    if not tracks:
        raise ConfigError(f"{recording.path} holds no poses")
    return tracks


def _add(
    people: dict[tuple[str, int, str], _TrackedColumns],
    stream: str,
    message: PoseMessage,
    t_ns: int,
) -> None:
    for index, person in enumerate(message.ids.tolist()):
        seen = people.setdefault((stream, person, message.frame), _TrackedColumns())
        if seen.t_ns and t_ns <= seen.t_ns[-1]:
            continue  # a clock that stepped back: time only rises in a file
        root = 0.0 if message.root is None else message.root[index]
        seen.t_ns.append(t_ns)
        seen.joints.append(message.poses[index, :, :3] + root)
        seen.sigma_m.append(message.poses[index, :, 3])
