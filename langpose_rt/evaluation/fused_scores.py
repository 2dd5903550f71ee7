"""Scores of fused poses against the 3D truth that the clips of a capture volume carry."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.errors import ConfigError
from langpose_rt.evaluation.metrics import p_mpjpe_mm
from langpose_rt.formats.clip import Clip
from langpose_rt.formats.lifted_npz import PoseSequence
from langpose_rt.geometry.camera import Camera

SAME_PERSON_M = 0.3
"""Truths of two clips that are on average nearer together are of one person."""

FOUND_M = 0.5
"""A person is found where a fused pose is on average nearer than this."""

_RELATIVE_M = 0.01


@dataclass(frozen=True, kw_only=True)
class FusedScores:
    """Errors of the fused poses, in world axes and without any alignment but P-MPJPE.

    Attributes:
        people: People with truth.
        poses: Poses that were compared.
        found: Share of the true poses that have a fused one within FOUND_M.
        ids: Ids over all people; as many as people where nobody changes it.
        mpjpe_mm, median_mm: Mean and median distance of the joints, absolute.
        p_mpjpe_mm: With the best similarity.
    """

    people: int
    poses: int
    found: float
    ids: int
    mpjpe_mm: float
    median_mm: float
    p_mpjpe_mm: float

    def to_dict(self) -> dict[str, float | int]:
        """Return the scores rounded for printing."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class _Truth:
    """True joints of one person in world axes; NaN where they do not count."""

    t_ns: Int[np.ndarray, " frame"]
    joints: Float[np.ndarray, "frame 17 3"]

    def at(self, t_ns: Int[np.ndarray, " time"]) -> Float[np.ndarray, "time 17 3"]:
        """Return the joints at other times, on lines between frames; NaN outside."""
        flat = self.joints.reshape(len(self.t_ns), -1)
        found = [np.interp(t_ns, self.t_ns, one, left=np.nan, right=np.nan) for one in flat.T]
        return np.stack(found, -1).reshape(len(t_ns), 17, 3)


def scores_of_fused(
    fused: PoseSequence,
    clips: Mapping[str, Clip],
    cameras: Mapping[str, Camera],
    offsets_s: Mapping[str, float] | None = None,
) -> FusedScores:
    """Compare fused poses with the 3D of the clips.

    Args:
        fused: Poses in world axes.
        clips: By camera name; those with pose3d count.
        cameras: Calibrated cameras, by the same names.
        offsets_s: What each camera's clock shows too much.

    Raises:
        ConfigError: If no clip has 3D, it is relative to the hip, or no pose can be compared.
    """
    truths = _truths(clips, cameras, offsets_s or {})
    joints = (fused.pose + fused.root[:, :, None]).astype(np.float64)
    found: list[np.ndarray] = []
    true: list[np.ndarray] = []
    ids, there = 0, 0
    for truth in truths:
        wanted = truth.at(fused.t_ns)
        known = np.isfinite(wanted).all(-1)
        frames = np.flatnonzero(known.any(1))
        there += len(frames)
        off = np.linalg.norm(joints[frames] - wanted[frames, None], axis=-1)
        counts = np.isfinite(off)
        mean = np.where(counts, off, 0).sum(-1) / np.maximum(counts.sum(-1), 1)
        mean = np.where(counts.any(-1) & (fused.ids[frames] >= 0), mean, np.inf)
        column = mean.argmin(1)
        near = mean[np.arange(len(frames)), column] < FOUND_M
        frames, column = frames[near], column[near]
        ids += len(np.unique(fused.ids[frames, column]))
        found.append(joints[frames, column])
        true.append(wanted[frames])
    poses, wanted = np.concatenate(found), np.concatenate(true)
    if not len(poses):
        raise ConfigError(
            f"nobody was found within {FOUND_M} m of the 3D of the clips; expected --cameras of "
            "these clips, in the world of their 3D"
        )
    off_mm = 1000 * np.linalg.norm(poses - wanted, axis=-1)
    return FusedScores(
        people=len(truths),
        poses=len(poses),
        found=len(poses) / there,
        ids=ids,
        mpjpe_mm=float(np.nanmean(off_mm)),
        median_mm=float(np.nanmedian(off_mm)),
        p_mpjpe_mm=p_mpjpe_mm(poses, wanted, valid=np.isfinite(off_mm)),
    )


def _truths(
    clips: Mapping[str, Clip], cameras: Mapping[str, Camera], offsets_s: Mapping[str, float]
) -> list[_Truth]:
    """Return everybody whose 3D a clip carries, once."""
    truths: list[_Truth] = []
    for name, clip in clips.items():
        if clip.pose3d is None:
            continue
        pose = np.where(clip.counted[..., None], clip.pose3d, np.nan).astype(np.float64)
        if float(np.nanmedian(np.linalg.norm(pose[:, 0], axis=-1))) < _RELATIVE_M:
            raise ConfigError(
                f"the 3D of camera {name} is relative to the hip; fused poses are compared in "
                "world axes, which needs absolute metres in camera axes"
            )
        T = cameras[name].T_world_camera
        assert T is not None
        t_ns = clip.t_ns - round(offsets_s.get(name, 0.0) * 1e9)
        truth = _Truth(t_ns, pose @ T[:3, :3].T + T[:3, 3])
        if not any(_is_same(truth, other) for other in truths):
            truths.append(truth)
    if not truths:
        raise ConfigError(
            'no clip has "pose3d"; expected (F,17,3) absolute metres in camera axes in one at least'
        )
    return truths


def _is_same(truth: _Truth, other: _Truth) -> bool:
    away = np.linalg.norm(truth.at(other.t_ns) - other.joints, axis=-1)
    known = away[np.isfinite(away)]
    return bool(len(known) and known.mean() < SAME_PERSON_M)
