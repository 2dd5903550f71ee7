"""Keypoint frames of a rig, built from its options and plain arrays; no socket and no clock.

The empty frame checks the options once; the others only add people to it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, SupportsFloat

import numpy as np
import numpy.typing as npt

from langpose_rt.errors import ConfigError, MessageError
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.geometry.skeleton import BONES, skeleton_named
from langpose_rt.protocol.camera_info import RigCamera
from langpose_rt.protocol.header import MAX_UINT, RejectReason, reject, time_from_wire
from langpose_rt.protocol.keypoints import (
    KeypointMessage,
    encode_keypoints,
    keypoints_from_msgpack,
    size_from_wire,
)


def empty_frame(
    rig: str,
    camera: str,
    *,
    epoch: int,
    skeleton: str,
    size: tuple[SupportsFloat, SupportsFloat],
    fps: SupportsFloat | None = None,
    intrinsics: Intrinsics | RigCamera | None = None,
    person_height_m: SupportsFloat | None = None,
    clk: str = "unix",
) -> KeypointMessage:
    """Build a frame without people, from which every frame of the camera is made.

    Raises:
        ConfigError: If a server would refuse it; the sentence gives the reason.
    """
    if isinstance(intrinsics, Intrinsics):
        intrinsics = rig_camera_from_intrinsics(intrinsics)
    joints = len(skeleton_named(skeleton).joints)
    wh = _size_of(size)
    frame = KeypointMessage(
        rig=rig,
        camera=camera,
        epoch=epoch,
        seq=0,
        t_ns=0,
        clk=clk,
        skeleton=skeleton,
        wh=wh,
        keypoints=np.empty((0, joints, 3), np.float32),
        ids=np.empty(0, np.int64),
        fps=None if fps is None else float(fps),
        cam=intrinsics,
        person_height_m=None if person_height_m is None else float(person_height_m),
    )
    try:
        keypoints_from_msgpack(encode_keypoints(frame))
    except MessageError as error:
        raise ConfigError(f"a server would refuse this rig: {error.detail}") from None
    return frame


def frame_with_people(
    frame: KeypointMessage,
    keypoints: npt.ArrayLike,
    ids: npt.ArrayLike | None,
    *,
    seq: int,
    t_ns: SupportsFloat,
    bones_m: npt.ArrayLike | None = None,
) -> KeypointMessage:
    """Return the frame with other people in it.

    Args:
        frame: From `empty_frame`; not changed.
        keypoints: [P, K, 3], or [K, 3] for one person; an empty list for no people.
        ids: A number for every person, -1 for untracked; None if the rig does not track.
        seq: Number of the frame.
        t_ns: When it was captured.
        bones_m: [P, 16], or [16] for one person: lengths of `skeleton.BONES` in metres; NaN where
            those of a person are not known.

    Raises:
        MessageError: bad_shape or bad_ids, if these are not numbers of the right shape; bad_time
            if the time has a fraction, as seconds have.
    """
    people = _array_of(keypoints, np.float32)
    if people.size == 0:
        people = frame.keypoints
    if people.ndim == 2:
        people = people[None]
    joints = frame.keypoints.shape[1]
    if people.ndim != 3 or people.shape[1:] != (joints, 3):
        expected = f"[P, {joints}, 3] or [{joints}, 3]"
        raise reject(
            RejectReason.BAD_SHAPE,
            f"got keypoints of shape {list(people.shape)}, expected {expected}",
        )
    numbers = np.full(len(people), -1) if ids is None else _whole(_array_of(ids, None))
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise reject(RejectReason.BAD_IDS, "ids must be a list of integers, one for every person")
    if len(numbers) != len(people):
        raise reject(RejectReason.BAD_IDS, f"got {len(numbers)} ids for {len(people)} people")
    t_ns = time_from_wire(_plain(t_ns))
    return replace(
        frame,
        seq=seq,
        t_ns=t_ns,
        keypoints=people,
        ids=numbers.astype(np.int64),
        bones_m=None if bones_m is None else _bones_of(bones_m, len(people)),
    )


def _bones_of(bones_m: npt.ArrayLike, people: int) -> npt.NDArray[np.float32]:
    bones: npt.NDArray[np.float32] = _array_of(bones_m, np.float32)
    if bones.size == 0:
        bones = np.empty((0, len(BONES)), np.float32)
    if bones.ndim == 1:
        bones = bones[None]
    if bones.shape != (people, len(BONES)):
        expected = f"[{people}, {len(BONES)}]"
        raise reject(
            RejectReason.BAD_SHAPE, f"got bones_m of shape {list(bones.shape)}, expected {expected}"
        )
    return bones


def _size_of(size: Sequence[SupportsFloat]) -> tuple[int, int]:
    """Return width and height, refusing the shape of an array of the image: height comes first."""
    if len(size) != 2:
        raise ConfigError(
            f"found a size of {len(size)} numbers; expected width and height, in that order; of an "
            "image array these are shape[1] and shape[0]"
        )
    try:
        return size_from_wire((_plain(size[0]), _plain(size[1])))
    except MessageError as error:
        raise ConfigError(f"a server would refuse this rig: {error.detail}") from None


def _plain(number: Any) -> Any:
    """Return a NumPy number as Python's own."""
    return number.item() if isinstance(number, np.generic) else number


def _whole(ids: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return ids as integers where they are floats without a fraction."""
    if ids.dtype.kind == "f" and (ids == np.rint(ids)).all() and (abs(ids) <= MAX_UINT).all():
        return ids.astype(np.int64)
    return ids


def _array_of(numbers: npt.ArrayLike, dtype: type[np.float32] | None) -> npt.NDArray[Any]:
    try:
        with np.errstate(over="ignore"):  # what overflows float32 is an impossible number anyway
            if np.ma.isMaskedArray(numbers):  # what is masked is missing
                numbers = np.ma.asarray(numbers, dtype or np.float64).filled(np.nan)
            return np.asarray(numbers, dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise reject(RejectReason.BAD_SHAPE, f"these are no array of numbers: {error}") from None


def rig_camera_from_intrinsics(intrinsics: Intrinsics) -> RigCamera:
    """Return the camera entry of a rig with known intrinsics."""
    return RigCamera(
        k=(intrinsics.fx_px, intrinsics.fy_px, intrinsics.cx_px, intrinsics.cy_px),
        dist=intrinsics.dist,
    )
