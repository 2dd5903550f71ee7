"""Closed-form triangulation of every joint of every person, robust and with its covariance.

One 3 x 3 system a joint: every ray holds the joint across its direction. `triangulate` uses rays
alone; `estimate` adds what is expected of a joint: a depth along a ray, a position in all
directions. The view that disagrees most is dropped while it does. Who is who is decided before.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt32

AGREES = 1.85
"""Views agree if they are on average within so many usual deviations of their joint.

Source: 15 px at 660 px of body height, as Pose2Sim's reprojection threshold on its own trial.
"""

DISAGREES = 3.0
"""A view this many standard deviations off what is expected may be dropped."""

UNKNOWN_M = 1.0
"""A joint whose standard deviation is larger than this in any direction is unknown."""

_NO_INFORMATION = 1e-4
"""Precision (1/m^2) that keeps a system solvable where nothing is known: 100 m."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rays:
    """Rays of people who are told apart: at most one view of each person a camera.

    Attributes:
        origin: Centre of every camera.
        direction: Unit vectors in world axes.
        sigma_m: Standard deviation across the ray, where the joint is; infinite where not seen.
        usual_m: The same for a joint of full score, of each person and camera.
        focal_px: Of every camera, for residuals in pixels.
    """

    origin: Float[np.ndarray, "camera 3"]
    direction: Float[np.ndarray, "person camera joint 3"]
    sigma_m: Float[np.ndarray, "person camera joint"]
    usual_m: Float[np.ndarray, "person camera"]
    focal_px: Float[np.ndarray, " camera"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PositionPrior:
    """Prior of joint positions: position and information (inverse covariance, 1/m^2)."""

    position: Float[np.ndarray, "person joint 3"]
    information: Float[np.ndarray, "person joint 3 3"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DepthPrior:
    """Prior of joints along their rays: distance and its standard deviation.

    sigma_m is infinite where nothing is expected.
    """

    distance_m: Float[np.ndarray, "person camera joint"]
    sigma_m: Float[np.ndarray, "person camera joint"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Triangulated:
    """Joints in space.

    Attributes:
        joints: Metres, in world axes; NaN where unknown.
        covariance_m2: Of every joint; infinite on the diagonal where unknown.
        used: Which views count.
        miss_m: Distance of every joint from every ray; NaN without a ray or joint.
        residual_px: Root mean square distance in pixels over the views used; NaN without.
    """

    joints: Float[np.ndarray, "person joint 3"]
    covariance_m2: Float[np.ndarray, "person joint 3 3"]
    used: Bool[np.ndarray, "person camera joint"]
    miss_m: Float[np.ndarray, "person camera joint"]
    residual_px: Float[np.ndarray, "person joint"]

    @property
    def views(self) -> UInt32[np.ndarray, "person joint"]:
        """Bit mask of the views that count; bit 0 is the first camera."""
        bits = np.uint32(1) << np.arange(self.used.shape[1], dtype=np.uint32)
        return np.asarray((self.used * bits[:, None]).sum(1), np.uint32)


class Equations:
    """The normal equations of every joint, view by view.

    Attributes:
        rays: What they are made of.
        seen: Which views there are.
        across: Precision of every ray across its direction, 1/m^2; 0 where not seen.
    """

    def __init__(self, rays: Rays) -> None:
        self.rays = rays
        self.seen = np.isfinite(rays.sigma_m)
        self.across = np.where(self.seen, rays.sigma_m, np.inf) ** -2.0
        self._outer = rays.direction[..., :, None] * rays.direction[..., None, :]
        self._project = np.eye(3) - self._outer
        self._place = (self._project @ rays.origin[:, None, :, None])[..., 0]

    def weighted(
        self, noise: Float[np.ndarray, "person camera"] | None, depth: DepthPrior | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return matrix and right side of every view.

        Args:
            noise: How much worse than usual every camera sees every person.
            depth: What is expected along the rays.
        """
        across = self.across if noise is None else self.across / (noise * noise)[..., None]
        matrix = across[..., None, None] * self._project
        vector = across[..., None] * self._place
        if depth is not None:
            along = np.where(self.seen, depth.sigma_m, np.inf) ** -2.0
            matrix += along[..., None, None] * self._outer
            direction = self.rays.direction
            start = (direction * self.rays.origin[:, None]).sum(-1)
            distance = np.where(along > 0, depth.distance_m, 0.0) + start
            vector += (along * distance)[..., None] * direction
        return matrix, vector

    def miss_m(self, joints: Float[np.ndarray, "person joint 3"]) -> np.ndarray:
        """Return the distance of every joint from every ray [person, camera, joint]."""
        away = joints[:, None] - self.rays.origin[:, None]
        along = (away * self.rays.direction).sum(-1)
        return np.asarray(np.sqrt(np.maximum((away * away).sum(-1) - along * along, 0.0)))

    def miss_of(self, person: np.ndarray, joint: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Return the distances [row, guess, camera] of guesses about single joints."""
        direction = self.rays.direction[person, :, joint][:, None]
        away = place[:, :, None] - self.rays.origin
        along = (away * direction).sum(-1)
        return np.asarray(np.sqrt(np.maximum((away * away).sum(-1) - along * along, 0.0)))


def triangulate(equations: Equations, *, agrees: float = AGREES) -> Triangulated:
    """Find every joint from its rays alone.

    While the views of a joint miss it by more than usual on average and there are at least three,
    the one is left out without which the others agree best.

    Source: least squares of distances to lines; the rule is Pose2Sim's (BSD 3-Clause), with the
    limit in body heights instead of pixels.
    """
    seen, rays = equations.seen, equations.rays
    matrix, vector = equations.weighted(None, None)
    used = seen.copy()
    base = _NO_INFORMATION * np.eye(3)
    covariance = np.linalg.inv(matrix.sum(1) + base)
    joints = (covariance @ vector.sum(1)[..., None])[..., 0]
    miss = equations.miss_m(joints)
    for _ in range(seen.shape[1] - 2):
        count = used.sum(1)
        relative = np.where(used, miss / rays.usual_m[..., None], 0.0).sum(1)
        bad = (relative > agrees * count) & (count >= 3)
        if not bad.any():
            break
        person, joint = np.nonzero(bad)
        own = used[person, :, joint]
        spread, place = _without_each(
            matrix[person, :, joint], vector[person, :, joint], own, base, 0.0
        )
        off = equations.miss_of(person, joint, place) / rays.usual_m[person][:, None]
        others = own[:, None] & ~np.eye(own.shape[1], dtype=bool)
        best = np.where(own, (off * others).sum(-1), np.inf).argmin(1)
        row = np.arange(len(best))
        used[person, best, joint] = False
        joints[person, joint] = place[row, best]
        covariance[person, joint] = spread[row, best]
        miss = equations.miss_m(joints)
    return _finished(equations, used, joints, covariance, miss)


def estimate(
    equations: Equations,
    used: Bool[np.ndarray, "person camera joint"],
    position: PositionPrior,
    *,
    noise: Float[np.ndarray, "person camera"] | None = None,
    depth: DepthPrior | None = None,
    disagrees: float = DISAGREES,
) -> Triangulated:
    """Find every joint from its rays and what is expected of it.

    Args:
        equations: Of all views.
        used: Views to begin with; not changed.
        position: Expected positions.
        noise: How much worse than usual every camera sees every person; None for usual.
        depth: Expected distances along the rays.
        disagrees: Standard deviations beyond which a view is dropped, where without it the rest
            and the expectation agree much better.

    Source: ours; one information-form Kalman update a joint.
    """
    used = used.copy()
    matrix, vector = equations.weighted(noise, depth)
    across = equations.across if noise is None else equations.across / (noise * noise)[..., None]
    base = _NO_INFORMATION * np.eye(3) + position.information
    pulled = (position.information @ position.position[..., None])[..., 0]
    A = base + (matrix * used[..., None, None]).sum(1)
    covariance = np.linalg.inv(A)
    joints = (covariance @ (pulled + (vector * used[..., None]).sum(1))[..., None])[..., 0]
    miss = equations.miss_m(joints)
    for _ in range(used.shape[1] - 1):
        off = np.where(used, miss * miss * across, 0.0)
        bad = (off.max(1) > disagrees**2) & (used.sum(1) >= 2)
        if not bad.any():
            break
        person, joint = np.nonzero(bad)
        own = used[person, :, joint]
        spread, place = _without_each(
            matrix[person, :, joint], vector[person, :, joint], own,
            base[person, joint], pulled[person, joint],
        )  # fmt: skip
        guesses = np.concatenate([place, joints[person, joint][:, None]], 1)
        squared = equations.miss_of(person, joint, guesses) ** 2
        squared *= across[person, :, joint][:, None]
        step = guesses - position.position[person, joint][:, None]
        surprise = (step * (step @ position.information[person, joint])).sum(-1)
        others = own[:, None] & ~np.eye(own.shape[1] + 1, own.shape[1], dtype=bool)
        cost = (squared * others).sum(-1) + surprise
        without = np.where(own, cost[:, :-1], np.inf)
        best, row = without.argmin(1), np.arange(len(person))
        gain = cost[:, -1] - without[row, best] > disagrees**2
        if not gain.any():
            break
        row, person, joint, best = row[gain], person[gain], joint[gain], best[gain]
        used[person, best, joint] = False
        joints[person, joint] = place[row, best]
        covariance[person, joint] = spread[row, best]
        miss = equations.miss_m(joints)
    return _finished(equations, used, joints, covariance, miss)


def _without_each(
    matrix: Float[np.ndarray, "row camera 3 3"],
    vector: Float[np.ndarray, "row camera 3"],
    own: Bool[np.ndarray, "row camera"],
    base: np.ndarray,
    pulled: np.ndarray | float,
) -> tuple[np.ndarray, np.ndarray]:
    """Covariance and position [row, camera] of single joints, each camera left out in turn."""
    matrix, vector = matrix * own[..., None, None], vector * own[..., None]
    total, right = base + matrix.sum(1), pulled + vector.sum(1)
    spread = np.linalg.inv(total[:, None] - matrix)
    return spread, (spread @ (right[:, None] - vector)[..., None])[..., 0]


def _finished(
    equations: Equations,
    used: np.ndarray,
    joints: np.ndarray,
    covariance: np.ndarray,
    miss: np.ndarray,
) -> Triangulated:
    """Take out what is unknown, and measure the rest in pixels."""
    known = covariance[..., (0, 1, 2), (0, 1, 2)].max(-1) < UNKNOWN_M**2
    joints = np.where(known[..., None], joints, np.nan)
    covariance = np.where(known[..., None, None], covariance, np.diag([np.inf] * 3))
    used = used & known[:, None]
    away = joints[:, None] - equations.rays.origin[:, None]
    distance = np.maximum(np.sqrt((away * away).sum(-1)), 0.1)
    miss = np.where(equations.seen & known[:, None], miss, np.nan)
    off_px = np.where(used, miss / distance * equations.rays.focal_px[:, None], 0.0)
    count = used.sum(1)
    mean = (off_px * off_px).sum(1) / np.maximum(count, 1)
    return Triangulated(
        joints=joints,
        covariance_m2=covariance,
        used=used,
        miss_m=miss,
        residual_px=np.where(count > 0, np.sqrt(mean), np.nan),
    )
