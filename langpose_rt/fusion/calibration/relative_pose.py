"""Relative poses of cameras from one walker: the first estimate for the adjustment.

Two cameras at a time by the essential matrix over all joints and times, the metres by the size of
the walker; then from camera to camera along the pairs that agree best.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from langpose_rt.errors import ConfigError
from langpose_rt.fusion.calibration.walker import View
from langpose_rt.geometry.skeleton import BONES, REFERENCE_BONES_M

LEAST_COMMON = 150
"""Two cameras need so many joints in common, over all times."""

LEAST_AGREEING = 0.5
"""And this share of them has to fit one geometry."""

LEAST_SCORE = 0.2

_THRESHOLD = 0.012
_CONFIDENCE = 0.999
_MIRROR_GAIN = 1.4


@dataclass(frozen=True, eq=False)
class PairPose:
    """Two cameras that see the walker together.

    Attributes:
        R, t: x_second = R x_first + t, metres if the walker is of usual height.
        agreeing: How many joints fit.
        share: Of all they have in common.
    """

    R: Float[np.ndarray, "3 3"]
    t: Float[np.ndarray, "3"]
    agreeing: int
    share: float


def pair_pose(first: View, second: View, t_s: Float[np.ndarray, " time"]) -> PairPose | None:
    """Return how a second camera stands to a first; None if they have too little in common.

    Source: Nister 2004 (five points) in OpenCV's RANSAC.
    """
    rays1, _, scores1 = first.at(t_s)
    rays2, _, scores2 = second.at(t_s)
    both = (scores1 > LEAST_SCORE) & (scores2 > LEAST_SCORE)
    if int(both.sum()) < LEAST_COMMON:
        return None
    points1, points2 = np.ascontiguousarray(rays1[both]), np.ascontiguousarray(rays2[both])
    cv2.setRNGSeed(1)
    E, mask = cv2.findEssentialMat(
        points1, points2, np.eye(3), method=cv2.RANSAC, prob=_CONFIDENCE, threshold=_THRESHOLD
    )
    if E is None or E.shape != (3, 3):
        return None
    count, R, t, mask = cv2.recoverPose(E, points1, points2, np.eye(3), mask=mask)
    good = both.copy()
    good[both] = mask.ravel() > 0
    scale = _scale(rays1, rays2, good, R, t.ravel())
    if scale is None:
        return None
    return PairPose(R, t.ravel() * scale, int(count), float(count / both.sum()))


def _scale(
    rays1: np.ndarray, rays2: np.ndarray, good: np.ndarray, R: np.ndarray, t: np.ndarray
) -> float | None:
    """Metres of a baseline of length 1, by the bones of the walker."""
    one = np.ones((*good.shape, 1))
    d1 = np.concatenate([rays1, one], -1)
    d2 = np.concatenate([rays2, one], -1) @ R  # into the axes of the first camera
    origin = -R.T @ t
    a, b, c = (d1 * d1).sum(-1), (d1 * d2).sum(-1), (d2 * d2).sum(-1)
    along1, along2 = d1 @ origin, d2 @ origin
    det = np.maximum(a * c - b * b, 1e-12)
    depth = (c * along1 - b * along2) / det
    joints = np.where((good & (depth > 0))[..., None], d1 * depth[..., None], np.nan)
    parents, children = np.array(BONES).T
    lengths = np.linalg.norm(joints[:, children] - joints[:, parents], axis=-1)
    known = np.isfinite(lengths)
    if known.sum() < LEAST_COMMON // 3:
        return None
    ratio = (REFERENCE_BONES_M / np.maximum(lengths, 1e-6))[known]
    return float(np.median(ratio))


def first_poses(
    candidates: list[list[View]], t_s: Float[np.ndarray, " time"]
) -> tuple[list[View], list[Float[np.ndarray, "3 4"]]]:
    """Return the walker in every camera, and x_camera = R x + t with the best camera as world.

    Raises:
        ConfigError: If a camera does not see the walker together with another one, or its picture
            is mirrored.
    """
    root = int(np.argmax([own[0].scores.sum() if own else 0 for own in candidates]))
    chosen: dict[int, View] = {root: candidates[root][0]}
    poses: dict[int, np.ndarray] = {root: np.eye(3, 4)}
    while len(chosen) < len(candidates):
        best: tuple[float, int, int, View, PairPose] | None = None
        for index, own in enumerate(candidates):
            if index in chosen:
                continue
            for view in own:
                for known, other in chosen.items():
                    pair = pair_pose(other, view, t_s)
                    if pair is None or pair.share < LEAST_AGREEING:
                        continue
                    score = pair.agreeing * pair.share
                    if best is None or score > best[0]:
                        best = score, known, index, view, pair
        if best is None:
            raise _lonely(candidates, chosen, t_s)
        _, known, index, view, pair = best
        R, t = poses[known][:, :3], poses[known][:, 3]
        poses[index] = np.concatenate([pair.R @ R, (pair.R @ t + pair.t)[:, None]], 1)
        chosen[index] = view
    return [chosen[i] for i in range(len(candidates))], [poses[i] for i in range(len(candidates))]


def _lonely(
    candidates: list[list[View]], chosen: dict[int, View], t_s: Float[np.ndarray, " time"]
) -> ConfigError:
    """Return the sentence about cameras that fit none of those that fit together."""
    lost = [own for index, own in enumerate(candidates) if index not in chosen]
    for own in lost:
        for other in chosen.values():
            pair, plain = pair_pose(other, own[0].mirrored(), t_s), pair_pose(other, own[0], t_s)
            usual = 0.0 if plain is None else plain.share
            if pair and pair.share > max(LEAST_AGREEING, _MIRROR_GAIN * usual):
                names = f'"{own[0].name}" or "{other.name}"'
                return ConfigError(
                    f"the picture of camera {names} is mirrored: left and right fit together only "
                    "if one of them is turned around; switch mirroring off and record again"
                )
    names = ", ".join(f'"{own[0].name}"' for own in lost)
    return ConfigError(
        f"camera {names} sees nobody together with another camera in at least {LEAST_COMMON} "
        "joints that fit one geometry; expected one person who walks where two cameras see them "
        "at the same time, and clips of one clock"
    )
