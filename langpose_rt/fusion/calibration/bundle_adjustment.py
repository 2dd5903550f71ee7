"""Refine where cameras stand, when they saw, and their focal lengths, all cameras together.

Bundle adjustment: cameras, the constant offsets of their detectors and the walker's joints are
unknowns of one least-squares problem with a robust loss. Joints are eliminated in closed form, so
that some 160 unknowns are left however long the clip.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from langpose_rt.fusion.calibration.detector_errors import NOISE, offset_precision
from langpose_rt.fusion.calibration.relative_pose import LEAST_SCORE
from langpose_rt.fusion.calibration.walker import View
from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M

CLOCK_SIGMA_S = 0.1
"""Standard deviation of the clock offsets, where they are estimated."""

FOCAL_SIGMA = 0.1
"""Relative standard deviation of the focal lengths, where they are estimated."""

_STEPS = 6
_ROBUST = (10.0, 10.0, 6.0, 4.0, 3.0, 2.5, 2.5, 2.5)
"""Standard deviations from which an observation counts less and less, round by round.

First all count, for what a wrong clock makes seem an outlier is what shows that it is wrong.
"""
_LEAST_NOISE, _MOST_NOISE = 0.15, 10.0
_MEDIAN_OF_NORMAL = 1.18
"""Median length of a normal deviation in two directions, in its standard deviations."""
_LEAST_RAYS = 2
_SCALE_SIGMA = 0.01
_LEAST_GAIN = 1e-5
_POSE, _CLOCK, _FOCAL, _BIAS, _ALL = slice(0, 6), 6, 7, 8, 42
"""A camera's unknowns: turn and shift, clock, focal length, offsets of 17 joints."""
_OWN = 10
"""Those that one joint depends on."""


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
        variance: Of the joints along an axis, by the noise of their rays.
        offset_covariance: Of the joints along an axis, by the constant offsets of the detectors.
    """

    views: list[View]
    R: Float[np.ndarray, "camera 3 3"]
    t: Float[np.ndarray, "camera 3"]
    offsets_s: Float[np.ndarray, " camera"]
    joints: Float[np.ndarray, "time 17 3"]
    off_m: Float[np.ndarray, "camera time 17"]
    residual_px: Float[np.ndarray, "camera time 17"]
    variance: Float[np.ndarray, "time 17"]
    offset_covariance: Float[np.ndarray, "17 17"]


@dataclass(frozen=True, eq=False)
class _Guess:
    """Everything that is unknown; bias is a share of the walker's height."""

    R: np.ndarray
    t: np.ndarray
    clock_s: np.ndarray
    log_focal: np.ndarray
    bias: np.ndarray
    joints: np.ndarray

    def moved(self, cameras: np.ndarray, bias: np.ndarray, joints: np.ndarray) -> "_Guess":
        turn = Rotation.from_rotvec(cameras[:, :3]).as_matrix()
        return _Guess(
            R=turn @ self.R,
            t=(turn @ self.t[..., None])[..., 0] + cameras[:, 3:6],
            clock_s=self.clock_s + cameras[:, _CLOCK],
            log_focal=self.log_focal + cameras[:, _FOCAL],
            bias=self.bias + bias,
            joints=self.joints + joints,
        )


@dataclass(frozen=True, eq=False)
class _Fit:
    """Deviations [camera, time, joint, 2] of a guess in standard deviations, and its cost."""

    seen: np.ndarray
    rays: np.ndarray
    speed: np.ndarray
    weight: np.ndarray
    off: np.ndarray
    trust: np.ndarray
    cost: float


def _places(camera: int, joint: int) -> np.ndarray:
    """Return where the unknowns of a camera are that a joint depends on."""
    bias = _BIAS + 2 * joint
    return np.asarray(_ALL * camera + np.r_[0:_BIAS, bias : bias + 2])


def _stiffness(Jp: np.ndarray) -> np.ndarray:
    """Return the inverse covariance of the joints as their rays have it, the unit where none."""
    V = np.einsum("ctjka,ctjkb->tjab", Jp, Jp)
    trace = np.trace(V, axis1=-2, axis2=-1)[..., None, None]
    return np.asarray(V + np.where(trace > 0, 1e-9 * trace, 1.0) * np.eye(3))


