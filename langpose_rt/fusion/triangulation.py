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

UNKNOWN_SHARE = 0.3
"""But one that was expected is known up to this share of its distance from the farthest camera.

A lift's doubt of a depth is a share of it too: without this, nobody would be known who is far from
the one camera that sees them. Twice the share that `depth_doubt.py` gives a lift.
"""

_NO_INFORMATION = 1e-4
"""Precision (1/m^2) that keeps a system solvable where nothing is known: 100 m."""

_BASE = _NO_INFORMATION * np.eye(3)
_UNKNOWN = np.diag([np.inf] * 3)


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
    """The normal equations of every joint.

    A ray of direction d from o, of precision w across and v along it, where the joint should be at
    distance r, adds w (I - d d') + v d d' to the matrix and w (o - d d'o) + v (r + d'o) d to the
    right side. Sums over the cameras are matrix products; single views are formed where one may be
    left out.

    Attributes:
        rays: What they are made of.
        seen: Which views there are.
        across: Precision of every ray across its direction, 1/m^2; 0 where not seen.
    """

    def __init__(self, rays: Rays) -> None:
        self.rays = rays
        self.seen = np.isfinite(rays.sigma_m)
        self.across = np.where(self.seen, rays.sigma_m, np.inf) ** -2.0
        self._direction = np.ascontiguousarray(rays.direction.swapaxes(1, 2))
        self._start = np.einsum("pjck,ck->pjc", self._direction, rays.origin)
        self._squared = (rays.origin * rays.origin).sum(1)

    def coefficients(
        self, noise: Float[np.ndarray, "person camera"] | None, depth: DepthPrior | None
    ) -> "Coefficients":
        """Return what every view adds, by person, joint and camera.

        Args:
            noise: How much worse than usual every camera sees every person.
            depth: What is expected along the rays.
        """
        across = self.across if noise is None else self.across / (noise * noise)[..., None]
        w = across.swapaxes(1, 2)
        if depth is None:
            return Coefficients(w, -w, -w * self._start)
        v = (np.where(self.seen, depth.sigma_m, np.inf) ** -2.0).swapaxes(1, 2)
        distance = np.where(v > 0, depth.distance_m.swapaxes(1, 2), 0.0) + self._start
        return Coefficients(w, v - w, v * distance - w * self._start)

    def summed(
        self, weights: "Coefficients", used: Bool[np.ndarray, "person camera joint"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return matrix and right side of every joint over the views that are used."""
        chosen, d = used.swapaxes(1, 2), self._direction
        w = weights.across * chosen
        turned = ((weights.outer * chosen)[..., None] * d).swapaxes(-1, -2)
        A = turned @ d
        diagonal(A)[...] += w.sum(-1)[..., None]
        along = (weights.ahead * chosen)[..., None, :] @ d
        return A, along[..., 0, :] + w @ self.rays.origin

    def single(
        self, weights: "Coefficients", person: np.ndarray, joint: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return matrix and right side of every view [row, camera] of single joints."""
        d, w = self._direction[person, joint], weights.across[person, joint]
        A = (weights.outer[person, joint][..., None] * d)[..., None] * d[..., None, :]
        diagonal(A)[...] += w[..., None]
        ahead = weights.ahead[person, joint][..., None] * d
        return A, ahead + w[..., None] * self.rays.origin

    def distances(
        self, joints: Float[np.ndarray, "person joint 3"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the distances of joints from rays and from cameras [person, camera, joint]."""
        along = (self._direction @ joints[..., None])[..., 0] - self._start
        squared = (joints * joints).sum(-1)[..., None] + self._squared
        squared -= 2 * (joints @ self.rays.origin.T)
        miss = np.sqrt(np.maximum(squared - along * along, 0.0))
        return miss.swapaxes(1, 2), np.sqrt(np.maximum(squared, 0.0)).swapaxes(1, 2)

    def miss_of(self, person: np.ndarray, joint: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Return the distances [row, guess, camera] of guesses about single joints."""
        direction = self._direction[person, joint][:, None]
        away = place[:, :, None] - self.rays.origin
        along = (away * direction).sum(-1)
        return np.asarray(np.sqrt(np.maximum((away * away).sum(-1) - along * along, 0.0)))


@dataclass(frozen=True, slots=True, eq=False)
class Coefficients:
    """Terms that views add to the equations of their joints.

    Attributes:
        across: Precision across the ray.
        outer: Factor of d d'.
        ahead: Factor of d on the right side.
    """

    across: Float[np.ndarray, "person joint camera"]
    outer: Float[np.ndarray, "person joint camera"]
    ahead: Float[np.ndarray, "person joint camera"]


def diagonal(A: Float[np.ndarray, "*batch 3 3"]) -> Float[np.ndarray, "*batch 3"]:
    """Return the diagonals of matrices, a view."""
    return np.asarray(np.einsum("...ii->...i", A))


def symmetric_inverse(A: Float[np.ndarray, "*batch 3 3"]) -> Float[np.ndarray, "*batch 3 3"]:
    """Return the inverses of symmetric positive definite matrices, by their cofactors."""
    a, b, c = A[..., 0, 0], A[..., 0, 1], A[..., 0, 2]
    d, e, f = A[..., 1, 1], A[..., 1, 2], A[..., 2, 2]
    inverse = np.empty(A.shape)
    inverse[..., 0, 0] = d * f - e * e
    inverse[..., 0, 1] = inverse[..., 1, 0] = c * e - b * f
    inverse[..., 0, 2] = inverse[..., 2, 0] = b * e - c * d
    inverse[..., 1, 1] = a * f - c * c
    inverse[..., 1, 2] = inverse[..., 2, 1] = b * c - a * e
    inverse[..., 2, 2] = a * d - b * b
    row = inverse[..., 0, :]
    determinant = a * row[..., 0] + b * row[..., 1] + c * row[..., 2]
    inverse /= determinant[..., None, None]
    return inverse


def triangulate(equations: Equations, *, agrees: float = AGREES) -> Triangulated:
    """Find every joint from its rays alone.

    While the views of a joint miss it by more than usual on average and there are at least three,
    the one is left out without which the others agree best.

    Source: least squares of distances to lines; the rule is Pose2Sim's (BSD 3-Clause), with the
    limit in body heights instead of pixels.
    """
    seen, rays = equations.seen, equations.rays
    weights = equations.coefficients(None, None)
    used = seen.copy()
    matrix, vector = equations.summed(weights, used)
    covariance = symmetric_inverse(matrix + _BASE)
    joints = (covariance @ vector[..., None])[..., 0]
    miss, away = equations.distances(joints)
    usual = rays.usual_m
    relative = np.where(used, miss / usual[..., None], 0.0).sum(1)
    count = used.sum(1)
    person, joint = np.nonzero((relative > agrees * count) & (count >= 3))
    while len(person):
        own = used[person, :, joint]
        single, right = equations.single(weights, person, joint)
        spread, place = _without_each(single, right, own, _BASE, 0.0)
        off = equations.miss_of(person, joint, place) / usual[person][:, None]
        others = own[:, None] & ~np.eye(own.shape[1], dtype=bool)
        relative = (off * others).sum(-1)
        best, row = np.where(own, relative, np.inf).argmin(1), np.arange(len(person))
        used[person, best, joint] = False
        joints[person, joint] = place[row, best]
        covariance[person, joint] = spread[row, best]
        count = own.sum(1) - 1
        bad = (relative[row, best] > agrees * count) & (count >= 3)
        person, joint = person[bad], joint[bad]
    if (used != seen).any():
        miss, away = equations.distances(joints)
    return _finished(equations, used, joints, covariance, (miss, away), limit_m=UNKNOWN_M)


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
    first, used = used, used.copy()
    weights = equations.coefficients(noise, depth)
    base = _BASE + position.information
    pulled = (position.information @ position.position[..., None])[..., 0]
    matrix, vector = equations.summed(weights, used)
    covariance = symmetric_inverse(base + matrix)
    joints = (covariance @ (pulled + vector)[..., None])[..., 0]
    miss, away = equations.distances(joints)
    off = np.where(used, miss * miss * weights.across.swapaxes(1, 2), 0.0)
    person, joint = np.nonzero((off.max(1) > disagrees**2) & (used.sum(1) >= 2))
    while len(person):
        own = used[person, :, joint]
        single, right = equations.single(weights, person, joint)
        spread, place = _without_each(
            single, right, own, base[person, joint], pulled[person, joint]
        )
        guesses = np.concatenate([place, joints[person, joint][:, None]], 1)
        squared = equations.miss_of(person, joint, guesses) ** 2
        squared *= weights.across[person, joint][:, None]
        step = guesses - position.position[person, joint][:, None]
        surprise = (step * (step @ position.information[person, joint])).sum(-1)
        others = own[:, None] & ~np.eye(own.shape[1] + 1, own.shape[1], dtype=bool)
        squared *= others
        cost = squared.sum(-1) + surprise
        without = np.where(own, cost[:, :-1], np.inf)
        best, row = without.argmin(1), np.arange(len(person))
        gain = cost[:, -1] - without[row, best] > disagrees**2
        row, person, joint, best = row[gain], person[gain], joint[gain], best[gain]
        used[person, best, joint] = False
        joints[person, joint] = place[row, best]
        covariance[person, joint] = spread[row, best]
        bad = (squared[row, best].max(1) > disagrees**2) & (own[row].sum(1) >= 3)
        person, joint = person[bad], joint[bad]
    if (used != first).any():
        miss, away = equations.distances(joints)
    expected = position.information[..., 0, 0] > 0
    limit_m = np.maximum(np.where(expected, UNKNOWN_SHARE * away.max(1), 0.0), UNKNOWN_M)
    return _finished(equations, used, joints, covariance, (miss, away), limit_m=limit_m)


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
    spread = symmetric_inverse(total[:, None] - matrix)
    return spread, (spread @ (right[:, None] - vector)[..., None])[..., 0]


def _finished(
    equations: Equations,
    used: np.ndarray,
    joints: np.ndarray,
    covariance: np.ndarray,
    distances: tuple[np.ndarray, np.ndarray],
    *,
    limit_m: np.ndarray | float,
) -> Triangulated:
    """Take out what is doubted more than the limit, and measure the rest in pixels."""
    miss, distance = distances
    known = diagonal(covariance).max(-1) < limit_m**2
    if not known.all():
        joints = np.where(known[..., None], joints, np.nan)
        covariance = np.where(known[..., None, None], covariance, _UNKNOWN)
        used = used & known[:, None]
    distance = np.maximum(distance, 0.1)
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
