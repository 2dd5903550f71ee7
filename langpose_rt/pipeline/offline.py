"""Lift a clip through the live pipeline, without sockets or a clock.

Every frame is encoded as a rig would send it, received, stepped and decoded, so the poses of a file
are those that a server would have published.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

import msgspec
import numpy as np

from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.formats.clip import Clip
from langpose_rt.formats.lifted_npz import PoseSequence, columns_of_ids
from langpose_rt.geometry.skeleton import to_h36m17
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.pipeline import Pipeline
from langpose_rt.pipeline.responder import OutgoingMessage
from langpose_rt.pipeline.tracker import Tracker
from langpose_rt.protocol.frames import (
    empty_frame,
    frame_with_people,
    rig_camera_from_intrinsics,
)
from langpose_rt.protocol.keypoints import names_of_people
from langpose_rt.protocol.messages import (
    KeypointMessage,
    PoseMessage,
    RigCamera,
    decode_pose,
    encode_keypoints,
)
from langpose_rt.runtime.backend import Backend

RIG, CAMERA = "file", "clip"


def rig_camera_of_clip(clip: Clip) -> RigCamera | None:
    """Return the camera of a file as a rig would send it."""
    if clip.intrinsics is None and clip.gravity is None:
        return None
    known = RigCamera()
    if clip.intrinsics is not None:
        known = rig_camera_from_intrinsics(clip.intrinsics)
    if clip.gravity is None:
        return known
    x, y, z = clip.gravity.tolist()
    return msgspec.structs.replace(known, gravity=(x, y, z))


def frames_of_clip(clip: Clip, rig: str, camera: str, *, epoch: int) -> Iterator[KeypointMessage]:
    """Yield the messages a rig would send for a clip, with the people present in each frame."""
    without_people = empty_frame(
        rig,
        camera,
        epoch=epoch,
        skeleton=clip.skeleton.name,
        size=clip.size,
        intrinsics=rig_camera_of_clip(clip),
        person_height_m=clip.person_height_m,
    )
    for seq, (present, t_ns) in enumerate(zip(clip.present, clip.t_ns, strict=True)):
        people, ids = clip.keypoints[seq, present], clip.ids[seq, present]
        bones_m = None if clip.bones_m is None else clip.bones_m[present]
        frame = frame_with_people(
            without_people, people, ids, seq=seq, t_ns=int(t_ns), bones_m=bones_m
        )
        yield replace(frame, names=names_of_people(frame.ids, clip.names))


def lift_clip(
    clip: Clip,
    backend: Backend,
    config: PipelineConfig,
    *,
    on_frame: Callable[[int], None] | None = None,
) -> PoseSequence:
    """Lift every person of a clip.

    Args:
        clip: Keypoints and what is known of the camera.
        backend: Its windows are reset at first, and used.
        config: Options of the live pipeline; the last frames get the lookahead there is.
        on_frame: Called with the number of frames done.

    Returns:
        Poses in the columns of the clip if it has ids. If the people were tracked by the pipeline,
        every person has one column, reused after the last frame of the person.

    Raises:
        ConfigError: If the pipeline refuses a frame of the clip.
    """
    pipeline = Pipeline(backend, config)
    messages: list[PoseMessage] = []
    try:
        for done, frame in enumerate(frames_of_clip(clip, RIG, CAMERA, epoch=1), start=1):
            if not pipeline.receive(encode_keypoints(frame), frame.t_ns):
                reasons = ", ".join(pipeline.stats.rejected) or "out of order"
                raise ConfigError(f"frame {frame.seq} of the clip was refused: {reasons}")
            messages += _poses(pipeline.step(frame.t_ns))
            if on_frame is not None:
                on_frame(done)
    except MessageError as error:
        raise ConfigError(f"a frame of the clip is not acceptable: {error.detail}") from None
    messages += _poses(pipeline.flush(int(clip.t_ns[-1])))
    return _sequence_from_messages(messages, clip)


def tracked_clip(clip: Clip, memory_s: float) -> Clip:
    """Return a clip in which everybody has an id: the file's, else that of the live tracker.

    Args:
        clip: The clip.
        memory_s: Longest time out of sight after which a person keeps the id.
    """
    unknown = clip.present & (clip.ids < 0)
    if not unknown.any():
        return clip
    ids = np.where(clip.present, clip.ids, -1)
    tracker = Tracker(count(int(ids.max()) + 1).__next__, memory_s)
    joints = to_h36m17(clip.keypoints, clip.skeleton) / np.array([max(clip.size)] * 2 + [1.0])
    unknown &= (joints[..., 2] > 0).any(-1)
    before_ns = None
    for frame, t_ns in enumerate(clip.t_ns.tolist()):
        own = np.flatnonzero(unknown[frame])
        ids[frame, own] = tracker.ids_of(joints[frame, own], t_ns, before_ns)
        before_ns = t_ns
    keypoints = np.where((ids >= 0)[..., None, None], clip.keypoints, np.float32(0))
    return replace(clip, ids=ids, keypoints=keypoints)


def _poses(outgoing: list[OutgoingMessage]) -> list[PoseMessage]:
    return [decode_pose(parts) for parts in outgoing if parts[0].startswith(b"pose3d/")]


def _sequence_from_messages(messages: list[PoseMessage], clip: Clip) -> PoseSequence:
    if (clip.ids[clip.present] >= 0).all():
        columns, persons = _columns_of_clip(messages, clip), clip.ids.shape[1]
    else:
        places = columns_of_ids([message.ids for message in messages])
        columns = [
            dict(zip(message.ids.tolist(), own.tolist(), strict=True))
            for message, own in zip(messages, places, strict=True)
        ]
        persons = 1 + max((column for own in columns for column in own.values()), default=0)
    lifted = PoseSequence.empty(clip.t_ns, persons)
    for message, own in zip(messages, columns, strict=True):
        frame = message.src.seq
        rows = [row for row, person in enumerate(message.ids.tolist()) if person in own]
        column = [own[person] for person in message.ids[rows].tolist()]
        lifted.pose[frame, column] = message.poses[rows, :, :3]
        lifted.sigma_m[frame, column] = message.poses[rows, :, 3]
        lifted.ids[frame, column] = message.ids[rows]
        if message.root is not None:
            lifted.root[frame, column] = message.root[rows]
    if not messages:
        return lifted
    last = messages[-1]
    return replace(lifted, names=clip.names, gravity=last.gravity, level_src=last.level_src)


def _columns_of_clip(messages: list[PoseMessage], clip: Clip) -> list[dict[int, int]]:
    """Return the column of every person in every message: that of the clip in the same frame.

    A coasting person has the column of the frame before, unless another person is there now.
    """
    columns: list[dict[int, int]] = []
    before: dict[int, int] = {}
    for message in messages:
        ids = clip.ids[message.src.seq].tolist()
        own = {person: column for column, person in enumerate(ids) if person >= 0}
        taken = set(own.values())
        coasting = {person: column for person, column in before.items() if column not in taken}
        before = coasting | own
        columns.append(before)
    return columns
