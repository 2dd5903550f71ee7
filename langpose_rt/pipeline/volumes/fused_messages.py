"""Build the pose message of a capture volume at one instant."""

import numpy as np
from jaxtyping import Bool, Float, UInt8

from langpose_rt.fusion.fused_frame import FusedFrame
from langpose_rt.pipeline.volumes.live_volume import FusedInstant
from langpose_rt.protocol.fusion_info import FusionInfo
from langpose_rt.protocol.messages import (
    JointFlag,
    Latency,
    ModelStamp,
    PoseMessage,
    Source,
    WindowFill,
)

FUSED = "fused"
"""The name in the topic of fused poses that stands where a camera's name does."""

UNKNOWN_SIGMA_M = 10.0
"""Standard deviation of a joint that is not known, and the greatest one published."""

UPPER = (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)
"""Rows and columns of the entries of a published covariance."""


def fused_message(
    instant: FusedInstant, *, epoch: int, model: ModelStamp, lookahead_ns: int, busy_ns: int
) -> PoseMessage:
    """Return the message of one instant.

    Args:
        instant: People of the volume.
        epoch: Of the server.
        model: The model whose monocular poses were used.
        lookahead_ns: Of those poses.
        busy_ns: What fusing took.
    """
    frame = instant.frame
    layout, places = frame.layout, frame.layout.h36m
    rows = np.flatnonzero(np.isfinite(frame.joints17).all(-1).any(1))
    joints, covariance = frame.joints[rows], frame.covariance_m2[rows]
    joints17 = joints[:, places]
    root = _roots(joints17)
    own = covariance[:, places]
    known = np.isfinite(joints17).all(-1) & np.isfinite(own).all((-2, -1))
    count = len(layout.skeleton.joints)
    views, held = frame.views[rows], frame.held_ns[rows] > 0
    return PoseMessage(
        rig=instant.volume,
        camera=FUSED,
        epoch=epoch,
        seq=instant.seq,
        src=Source(epoch=epoch, seq=instant.seq, t=frame.t_ns),
        t_srv=frame.t_ns,
        lat=Latency(rx=instant.wait_ns, post=busy_ns),
        model=model,
        poses=_relative(joints17, own, known, root, unknown_m=UNKNOWN_SIGMA_M),
        flags=_flags(views[:, places] > 0, held),
        ids=frame.ids[rows],
        state=tuple("held" if is_held else "ok" for is_held in held.tolist()),
        root=root.astype(np.float32),
        scale_src="given",
        frame="world",
        gravity=instant.gravity,
        level_src="none" if instant.gravity is None else "calibration",
        win=WindowFill(0, (0,) * len(rows), lookahead_ns),
        fused=FusionInfo(
            cameras=instant.cameras,
            live=sum(1 << bit for bit in np.flatnonzero(frame.awake).tolist()),
            fmt=layout.skeleton.name,
            wait_ns=instant.wait_ns,
        ),
        views=views[:, places].astype(np.uint32),
        residual_px=np.nan_to_num(frame.residual_px[rows][:, places]).astype(np.float32),
        covariance_m2=_packed(own, known),
        bones_m=np.nan_to_num(frame.lengths_m[rows]).astype(np.float32),
        keypoints=_keypoints(frame, rows, count, root),
        keypoint_views=views[:, :count].astype(np.uint32),
    )


def _roots(joints17: Float[np.ndarray, "person 17 3"]) -> Float[np.ndarray, "person 3"]:
    """Return the hip of everybody, or the mean of the known joints where it is not known."""
    known = np.isfinite(joints17).all(-1, keepdims=True)
    mean = np.where(known, joints17, 0.0).sum(1) / np.maximum(known.sum(1), 1)
    return np.where(known[:, 0], joints17[:, 0], mean)


def _relative(
    joints: Float[np.ndarray, "person joint 3"],
    covariance: Float[np.ndarray, "person joint 3 3"],
    known: Bool[np.ndarray, "person joint"],
    root: Float[np.ndarray, "person 3"],
    *,
    unknown_m: float,
) -> Float[np.ndarray, "person joint 4"]:
    """Return X, Y, Z relative to the root, and the standard deviation; float32."""
    found = np.zeros((*known.shape, 4), np.float32)
    found[..., :3] = np.where(known[..., None], joints - root[:, None], 0.0)
    variance = np.trace(np.where(known[..., None, None], covariance, 0.0), axis1=-2, axis2=-1) / 3
    sigma = np.minimum(np.sqrt(np.maximum(variance, 0.0)), UNKNOWN_SIGMA_M)
    found[..., 3] = np.where(known, sigma, unknown_m)
    return found


def _keypoints(
    frame: FusedFrame, rows: np.ndarray, count: int, root: Float[np.ndarray, "person 3"]
) -> Float[np.ndarray, "person keypoint 4"]:
    joints, covariance = frame.joints[rows, :count], frame.covariance_m2[rows, :count]
    known = np.isfinite(joints).all(-1) & np.isfinite(covariance).all((-2, -1))
    return _relative(joints, covariance, known, root, unknown_m=0.0)


def _packed(
    covariance: Float[np.ndarray, "person joint 3 3"], known: Bool[np.ndarray, "person joint"]
) -> Float[np.ndarray, "person joint 6"]:
    """Return the upper triangles as float32; of unknown joints that of UNKNOWN_SIGMA_M."""
    unknown = UNKNOWN_SIGMA_M**2 * np.eye(3)
    whole = np.where(known[..., None, None], covariance, unknown)
    return whole[..., UPPER[0], UPPER[1]].astype(np.float32)


def _flags(
    seen: Bool[np.ndarray, "person 17"], held: Bool[np.ndarray, " person"]
) -> UInt8[np.ndarray, "person 17"]:
    """Return measured where a camera sees the joint, else imputed; predicted where none sees."""
    unseen = np.where(held, JointFlag.PREDICTED.value, JointFlag.IMPUTED.value)
    return np.where(seen, JointFlag.MEASURED.value, unseen[:, None]).astype(np.uint8)
