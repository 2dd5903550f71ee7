"""Reader and writer of fused poses as npz files.

The keys are those of `lifted_npz.py`, in world axes, and beside them

    joints         (F,P,J,3)    every fused joint: metres, world axes
    joint_names    (J)          text
    covariance_m2  (F,P,J,3,3)  of every joint
    views          (F,P,J)      bit mask of the cameras the joint rests on; bit 0 is the first
    residual_px    (F,P,J)      root mean square distance of the joint from its views
    lengths_m      (F,P,16)     the person's bone lengths as known by then, in the order of BONES
    held_ns        (F,P)        how long ago any camera saw the person; -1 for no person
    cameras        (C)          text, the names of the cameras
    seen_by        (F,P,C)      which cameras saw the person

A joint that is not known is NaN; a joint that is predicted from earlier frames has no views.
`lifted_from_npz` reads the 17 joints of the same file, `poses_from_npz` all that it holds.
"""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt32

from langpose_rt.formats.archive import Archive, arrays_to_npz
from langpose_rt.formats.lifted_npz import (
    PoseSequence,
    arrays_of_lifted,
    lifted_from_npz,
    lifted_to_npz,
)

_NAMES = (
    "joints", "covariance_m2", "views", "residual_px", "lengths_m", "held_ns", "seen_by",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class FusedSequence(PoseSequence):
    """The fused poses of a capture volume; names and units are those of the file."""

    joints: Float[np.ndarray, "frame person joint 3"]
    joint_names: tuple[str, ...]
    covariance_m2: Float[np.ndarray, "frame person joint 3 3"]
    views: UInt32[np.ndarray, "frame person joint"]
    residual_px: Float[np.ndarray, "frame person joint"]
    lengths_m: Float[np.ndarray, "frame person 16"]
    held_ns: Int[np.ndarray, "frame person"]
    cameras: tuple[str, ...]
    seen_by: Bool[np.ndarray, "frame person camera"]

    @classmethod
    def of_nobody(
        cls,
        t_ns: Int[np.ndarray, " frame"],
        persons: int,
        *,
        joint_names: tuple[str, ...],
        cameras: tuple[str, ...],
    ) -> "FusedSequence":
        """Return a sequence without persons, to be filled in place."""
        plain = PoseSequence.empty(t_ns, persons)
        shape = (len(t_ns), persons, len(joint_names))
        return cls(
            pose=plain.pose,
            root=plain.root,
            sigma_m=plain.sigma_m,
            ids=plain.ids,
            t_ns=plain.t_ns,
            frame="world",
            joints=np.full((*shape, 3), np.nan, np.float32),
            joint_names=joint_names,
            covariance_m2=np.full((*shape, 3, 3), np.nan, np.float32),
            views=np.zeros(shape, np.uint32),
            residual_px=np.full(shape, np.nan, np.float32),
            lengths_m=np.full((*shape[:2], 16), np.nan, np.float32),
            held_ns=np.full(shape[:2], -1, np.int64),
            cameras=cameras,
            seen_by=np.zeros((*shape[:2], len(cameras)), bool),
        )


def fused_to_npz(path: str | Path, fused: FusedSequence) -> None:
    """Write the fused poses of a capture volume.

    Raises:
        ConfigError: If the file cannot be written.
    """
    arrays = arrays_of_lifted(fused) | {name: getattr(fused, name) for name in _NAMES}
    arrays |= {"joint_names": np.array(fused.joint_names), "cameras": np.array(fused.cameras)}
    arrays_to_npz(Path(path), arrays)


def poses_from_npz(path: str | Path) -> PoseSequence:
    """Read the poses of a clip, or all that is known of those of a capture volume.

    Returns:
        A `FusedSequence` if the file holds fused joints.

    Raises:
        ConfigError: If the file is damaged, or no file of poses.
    """
    lifted = lifted_from_npz(path)
    with Archive(Path(path)) as archive:
        if "joint_names" not in archive:
            return lifted
        joint_names, cameras = archive.words("joint_names"), archive.words("cameras")
        people = f"{lifted.ids.shape[0]},{lifted.ids.shape[1]}"
        joints = f"{people},{len(joint_names)}"
        return FusedSequence(
            **{one.name: getattr(lifted, one.name) for one in fields(PoseSequence)},
            joints=archive.numbers("joints", f"{joints},3").astype(np.float32),
            joint_names=joint_names,
            covariance_m2=archive.numbers("covariance_m2", f"{joints},3,3").astype(np.float32),
            views=archive.integers("views", joints).astype(np.uint32),
            residual_px=archive.numbers("residual_px", joints).astype(np.float32),
            lengths_m=archive.numbers("lengths_m", f"{people},16").astype(np.float32),
            held_ns=archive.integers("held_ns", people),
            cameras=cameras,
            seen_by=archive.flags("seen_by", f"{people},{len(cameras)}"),
        )


def poses_to_npz(path: str | Path, poses: PoseSequence) -> None:
    """Write poses, with all that is known of those of a capture volume.

    Raises:
        ConfigError: If the file cannot be written.
    """
    if isinstance(poses, FusedSequence):
        fused_to_npz(path, poses)
    else:
        lifted_to_npz(path, poses)
