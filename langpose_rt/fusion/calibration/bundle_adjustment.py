"""Refine where cameras stand, when they saw, and their focal lengths, all cameras together.

The joints of the walker are no unknowns of their own: for every guess about the cameras they are
where their rays meet best, in closed form (variable projection). So there are only some 25 unknowns
however long the clip, and SciPy's dense least squares is enough.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import least_squares
from scipy.sparse import csr_matrix
from scipy.spatial.transform import Rotation

from langpose_rt.fusion.calibration.relative_pose import LEAST_SCORE
from langpose_rt.fusion.calibration.walker import View
from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M

OFFSET_SIGMA_S = 0.1
"""Standard deviation of the clock offsets, where they are estimated."""

FOCAL_SIGMA = 0.1
"""Relative standard deviation of the focal lengths, where they are estimated."""

BIAS = 0.012
"""Standard deviation of a detector's constant offset, as a share of the walker's height."""

SIGMA = 0.012
"""Usual deviation of a joint, as a share of the walker's height in the picture."""

_ROUNDS = 4
_OUTLIER = 4.0
_LEAST_NOISE, _MOST_NOISE = 0.7, 6.0
_MEDIAN_OF_NORMAL = 1.18
"""Median length of a normal deviation in two directions, in its standard deviations."""
_LEAST_RAYS = 2
_SCALE_SIGMA = 0.01


@dataclass(frozen=True, eq=False)
class Adjusted:
    """Cameras after the adjustment.

    Attributes:
        views: The walker in every camera, with the focal lengths found.
        R, t: x_camera = R x + t of every camera.
        offsets_s: What each camera's clock shows too much, against the first camera's.
        joints: The walker at every time; NaN where fewer than two cameras saw a joint.
        off_m: Distance of every joint from its ray, in the unit of the joints; NaN where there is
            no ray.
        residual_px: Likewise in pixels.
    """

    views: list[View]
    R: Float[np.ndarray, "camera 3 3"]
    t: Float[np.ndarray, "camera 3"]
    offsets_s: Float[np.ndarray, " camera"]
    joints: Float[np.ndarray, "time 17 3"]
    off_m: Float[np.ndarray, "camera time 17"]
    residual_px: Float[np.ndarray, "camera time 17"]