class _Problem:
    """Observations of all cameras, and how much each is trusted."""

    def __init__(self, views: list[View], t_s: np.ndarray, free: np.ndarray, spread: float) -> None:
        self.views, self.t_s, self.free, self.spread = views, t_s, free, spread
        count = len(views)
        self.noise, self.robust = np.ones(count), _ROBUST[0]
        self.height = np.ones((count, len(t_s), 1))
        self.precision = offset_precision()

    @property
    def sigma(self) -> np.ndarray:
        """Standard deviation of every ray."""
        return NOISE * self.noise[:, None, None] * self.height

    def observe(self, clock_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = [v.at(self.t_s + o) for v, o in zip(self.views, clock_s, strict=True)]
        rays, speed, scores = (np.stack(part) for part in zip(*found, strict=True))
        return rays, speed, np.where(scores > LEAST_SCORE, scores, 0.0)

    def fit(self, guess: _Guess) -> _Fit:
        rays, speed, weight = self.observe(guess.clock_s)
        focal = np.exp(-guess.log_focal)[:, None, None, None]
        rays, speed = rays * focal, speed * focal
        several = (weight > 0).sum(0) >= _LEAST_RAYS
        weight = weight * several
        seen = guess.joints @ guess.R.transpose(0, 2, 1)[:, None] + guess.t[:, None, None]
        depth = np.maximum(seen[..., 2:], 0.1)
        bias = guess.bias[:, None] * self.height[..., None]
        off = (seen[..., :2] / depth + bias - rays) * (weight / self.sigma)[..., None]
        squared = (off * off).sum(-1) / self.robust**2
        size = (np.linalg.norm(guess.t, axis=1).mean() / self.spread - 1) / _SCALE_SIGMA
        prior = (
            size**2
            + ((guess.clock_s / CLOCK_SIGMA_S) ** 2).sum()
            + ((guess.log_focal / FOCAL_SIGMA) ** 2).sum()
            + np.einsum("cjk,ji,cik,c->", guess.bias, self.precision, guess.bias, self.noise**-2.0)
        )
        # a moved clock brings other frames into view: a mean, for there may be more or fewer
        cost = float(self.robust**2 * np.log1p(squared).sum() + prior) / max(
            int((weight > 0).sum()), 1
        )
        return _Fit(seen, rays, speed, weight, off, 1 / (1 + squared), cost)

    def step(self, guess: _Guess, fit: _Fit, damping: float) -> _Guess:
        """Return the guess after a Gauss-Newton step, joints eliminated (Schur complement)."""
        count, times = len(self.views), len(self.t_s)
        A, Jp, off = self._jacobians(guess, fit)
        inverse = np.linalg.inv(_stiffness(Jp))
        pull_joint = np.einsum("ctjka,ctjk->tja", Jp, off)
        W = A.swapaxes(-1, -2) @ Jp
        pull = np.einsum("ctjka,ctjk->cja", A, off)
        pull -= np.einsum("ctjab,tjbd,tjd->cja", W, inverse, pull_joint, optimize=True)
        own = np.einsum("ctjka,ctjkb->cjab", A, A)
        shared = (W @ np.linalg.cholesky(inverse)).transpose(2, 0, 3, 1, 4)
        shared = shared.reshape(17, count * _OWN, times * 3)
        H, g = np.zeros((count * _ALL, count * _ALL)), np.zeros(count * _ALL)
        for joint in range(17):
            block = -shared[joint] @ shared[joint].T
            for c in range(count):
                part = slice(_OWN * c, _OWN * c + _OWN)
                block[part, part] += own[c, joint]
            place = np.concatenate([_places(c, joint) for c in range(count)])
            H[np.ix_(place, place)] += block
            g[place] += pull[:, joint].ravel()
        self._add_priors(guess, H, g)
        reduced = H[np.ix_(self.free, self.free)]
        reduced[np.diag_indices_from(reduced)] *= 1 + damping
        flat = np.zeros(len(g))
        flat[self.free] = -np.linalg.solve(reduced, g[self.free])
        x = flat.reshape(count, _ALL)
        cameras, bias = x[:, :_BIAS], x[:, _BIAS:].reshape(count, 17, 2)
        local = np.concatenate([np.repeat(cameras[:, None], 17, 1), bias], -1)
        back = pull_joint + np.einsum("ctjab,cja->tjb", W, local)
        return guess.moved(cameras, bias, -np.einsum("tjab,tjb->tja", inverse, back))

    def _jacobians(self, guess: _Guess, fit: _Fit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        z = 1 / np.maximum(fit.seen[..., 2], 0.1)
        share = fit.weight / self.sigma * np.sqrt(fit.trust)
        dp = np.zeros((*z.shape, 2, 3))
        dp[..., 0, 0] = dp[..., 1, 1] = z
        dp[..., :, 2] = -fit.seen[..., :2] * z[..., None] ** 2
        dp *= share[..., None, None]
        A = np.empty((*z.shape, 2, _OWN))
        # a small turn w of the camera moves a point by w x point
        A[..., :3] = np.cross(fit.seen[..., None, :], dp)
        A[..., 3:6] = dp
        A[..., _CLOCK] = -fit.speed * share[..., None]
        A[..., _FOCAL] = fit.rays * share[..., None]
        A[..., 8:] = np.eye(2) * (share * self.height)[..., None, None]
        Jp = dp @ guess.R[:, None, None]
        return A, Jp, fit.off * np.sqrt(fit.trust)[..., None]

    def _add_priors(self, guess: _Guess, H: np.ndarray, g: np.ndarray) -> None:
        count = len(self.views)
        length = np.maximum(np.linalg.norm(guess.t, axis=1), 1e-9)
        size = (length.mean() / self.spread - 1) / _SCALE_SIGMA
        row = np.zeros(len(g))
        for c in range(count):
            first = _ALL * c
            direction = guess.t[c] / length[c]
            row[first + 3 : first + 6] = direction / count / self.spread / _SCALE_SIGMA
            for index, value, sigma in (
                (first + _CLOCK, guess.clock_s[c], CLOCK_SIGMA_S),
                (first + _FOCAL, guess.log_focal[c], FOCAL_SIGMA),
            ):
                H[index, index] += sigma**-2
                g[index] += value / sigma**2
            precision = self.precision / self.noise[c] ** 2
            for axis in range(2):
                place = first + _BIAS + axis + 2 * np.arange(17)
                H[np.ix_(place, place)] += precision
                g[place] += precision @ guess.bias[c, :, axis]
        H += np.outer(row, row)
        g += size * row

    def refresh(self, guess: _Guess) -> None:
        """Estimate the walker's height in every picture, and how noisy every camera is.

        A residual is smaller than its noise by the share that the joint gave way to it.
        """
        fit = self.fit(guess)
        _, Jp, _ = self._jacobians(guess, fit)
        gave = np.einsum("ctjka,tjab,ctjkb->ctj", Jp, np.linalg.inv(_stiffness(Jp)), Jp) / 2
        distance = np.sqrt((fit.off**2).sum(-1) / np.maximum(1 - gave, 0.05))
        distance *= self.sigma / NOISE / self.height
        for camera, there in enumerate(fit.weight > 0):
            if not there.any():
                continue
            depth = np.where(there, fit.seen[camera, ..., 2], 0).sum(1) / np.maximum(
                there.sum(1), 1
            )
            usual = float(np.median(depth[there.any(1)]))
            depth = np.where(there.any(1), depth, usual)
            self.height[camera] = REFERENCE_STATURE_M / np.maximum(depth, 0.3)[:, None]
            noise = float(np.median(distance[camera][there])) / _MEDIAN_OF_NORMAL
            self.noise[camera] = np.clip(noise, _LEAST_NOISE, _MOST_NOISE)


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
    """Refine all cameras together, with a robust loss.

    Args:
        views: The walker in every camera.
        poses: First estimate of x_camera = R x + t.
        t_s: Times at which the walker is placed, on the first camera's clock.
        offsets: Whether clocks may differ.
        focals: Whether focal lengths are to be found.
    """
    count = len(views)
    start = np.stack(poses)
    # the first camera is the world: its pose is known
    R = start[:, :, :3] @ start[0, :, :3].T
    t = start[:, :, 3] - R @ start[0, :, 3]
    free = np.ones((count, _ALL), bool)
    free[0, _POSE], free[:, _CLOCK], free[:, _FOCAL] = False, offsets, focals
    free[0, _CLOCK] = False
    problem = _Problem(views, t_s, free.ravel(), float(np.linalg.norm(t, axis=1).mean()))
    rays, _, weight = problem.observe(np.zeros(count))
    joints = np.nan_to_num(meet(rays, weight, R, t), nan=0.0)
    nothing = np.zeros(count)
    guess = _Guess(R, t, nothing, nothing, np.zeros((count, 17, 2)), joints)
    for problem.robust in _ROBUST:
        problem.refresh(guess)
        guess = _descend(problem, guess)
    return _finished(problem, guess)


def _descend(problem: _Problem, guess: _Guess) -> _Guess:
    fit, damping = problem.fit(guess), 1e-6
    for _ in range(_STEPS):
        after = problem.step(guess, fit, damping)
        better = problem.fit(after)
        if better.cost < fit.cost:
            gain = (fit.cost - better.cost) / fit.cost
            guess, fit, damping = after, better, damping / 10
            if gain < _LEAST_GAIN:
                break
        else:
            damping = max(30 * damping, 1e-4)
    return guess


def _finished(problem: _Problem, guess: _Guess) -> Adjusted:
    fit = problem.fit(guess)
    factor = np.exp(guess.log_focal)
    views = [v.refocused(float(f)) for v, f in zip(problem.views, factor, strict=True)]
    focal_px = np.array([view.intrinsics.fx_px for view in views])
    there = fit.weight > 0
    off = np.sqrt((fit.off**2).sum(-1)) * problem.sigma / np.where(there, fit.weight, 1.0)
    known = there.sum(0) >= _LEAST_RAYS
    _, Jp, _ = problem._jacobians(guess, fit)
    variance = np.trace(np.linalg.inv(_stiffness(Jp)), axis1=-2, axis2=-1) / 3
    return Adjusted(
        views=[replace(v, t_s=v.t_s - o) for v, o in zip(views, guess.clock_s, strict=True)],
        R=guess.R,
        t=guess.t,
        offsets_s=guess.clock_s,
        joints=np.where(known[..., None], guess.joints, np.nan),
        off_m=np.where(there, off * fit.seen[..., 2], np.nan),
        residual_px=np.where(there, off * focal_px[:, None, None], np.nan),
        variance=np.where(known, variance, np.nan),
        offset_covariance=np.linalg.inv(problem.precision)
        * (REFERENCE_STATURE_M**2 / (problem.noise**-2.0).sum()),
    )
