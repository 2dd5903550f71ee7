"""A clip through the very pipeline that serves live, without sockets or a clock.

Every frame is encoded as a rig would send it, received, stepped and decoded, so what a file gives
is what the same people in front of a camera would have got.
"""

from collections.abc import Callable, Iterator

import msgspec

from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.formats.clip import Clip
from langpose_rt.formats.lifted_npz import PoseSequence
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.pipeline import Pipeline
from langpose_rt.pipeline.responder import OutgoingMessage
from langpose_rt.protocol.frames import (
    empty_frame,
    frame_with_people,
    rig_camera_from_intrinsics,
)
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
    """What the file knows of its camera, as a rig would say it."""
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
    """The messages a rig would send for a clip; people who are not there are left out."""
    nobody = empty_frame(
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
        yield frame_with_people(nobody, people, ids, seq=seq, t_ns=int(t_ns))


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
        backend: Its windows are used and left behind.
        config: Options of the live pipeline; the last frames get what lookahead there is.
        on_frame: Called with the number of frames done.

    Returns:
        Poses in the columns of the clip where its ids say who is who. Where the pipeline had to
        find that out, every person has one column, reused once somebody has left for good.

    Raises:
        ConfigError: If the pipeline refuses a frame of the clip.
    """
    pipeline = Pipeline(backend, config)
    answers: list[PoseMessage] = []
    try:
        for count, frame in enumerate(frames_of_clip(clip, RIG, CAMERA, epoch=1), start=1):
            if not pipeline.receive(encode_keypoints(frame), frame.t_ns):
                reasons = ", ".join(pipeline.stats.rejected) or "out of order"
                raise ConfigError(f"frame {frame.seq} of the clip was refused: {reasons}")
            answers += _poses(pipeline.step(frame.t_ns))
            if on_frame is not None:
                on_frame(count)
    except MessageError as error:
        raise ConfigError(f"a frame of the clip is not acceptable: {error.detail}") from None
    answers += _poses(pipeline.flush(int(clip.t_ns[-1])))
    return _lifted_from_answers(answers, clip)


def _poses(outgoing: list[OutgoingMessage]) -> list[PoseMessage]:
    return [decode_pose(parts) for parts in outgoing if parts[0].startswith(b"pose3d/")]


def _lifted_from_answers(answers: list[PoseMessage], clip: Clip) -> PoseSequence:
    if (clip.ids[clip.present] >= 0).all():
        columns, count = _columns_of_clip(answers, clip), clip.ids.shape[1]
    else:
        columns = _columns_of_tracks(answers)
        count = 1 + max((column for own in columns for column in own.values()), default=0)
    lifted = PoseSequence.empty(clip.t_ns, count)
    for answer, own in zip(answers, columns, strict=True):
        frame = answer.src.seq
        rows = [row for row, person in enumerate(answer.ids.tolist()) if person in own]
        column = [own[person] for person in answer.ids[rows].tolist()]
        lifted.pose[frame, column] = answer.poses[rows, :, :3]
        lifted.sigma_m[frame, column] = answer.poses[rows, :, 3]
        lifted.ids[frame, column] = answer.ids[rows]
        if answer.root is not None:
            lifted.root[frame, column] = answer.root[rows]
    return lifted


def _columns_of_clip(answers: list[PoseMessage], clip: Clip) -> list[dict[int, int]]:
    """Column of every person in every answer: where the clip has them in that frame.

    Who is held has the column of the frame before, unless somebody else is there now.
    """
    columns: list[dict[int, int]] = []
    before: dict[int, int] = {}
    for answer in answers:
        ids = clip.ids[answer.src.seq].tolist()
        own = {person: column for column, person in enumerate(ids) if person >= 0}
        taken = set(own.values())
        held = {person: column for person, column in before.items() if column not in taken}
        before = held | own
        columns.append(before)
    return columns


def _columns_of_tracks(answers: list[PoseMessage]) -> list[dict[int, int]]:
    """Column of every person in every answer: the lowest that is free for their whole stay."""
    last_seen = {
        person: index for index, answer in enumerate(answers) for person in answer.ids.tolist()
    }
    taken: dict[int, int] = {}
    columns = []
    for index, answer in enumerate(answers):
        taken = {person: column for person, column in taken.items() if last_seen[person] >= index}
        for person in answer.ids.tolist():
            if person not in taken:
                used = set(taken.values())
                taken[person] = next(c for c in range(len(used) + 1) if c not in used)
        columns.append({person: taken[person] for person in answer.ids.tolist()})
    return columns
