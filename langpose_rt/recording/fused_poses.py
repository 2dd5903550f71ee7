"""Extract the fused poses of a capture volume from a recording, with all that was published."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float

from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.formats.fused_npz import FusedSequence
from langpose_rt.formats.lifted_npz import columns_of_ids
from langpose_rt.formats.recording import Recording
from langpose_rt.fusion.joint_layout import JointLayout
from langpose_rt.geometry.skeleton import SKELETONS
from langpose_rt.pipeline.volumes.fused_messages import UNKNOWN_SIGMA_M, UPPER
from langpose_rt.protocol.messages import PoseMessage, decode_pose

ValueT = TypeVar("ValueT")


def fused_from_recording(recording: Recording, stream: str) -> FusedSequence | None:
    """Return the fused poses of a stream as `fuse_clips` does; None for one camera's stream.

    Of a keypoint that is none of the 17 joints its standard deviation is published: its covariance
    is taken for equal in all directions, and its residual is NaN.

    Args:
        recording: The recording.
        stream: As "volume/fused".

    Raises:
        ConfigError: If a pose is damaged, or the keypoint format of the volume changes.
    """
    messages = _messages(recording, stream)
    if not messages:
        return None
    infos = [_given(message.fused) for message in messages]
    formats = list(dict.fromkeys(info.fmt for info in infos))
    if len(formats) > 1:
        raise ConfigError(
            f"{recording.path}: the keypoints of {stream} change from {formats[0]} to "
            f"{formats[1]}; an npz holds one format"
        )
    layout = JointLayout.of_skeleton(SKELETONS[formats[0]])
    cameras = tuple(dict.fromkeys(name for info in infos for name in info.cameras))
    columns = columns_of_ids([message.ids for message in messages])
    found = FusedSequence.of_nobody(
        np.array([message.t_srv for message in messages], np.int64),
        1 + max((int(own.max(initial=0)) for own in columns), default=0),
        joint_names=layout.names,
        cameras=cameras,
    )
    seen_ns: dict[int, int] = {}
    for index, (message, own) in enumerate(zip(messages, columns, strict=True)):
        _fill(found, index, own, message, layout=layout, seen_ns=seen_ns)
    return replace(found, gravity=messages[-1].gravity, level_src=messages[-1].level_src)


def _messages(recording: Recording, stream: str) -> list[PoseMessage]:
    """Return the fused messages of a stream in which time increases."""
    found: list[PoseMessage] = []
    for entry in recording.entries():
        if entry.direction != "published" or entry.topic != f"pose3d/{stream}/":
            continue
        try:
            message = decode_pose(entry.parts)
        except MessageError as error:
            raise ConfigError(f"{recording.path}: a pose is damaged: {error.detail}") from None
        if message.fused is not None and not (found and message.t_srv <= found[-1].t_srv):
            found.append(message)
    return found


def _given(value: ValueT | None) -> ValueT:
    """Return a value that every fused message has."""
    assert value is not None
    return value


def _fill(
    found: FusedSequence,
    index: int,
    own: np.ndarray,
    message: PoseMessage,
    *,
    layout: JointLayout,
    seen_ns: dict[int, int],
) -> None:
    """Write the people of one message into their columns.

    Args:
        found: Changed in place.
        index: Of the frame.
        own: Column of every person.
        message: A fused one.
        layout: Of its keypoints.
        seen_ns: When a camera last saw each person; changed in place.
    """
    keypoints, views17 = _given(message.keypoints), _given(message.views)
    keypoint_views, root = _given(message.keypoint_views), _given(message.root)
    bones_m = _given(message.bones_m)
    people, count, total = len(message.ids), keypoints.shape[1], len(layout.names)
    sigma_m = np.full((people, total), np.nan, np.float32)
    place = np.full((people, total, 3), np.nan, np.float32)
    views = np.zeros((people, total), np.uint32)
    for places, joints, masks, known in (
        (np.arange(count), keypoints, keypoint_views, np.asarray(keypoints.any(-1))),
        (layout.h36m, message.poses, views17, message.poses[..., 3] < UNKNOWN_SIGMA_M),
    ):
        place[:, places] = np.where(known[..., None], joints[..., :3], np.nan)
        sigma_m[:, places] = np.where(known, joints[..., 3], np.nan)
        views[:, places] = masks
    covariance_m2 = sigma_m[..., None, None] ** 2 * np.eye(3, dtype=np.float32)
    own17 = _symmetric(_given(message.covariance_m2))
    covariance_m2[:, layout.h36m] = np.where(
        np.isfinite(sigma_m[:, layout.h36m])[..., None, None], own17, np.nan
    )
    residual_px = np.full((people, total), np.nan, np.float32)
    residual_px[:, layout.h36m] = np.where(views17 > 0, _given(message.residual_px), np.nan)
    by_camera = _in_order_of(found.cameras, message, views)
    seen_by = np.asarray(by_camera.any(1))
    for person, seen in zip(message.ids.tolist(), seen_by, strict=True):
        seen_ns[person] = message.t_srv if seen.any() else seen_ns.get(person, message.t_srv)
    found.root[index, own] = root
    found.pose[index, own] = place[:, layout.h36m]
    found.sigma_m[index, own] = sigma_m[:, layout.h36m]
    found.ids[index, own] = message.ids
    found.joints[index, own] = place + root[:, None]
    found.covariance_m2[index, own] = covariance_m2
    found.views[index, own] = (by_camera << np.arange(len(found.cameras), dtype=np.uint32)).sum(-1)
    found.residual_px[index, own] = residual_px
    found.lengths_m[index, own] = np.where(bones_m > 0, bones_m, np.nan)
    found.held_ns[index, own] = [message.t_srv - seen_ns[one] for one in message.ids.tolist()]
    found.seen_by[index, own] = seen_by


def _symmetric(upper: Float[np.ndarray, "person 17 6"]) -> Float[np.ndarray, "person 17 3 3"]:
    """Return whole matrices from their upper triangles."""
    whole = np.zeros((*upper.shape[:-1], 3, 3), np.float32)
    whole[..., UPPER[0], UPPER[1]] = upper
    whole[..., UPPER[1], UPPER[0]] = upper
    return whole


def _in_order_of(
    cameras: tuple[str, ...], message: PoseMessage, views: np.ndarray
) -> Bool[np.ndarray, "person joint camera"]:
    """Return which of these cameras every joint rests on."""
    info = _given(message.fused)
    found = np.zeros((*views.shape, len(cameras)), bool)
    found[..., [cameras.index(name) for name in info.cameras]] = info.cameras_in(views)
    return found
