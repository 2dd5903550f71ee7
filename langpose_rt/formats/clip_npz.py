"""Reader and writer of keypoint clips as npz files.

    kp2d            (F,K,3) or (F,P,K,3)  x, y in pixels and score; NaN or score 0 is missing
    format          text                  name of the keypoint format, such as "coco17"
    size            (2)                   width and height of the image, pixels
    fps or t_ns     () or (F) integer     frame rate, or the capture time of every frame, ns
    ids             (F,P) integer         optional; -1 is unknown; without, column p is person p
    K, dist         (3,3), (n)            optional; camera matrix, distortion in OpenCV's order
    gravity         (3)                   optional; the way down, in camera axes
    person_height_m ()                    optional
    bones_m         (P,16)                optional; measured bone lengths of the person of every
                                          column, metres; a row with a NaN is unknown. A bone has
                                          the name of the joint it ends in: RHip RKnee RAnkle LHip
                                          LKnee LAnkle Spine Thorax Nose Head LShoulder LElbow
                                          LWrist RShoulder RElbow RWrist
    pose3d          (F,17,3)              optional truth of person 0: metres, camera axes
    valid           (F) bool              optional; the frames of pose3d that count
    valid_joints    (F,17) bool           optional; the joints of every frame that count
    joints          (n) integer           optional; the joints that count

Other keys are ignored. Lifted poses are in another file: `lifted_npz.py`.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.errors import ConfigError
from langpose_rt.formats.archive import Archive, arrays_to_npz
from langpose_rt.formats.clip import (
    Clip,
    ClipOverrides,
    check_fps,
    check_size,
    keypoints_normalised,
    times_from_fps,
)
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.geometry.length_channels import LENGTH_RANGE_M
from langpose_rt.geometry.skeleton import BONES, JOINTS, Skeleton, skeleton_named

HEIGHT_RANGE_M = (0.3, 3.0)
"""Accepted stature of a person."""


def clip_from_npz(path: Path, overrides: ClipOverrides) -> Clip:
    """Read a clip from an npz file.

    Raises:
        ConfigError: If the file is damaged, or a key is missing or not what it should be.
    """
    with Archive(path) as archive:
        keypoints = archive.numbers("kp2d", "F,K,3", "F,P,K,3")
        if keypoints.ndim == 3:
            keypoints = keypoints[:, None]
        frames = len(keypoints)
        size = overrides.size or _size(archive)
        f = str(frames)
        return Clip(
            keypoints=keypoints_normalised(keypoints),
            skeleton=_skeleton(archive, keypoints, overrides.skeleton),
            size=size,
            t_ns=_times(archive, frames, overrides.fps),
            ids=_ids(archive, keypoints),
            intrinsics=overrides.intrinsics or _intrinsics(archive, size),
            gravity=overrides.gravity
            if overrides.gravity is not None
            else archive.direction("gravity")
            if "gravity" in archive
            else None,
            person_height_m=_height(archive) if "person_height_m" in archive else None,
            bones_m=_bones(archive, keypoints.shape[1]) if "bones_m" in archive else None,
            pose3d=archive.numbers("pose3d", f"{f},17,3") if "pose3d" in archive else None,
            valid=archive.flags("valid", f) if "valid" in archive else None,
            valid_joints=archive.flags("valid_joints", f"{f},17")
            if "valid_joints" in archive
            else None,
            joints=_joints(archive) if "joints" in archive else None,
        )


def clip_to_npz(path: Path, clip: Clip) -> None:
    """Write a clip so that `clip_from_npz` returns it unchanged.

    Raises:
        ConfigError: If the file cannot be written.
    """
    persons = clip.keypoints.shape[1]
    usual = bool((clip.ids == np.arange(persons)).all())
    arrays: dict[str, np.ndarray | None] = {
        "kp2d": clip.keypoints[:, 0] if persons == 1 and usual else clip.keypoints,
        "format": np.array(clip.skeleton.name),
        "size": np.array(clip.size),
        "t_ns": clip.t_ns,
        "ids": None if usual else clip.ids,
        "gravity": clip.gravity,
        "person_height_m": None if clip.person_height_m is None else np.array(clip.person_height_m),
        "bones_m": clip.bones_m,
        "pose3d": clip.pose3d,
        "valid": clip.valid,
        "valid_joints": clip.valid_joints,
        "joints": None if clip.joints is None else np.array(clip.joints, np.int64),
    }
    if clip.intrinsics is not None and not clip.intrinsics.assumed:
        arrays |= {"K": clip.intrinsics.matrix, "dist": np.array(clip.intrinsics.dist)}
    arrays_to_npz(path, {key: array for key, array in arrays.items() if array is not None})


def _skeleton(
    archive: Archive, keypoints: Float[np.ndarray, "f p k 3"], overrides: Skeleton | None
) -> Skeleton:
    frames, persons, count, _ = keypoints.shape
    if 0 in (frames, persons):
        raise archive.wrong(f"{frames} frames of {persons} persons", "at least one of each")
    name = overrides.name if overrides else archive.text("format")
    try:
        skeleton = overrides or skeleton_named(name)
    except ConfigError as error:
        raise ConfigError(f"{archive.path}: {error}") from None
    if count != len(skeleton.joints):
        wanted = f"{len(skeleton.joints)} of the format {skeleton.name}"
        raise archive.wrong(f"{count} keypoints a person", wanted)
    return skeleton


def _size(archive: Archive) -> tuple[int, int]:
    width, height = archive.numbers("size", "2")
    if not (width.is_integer() and height.is_integer()):
        raise archive.wrong(f"a size of {width} x {height}", "whole pixels, width before height")
    return check_size((int(width), int(height)), str(archive.path))


def _times(archive: Archive, frames: int, fps: float | int | None) -> Int[np.ndarray, " frame"]:
    if fps is None and "t_ns" in archive:
        _check_nanoseconds(archive, frames)
        t_ns = archive.integers("t_ns", str(frames))
        if not (t_ns[1:] > t_ns[:-1]).all():
            raise archive.wrong('a "t_ns" that does not rise', "capture times in their order")
        return t_ns
    if fps is None and "fps" not in archive:
        raise archive.wrong('neither "fps" nor "t_ns"', "one of them; or say the rate with --fps")
    rate = check_fps(archive.number("fps") if fps is None else fps, str(archive.path))
    return times_from_fps(np.arange(frames), rate)


def _check_nanoseconds(archive: Archive, frames: int) -> None:
    """Refuse times with a fraction, naming the unit that they look like."""
    t = archive.numbers("t_ns", str(frames))
    if not np.isfinite(t).all():
        raise archive.wrong('a "t_ns" that is not finite', "nanoseconds")
    if (t == np.rint(t)).all():
        return
    interval = float(np.median(np.diff(t))) if frames > 1 else 0.0
    unit = "seconds" if interval < 1 else "milliseconds"
    raise archive.wrong(f'a "t_ns" with fractions that looks like {unit}', "whole nanoseconds")


def _ids(
    archive: Archive, keypoints: Float[np.ndarray, "frame person k 3"]
) -> Int[np.ndarray, "frame person"]:
    frames, persons = keypoints.shape[:2]
    if "ids" not in archive:
        return np.tile(np.arange(persons), (frames, 1))
    ids = archive.integers("ids", f"{frames},{persons}")
    twice = (ids[:, :, None] == ids[:, None]) & (ids >= 0)[:, None] & ~np.eye(persons, dtype=bool)
    if (ids < -1).any() or twice.any():
        raise archive.wrong('"ids" below -1 or twice in a frame', "-1, or a number for each person")
    return ids


def _intrinsics(archive: Archive, size: tuple[int, int]) -> Intrinsics | None:
    if "K" not in archive:
        return None
    matrix = archive.numbers("K", "3,3")
    dist = archive.numbers("dist", "n", "1,n", "n,1").ravel() if "dist" in archive else np.zeros(0)
    own = _size(archive) if "size" in archive else size
    try:
        return Intrinsics.from_matrix(matrix, *own, dist.tolist())
    except ConfigError as error:
        raise ConfigError(f"{archive.path}: {error}") from None


def _height(archive: Archive) -> float:
    height_m = archive.number("person_height_m")
    low, high = HEIGHT_RANGE_M
    if not low <= height_m <= high:
        raise archive.wrong(f"a person {height_m:g} m tall", f"{low} to {high} m")
    return height_m


def _bones(archive: Archive, persons: int) -> Float[np.ndarray, "person 16"]:
    bones_m = archive.numbers("bones_m", f"{persons},{len(BONES)}")
    low, high = LENGTH_RANGE_M
    wrong = (bones_m < low) | (bones_m > high)
    if wrong.any():
        raise archive.wrong(f"a bone {bones_m[wrong][0]:g} m long", f"{low} to {high} m")
    return bones_m


def _joints(archive: Archive) -> tuple[int, ...]:
    joints = tuple(archive.integers("joints", "n").tolist())
    if not joints or len(set(joints)) < len(joints) or not set(joints) <= set(range(len(JOINTS))):
        raise archive.wrong(f'"joints" {list(joints)}', "different numbers from 0 to 16")
    return joints
