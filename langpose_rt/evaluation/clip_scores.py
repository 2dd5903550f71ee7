"""Scores of lifted poses against the 3D ground truth of a clip."""

import math
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float

from langpose_rt.errors import ConfigError
from langpose_rt.evaluation.metrics import (
    auc,
    best_constant_pose,
    jitter_mm,
    mpjpe_mm,
    n_mpjpe_mm,
    p_mpjpe_mm,
    pck,
    velocity_error_mm_s,
)
from langpose_rt.formats.clip import Clip


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Errors of one clip; see `langpose_rt.evaluation.metrics` for the definitions.

    Attributes:
        frames: Frames that were compared.
        mpjpe_mm: With aligned roots.
        n_mpjpe_mm, p_mpjpe_mm: With the best scale; with the best similarity.
        constant_mpjpe_mm, constant_p_mpjpe_mm: The same of the best constant pose.
        velocity_error_mm_s: Of joint velocities relative to the root.
        still_velocity_error_mm_s: The same of a constant pose.
        jitter_mm, true_jitter_mm: Of the poses and of the ground truth.
        pck_150mm, auc: Shares, 0 to 1.
    """

    frames: int
    mpjpe_mm: float
    n_mpjpe_mm: float
    p_mpjpe_mm: float
    constant_mpjpe_mm: float
    constant_p_mpjpe_mm: float
    velocity_error_mm_s: float
    still_velocity_error_mm_s: float
    jitter_mm: float
    true_jitter_mm: float
    pck_150mm: float
    auc: float

    def to_dict(self) -> dict[str, float | int | None]:
        """Return the scores rounded for printing; None where there are too few frames."""
        return {
            name: round(value, 4) if math.isfinite(value) else None
            for name, value in asdict(self).items()
        }


def scores_of_poses(poses: Float[np.ndarray, "frame 17 3"], clip: Clip) -> Scores:
    """Compare poses with the 3D ground truth of a clip.

    Args:
        poses: Root-relative metres in camera axes; NaN where there is none.
        clip: With `pose3d`.

    Raises:
        ConfigError: If the clip has no 3D, or no frame can be compared.
    """
    if clip.pose3d is None:
        raise ConfigError('found no "pose3d"; expected (F,17,3) metres in camera axes')
    truth = clip.pose3d.astype(np.float64)
    valid = clip.counted & np.isfinite(poses).all((1, 2))[:, None]
    if not valid.any():
        raise ConfigError("no frame has both a lifted pose and valid 3D; nothing can be compared")
    still = {
        aligned: np.broadcast_to(
            best_constant_pose(truth, aligned=aligned, valid=valid), truth.shape
        )
        for aligned in (False, True)
    }
    return Scores(
        frames=int(valid.any(-1).sum()),
        mpjpe_mm=mpjpe_mm(poses, truth, valid=valid),
        n_mpjpe_mm=n_mpjpe_mm(poses, truth, valid=valid),
        p_mpjpe_mm=p_mpjpe_mm(poses, truth, valid=valid),
        constant_mpjpe_mm=mpjpe_mm(still[False], truth, valid=valid),
        constant_p_mpjpe_mm=p_mpjpe_mm(still[True], truth, valid=valid),
        velocity_error_mm_s=velocity_error_mm_s(poses, truth, clip.t_ns, valid=valid),
        still_velocity_error_mm_s=velocity_error_mm_s(still[False], truth, clip.t_ns, valid=valid),
        jitter_mm=jitter_mm(poses, valid=valid),
        true_jitter_mm=jitter_mm(truth, valid=valid),
        pck_150mm=pck(poses, truth, valid=valid),
        auc=auc(poses, truth, valid=valid),
    )
