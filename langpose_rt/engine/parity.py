"""Parity: how far one backend's poses are from another's, in mm, on real keypoints.

Nothing here knows a library; two backends and the rows of a clip go in. No product is written
without this number.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.config import NS_PER_S
from langpose_rt.geometry.camera import Intrinsics, pixel_to_ray
from langpose_rt.geometry.person_frame import AnchorState, anchor_step
from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M
from langpose_rt.manifest import Parity
from langpose_rt.runtime.backend import Backend

MM_PER_BODY_UNIT = 1000.0
"""Body units are metres of the reference body."""


@dataclass(frozen=True)
class ParityClip:
    """Model input of one person's clip.

    Attributes:
        name: Of the clip, for the manifest.
        rows: From `anchor_step`, frame by frame.
        extras: Likewise.
        time_ns: Capture times.
    """

    name: str
    rows: Float[np.ndarray, "frame 17 3"]
    extras: Float[np.ndarray, "frame 7"]
    time_ns: Int[np.ndarray, " frame"]


def parity_clip(
    name: str,
    keypoints: Float[np.ndarray, "frame 17 3"],
    intrinsics: Intrinsics,
    time_ns: Int[np.ndarray, " frame"],
) -> ParityClip:
    """Model input of a clip of 17-joint keypoints (x, y in px, and score; score 0 is missing)."""
    state = AnchorState.empty(1)
    rows, extras = [], []
    rays = pixel_to_ray(keypoints[..., :2], intrinsics)
    step_s = np.diff(time_ns, prepend=time_ns[:1]) / NS_PER_S
    unknown = np.full((1, 3), np.nan, np.float32)
    for ray, score, dt_s in zip(rays, keypoints[..., 2], step_s, strict=True):
        anchored = anchor_step(state, ray[None], score[None], np.array([dt_s], np.float32), unknown)
        rows.append(anchored.rows[0])
        extras.append(anchored.extras[0])
    return ParityClip(name, np.stack(rows), np.stack(extras), time_ns)


def lift_clip(
    backend: Backend, clip: ParityClip, frames_back: int = 0
) -> tuple[Float[np.ndarray, "answered 17 3"], Float[np.ndarray, "answered 17"]]:
    """Poses and sigma of a clip through a backend, frame by frame, in slot 0."""
    slot, back = np.zeros(1, np.int32), np.full(1, frames_back, np.int32)
    backend.reset(slot)
    poses, sigmas = [], []
    for index, now_ns in enumerate(clip.time_ns):
        here = slice(index, index + 1)
        backend.encode(clip.rows[here], clip.extras[here], slot, clip.time_ns[here])
        if index < frames_back:
            continue
        lag_s = np.array([(now_ns - clip.time_ns[index - frames_back]) / NS_PER_S], np.float32)
        pose, sigma = backend.lift(slot, back, lag_s)
        poses.append(pose[0])
        sigmas.append(sigma[0])
    backend.reset(slot)
    return np.stack(poses), np.stack(sigmas)


def parity(candidate: Backend, reference: Backend, clip: ParityClip) -> Parity:
    """Distance between the poses of two backends on a clip, for a body of reference stature."""
    pose, _ = lift_clip(candidate, clip)
    expected, _ = lift_clip(reference, clip)
    distance = np.linalg.norm(pose - expected, axis=-1) * MM_PER_BODY_UNIT
    return Parity(
        clip=f"{clip.name}, stature {REFERENCE_STATURE_M:.2f} m",
        frames=len(pose),
        mean_mm=float(distance.mean()),
        worst_mm=float(distance.max()),
    )