class _Problem:
    """Residuals of all observations for a guess about the cameras."""

    def __init__(
        self,
        views: list[View],
        poses: list[Float[np.ndarray, "3 4"]],
        t_s: Float[np.ndarray, " time"],
        *,
        offsets: bool,
        focals: bool,
    ) -> None:
        self.views, self.t_s = views, t_s
        count = len(views)
        self.cameras = count
        # the first camera is the world: its pose is known
        start = np.stack(poses)
        R0, t0 = start[0, :, :3], start[0, :, 3]
        self.R0 = start[:, :, :3] @ R0.T
        self.t0 = start[:, :, 3] - self.R0 @ t0
        self.spread = float(np.linalg.norm(self.t0, axis=1).mean())
        self.offsets, self.focals = offsets, focals
        self.geometry = 6 * (count - 1) + (count - 1) * offsets + count * focals
        self.size = self.geometry + count * 17 * 2
        self.keep: Bool[np.ndarray, "camera time 17"] = np.ones((count, len(t_s), 17), bool)
        self.sigma = np.full((count, len(t_s), 1), SIGMA)
        self.height = np.zeros((count, len(t_s), 1))

    def unpack(
        self, x: Float[np.ndarray, " unknown"]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Rotations, translations, clock offsets, focal factors."""
        count = self.cameras
        poses = x[: 6 * (count - 1)].reshape(-1, 6)
        R, t = self.R0.copy(), self.t0.copy()
        R[1:] = Rotation.from_rotvec(poses[:, :3]).as_matrix() @ self.R0[1:]
        t[1:] = self.t0[1:] + poses[:, 3:] * self.spread
        rest = x[6 * (count - 1) : self.geometry]
        offsets, focals = np.zeros(count), np.ones(count)
        if self.offsets:
            offsets[1:] = rest[: count - 1] * OFFSET_SIGMA_S
            rest = rest[count - 1 :]
        if self.focals:
            focals = np.exp(rest * FOCAL_SIGMA)
        return R, t, offsets, focals

    def observe(self, offsets: np.ndarray, focals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rays and weights [camera, time, joint] at the common times."""
        found = [
            view.at(self.t_s + offset) for view, offset in zip(self.views, offsets, strict=True)
        ]
        rays = np.stack([rays for rays, _ in found]) / focals[:, None, None, None]
        scores = np.stack([scores for _, scores in found])
        return rays, np.where((scores > LEAST_SCORE) & self.keep, scores, 0.0)

    def solve(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Joints, and the deviations [camera, time, joint, 2] of the rays in units of sigma."""
        R, t, offsets, focals = self.unpack(x)
        rays, weight = self.observe(offsets, focals)
        bias = x[self.geometry :].reshape(self.cameras, 1, 17, 2) * BIAS
        rays = rays - bias * self.height[..., None]
        joints = meet(rays, weight / self.sigma, R, t)
        seen = joints @ R.transpose(0, 2, 1)[:, None] + t[:, None, None]
        depth = np.maximum(seen[..., 2:], 0.1)
        there = (weight > 0) & np.isfinite(joints[..., 0])
        off = (seen[..., :2] / depth - rays) / self.sigma[..., None]
        off = np.where(there[..., None], off * weight[..., None], 0.0)
        return joints, off, there

    def residuals(self, x: np.ndarray) -> np.ndarray:
        """Return the residuals that least squares minimises."""
        _, off, _ = self.solve(x)
        _, t, _, _ = self.unpack(x)
        # the size of all cannot be seen: it stays as it is
        size = (np.linalg.norm(t, axis=1).mean() / self.spread - 1) / _SCALE_SIGMA
        extra = x[6 * (self.cameras - 1) :]
        return np.concatenate([off.ravel(), [size], extra])

    def sparsity(self) -> csr_matrix:
        """Return which residual depends on which unknown: a joint's bias on that joint only."""
        count, times = self.cameras, len(self.t_s)
        joint = np.broadcast_to(np.arange(17)[:, None], (count, times, 17, 2)).ravel()
        dense = np.ones((len(joint), self.geometry), bool)
        bias = np.broadcast_to(np.arange(17)[:, None], (count, 17, 2)).ravel()
        own = joint[:, None] == bias
        prior = np.eye(self.size, dtype=bool)[6 * (count - 1) :]
        scale = np.arange(self.size)[None] < self.geometry
        return csr_matrix(np.concatenate([np.concatenate([dense, own], 1), scale, prior]))

    def refresh(self, x: np.ndarray) -> None:
        """Weigh every camera again, by the walker's height in its picture and by its residuals.

        Observations far beyond what is usual in their camera are left out from now on.
        """
        R, t, _, _ = self.unpack(x)
        joints, off, there = self.solve(x)
        seen = joints @ R.transpose(0, 2, 1)[:, None] + t[:, None, None]
        distance = np.sqrt((off * off).sum(-1)) * (self.sigma / SIGMA)
        for camera in range(self.cameras):
            own = there[camera]
            if not own.any():
                continue
            depth = np.where(own, seen[camera, ..., 2], 0.0).sum(1) / np.maximum(own.sum(1), 1)
            usual = float(np.median(depth[own.any(1)]))
            depth = np.where(own.any(1), depth, usual)
            height = REFERENCE_STATURE_M / np.maximum(depth, 0.3)
            relative = distance[camera] / height[:, None]
            noise = max(float(np.median(relative[own])) / _MEDIAN_OF_NORMAL, _LEAST_NOISE)
            self.keep[camera] &= ~(own & (relative > _OUTLIER * noise))
            self.height[camera] = height[:, None]
            self.sigma[camera] = SIGMA * min(noise, _MOST_NOISE) * height[:, None]


def meet(
    rays: Float[np.ndarray, "camera time 17 2"],
    weight: Float[np.ndarray, "camera time 17"],
    R: Float[np.ndarray, "camera 3 3"],
    t: Float[np.ndarray, "camera 3"],
) -> Float[np.ndarray, "time 17 3"]:
    """Return where the rays of every joint meet best; NaN with fewer than two.

    Source: direct linear transform, Hartley and Zisserman 2004, section 12.2, inhomogeneous.
    """
    # (R row 0 - u R row 2) x = u t_z - t_x, likewise for v
    rows = R[:, None, None, :2] - rays[..., None] * R[:, None, None, 2:]
    right = rays * t[:, None, None, 2:] - t[:, None, None, :2]
    w2 = (weight * weight)[..., None]
    flat = (rows * w2[..., None]).transpose(1, 2, 4, 0, 3).reshape(*rays.shape[1:3], 3, -1)
    plain = rows.transpose(1, 2, 0, 3, 4).reshape(*rays.shape[1:3], -1, 3)
    target = right.transpose(1, 2, 0, 3).reshape(*rays.shape[1:3], -1, 1)
    A = flat @ plain
    several = (weight > 0).sum(0) >= _LEAST_RAYS
    A = np.where(several[..., None, None], A, np.eye(3))
    trace = np.trace(A, axis1=-2, axis2=-1)[..., None, None]
    joints = np.linalg.solve(A + 1e-9 * trace * np.eye(3), flat @ target)[..., 0]
    return np.where(several[..., None], joints, np.nan)


def adjust(
    views: list[View],
    poses: list[Float[np.ndarray, "3 4"]],
    t_s: Float[np.ndarray, " time"],
    *,
    offsets: bool = False,
    focals: bool = False,
) -> Adjusted:
    """Refine all cameras together, with a robust loss and outliers left out round by round.

    Args:
        views: The walker in every camera.
        poses: First estimate of x_camera = R x + t.
        t_s: Times at which the walker is placed, on the first camera's clock.
        offsets: Whether clocks may differ.
        focals: Whether focal lengths are to be found.
    """
    problem = _Problem(views, poses, t_s, offsets=offsets, focals=focals)
    x = np.zeros(problem.size)
    pattern = problem.sparsity()
    for _ in range(_ROUNDS):
        problem.refresh(x)
        x = least_squares(
            problem.residuals, x, loss="soft_l1", f_scale=1.5, x_scale="jac", max_nfev=12,
            ftol=1e-5, xtol=1e-6, diff_step=1e-5, jac_sparsity=pattern,
        ).x  # fmt: skip
    R, t, offset_s, factor = problem.unpack(x)
    problem.keep[:] = True
    _rays, weight = problem.observe(offset_s, factor)
    joints, off, there = problem.solve(x)
    lenses = [view.refocused(float(f)) for view, f in zip(views, factor, strict=True)]
    focal_px = np.array([lens.intrinsics.fx_px for lens in lenses])
    plain = off / np.where(weight > 0, weight, 1.0)[..., None]
    off = np.sqrt((plain * plain).sum(-1)) * problem.sigma
    depth = (joints @ R.transpose(0, 2, 1)[:, None] + t[:, None, None])[..., 2]
    return Adjusted(
        views=[replace(view, t_s=view.t_s - o) for view, o in zip(lenses, offset_s, strict=True)],
        R=R,
        t=t,
        offsets_s=offset_s,
        joints=joints,
        off_m=np.where(there, off * depth, np.nan),
        residual_px=np.where(there, off * focal_px[:, None, None], np.nan),
    )
