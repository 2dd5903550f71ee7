"""Tracked people of a capture volume, one row each, and their predicted positions."""

from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from langpose_rt.config import NS_PER_S
from langpose_rt.fusion.bone_lengths import bones_of, first_estimate
from langpose_rt.fusion.left_right import MOSTLY
from langpose_rt.fusion.triangulation import diagonal, symmetric_inverse

DIFFUSION_M2_PER_S = 0.015
"""Growth of a predicted joint's uncertainty beyond what its velocity explains."""

UNWATCHED_M2_PER_S = 0.15
"""Likewise for somebody whom fewer than two cameras saw: depth drifts where nobody looks."""

USUAL_LIFT_SIGMA_M = 0.1
"""Error of lifted joints along their rays, of people of whom nothing is known yet.

Source: measured on the two-person trial, where lifts are worse than they say.
"""

_VELOCITY_SMOOTHING_S = 0.2
_VELOCITY_MEMORY_S = 0.4
_FASTEST_M_PER_S = 12.0
_TRUNK_SHARE_S = 0.15
_UNKNOWN_M2 = 100.0


@dataclass(slots=True, eq=False)
class People:
    """Rows of people.

    Attributes:
        ids: Numbers that are never given twice.
        born_ns: When each was first seen.
        seen_ns: When any camera last saw each.
        several_ns: When at least two cameras last saw each.
        confirmed: Whether each is somebody for sure, so published.
        joints: World axes, metres; NaN where unknown.
        covariance_m2: Of every joint.
        velocity: Of every joint, metres a second.
        views: Cameras that saw each last.
        lengths_m: Bone lengths.
        weights: What they are worth, in frames.
        noise: How much worse than usual each camera sees each person.
        depth_ratio: True distance over that of the monocular lift, for every camera.
        lift_scale: True size of the body over that of the monocular lift, for every camera.
        lift_sigma_m: How far lifted joints have been off along their rays.
        exchanged: Share of the views of a joint that had it on the other side lately.
        depth_doubt_m2: Variance of every joint along its ray while one camera sees it.
    """

    ids: Int[np.ndarray, " person"]
    born_ns: Int[np.ndarray, " person"]
    seen_ns: Int[np.ndarray, " person"]
    several_ns: Int[np.ndarray, " person"]
    confirmed: Bool[np.ndarray, " person"]
    joints: Float[np.ndarray, "person joint 3"]
    covariance_m2: Float[np.ndarray, "person joint 3 3"]
    velocity: Float[np.ndarray, "person joint 3"]
    views: Bool[np.ndarray, "person camera"]
    lengths_m: Float[np.ndarray, "person 16"]
    weights: Float[np.ndarray, "person 16"]
    noise: Float[np.ndarray, "person camera"]
    depth_ratio: Float[np.ndarray, "person camera"]
    lift_scale: Float[np.ndarray, "person camera"]
    lift_sigma_m: Float[np.ndarray, " person"]
    exchanged: Float[np.ndarray, "person joint"]
    depth_doubt_m2: Float[np.ndarray, "person joint"]

    def __len__(self) -> int:
        """Count the people."""
        return len(self.ids)

    @classmethod
    def new(
        cls,
        ids: Int[np.ndarray, " person"],
        joints: Float[np.ndarray, "person joint 3"],
        t_ns: int,
        cameras: int,
    ) -> "People":
        """Make rows of people who are seen for the first time.

        Args:
            ids: Their numbers.
            joints: First estimate; taken over.
            t_ns: The instant.
            cameras: How many cameras there are.
        """
        people, count = len(ids), joints.shape[1]
        lengths_m, weights = first_estimate(people)
        return cls(
            ids=ids.astype(np.int64),
            born_ns=np.full(people, t_ns, np.int64),
            seen_ns=np.full(people, t_ns, np.int64),
            several_ns=np.full(people, -(2**62), np.int64),
            confirmed=np.zeros(people, bool),
            joints=joints,
            covariance_m2=np.tile(_UNKNOWN_M2 * np.eye(3), (people, count, 1, 1)),
            velocity=np.zeros((people, count, 3)),
            views=np.zeros((people, cameras), bool),
            lengths_m=lengths_m,
            weights=weights,
            noise=np.ones((people, cameras)),
            depth_ratio=np.ones((people, cameras)),
            lift_scale=np.ones((people, cameras)),
            lift_sigma_m=np.full(people, USUAL_LIFT_SIGMA_M),
            exchanged=np.zeros((people, count)),
            depth_doubt_m2=np.full((people, count), _UNKNOWN_M2),
        )

    def take(self, rows: np.ndarray) -> "People":
        """Select rows by index or mask; new arrays."""
        return People(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def join(self, others: "People") -> "People":
        """Return both, these first."""
        if not len(others):
            return self
        return People(
            **{
                field.name: np.concatenate([getattr(self, field.name), getattr(others, field.name)])
                for field in fields(self)
            }
        )

    def moved(
        self, T_new_old: Float[np.ndarray, "4 4"], columns: Int[np.ndarray, " camera"]
    ) -> "People":
        """Return everybody in the axes and for the cameras of another calibration.

        Args:
            T_new_old: From the old world axes to the new ones, rigid.
            columns: For every new camera its place among the old ones; -1 for another camera.
        """
        R = T_new_old[:3, :3]
        known = columns >= 0
        return replace(
            self,
            joints=self.joints @ R.T + T_new_old[:3, 3],
            covariance_m2=R @ self.covariance_m2 @ R.T,
            velocity=self.velocity @ R.T,
            views=self.views[:, columns] & known,
            noise=np.where(known, self.noise[:, columns], 1.0),
            depth_ratio=np.where(known, self.depth_ratio[:, columns], 1.0),
            lift_scale=np.where(known, self.lift_scale[:, columns], 1.0),
        )

    def restart(
        self, row: int, places: Int[np.ndarray, " 17"], joints17: Float[np.ndarray, "17 3"]
    ) -> None:
        """Put somebody elsewhere, in place: the joints so far were of nobody, and so the bones.

        Args:
            row: The person.
            places: The 17 joints among all.
            joints17: First estimate; NaN where unknown.
        """
        self.joints[row] = np.nan
        self.joints[row, places] = joints17
        self.covariance_m2[row] = _UNKNOWN_M2 * np.eye(3)
        self.velocity[row] = 0.0
        lengths_m, weights = first_estimate(1)
        self.lengths_m[row], self.weights[row] = lengths_m[0], weights[0]
        self.exchanged[row] = 0.0
        self.lift_scale[row], self.lift_sigma_m[row] = 1.0, USUAL_LIFT_SIGMA_M

    def turn_sides(self, pairs: Int[np.ndarray, "pair 2"], places: Int[np.ndarray, " 17"]) -> None:
        """Give joints, in place, to the other side where most views had them there.

        What was learnt of their bones was wrong: it is forgotten.

        Args:
            pairs: Joints that can be exchanged, as (left, right).
            places: The 17 joints among all.
        """
        if not (self.exchanged > MOSTLY).any():
            return
        person, pair = np.nonzero(self.exchanged[:, pairs[:, 0]] > MOSTLY)
        a, b = pairs[pair].T
        for values in (self.joints, self.covariance_m2, self.velocity):
            values[person, a], values[person, b] = values[person, b], values[person, a]
        row, bone = np.nonzero(bones_of(self.exchanged[:, places] > MOSTLY))
        lengths_m, weights = first_estimate(1)
        self.lengths_m[row, bone], self.weights[row, bone] = lengths_m[0, bone], weights[0, bone]
        self.exchanged[person, a] = self.exchanged[person, b] = 0.0

    def predict(self, dt_s: float, before_ns: int) -> None:
        """Move everybody on by their velocities, in place, and widen their covariances.

        Args:
            dt_s: Time since the instant before.
            before_ns: That instant.
        """
        if not len(self) or dt_s <= 0:
            return
        self.joints += self.velocity * dt_s
        watched = self.several_ns >= before_ns
        diffusion = np.where(watched, DIFFUSION_M2_PER_S, UNWATCHED_M2_PER_S)
        diagonal(self.covariance_m2)[...] += (dt_s * diffusion)[:, None, None]
        if not watched.all():
            self.velocity[~watched] *= np.exp(-dt_s / _VELOCITY_MEMORY_S)

    def follow(
        self,
        joints: Float[np.ndarray, "person joint 3"],
        covariance_m2: Float[np.ndarray, "person joint 3 3"],
        observed: Bool[np.ndarray, "person joint"],
        dt_s: float,
    ) -> None:
        """Take over the fused joints of an instant, in place, and learn the velocities.

        Args:
            joints: Fused joints; NaN where unknown.
            covariance_m2: Of every joint.
            observed: Joints that a camera saw; the others move with the body.
            dt_s: Time since the instant before; 0 at the first.
        """
        if dt_s > 0:
            step = (joints - self.joints) / dt_s  # what the prediction missed, as a velocity
            good = observed & np.isfinite(step).all(-1)
            share = dt_s / (dt_s + _VELOCITY_SMOOTHING_S)
            self.velocity += np.where(good[..., None], share * step, 0.0)
            count = np.maximum(good.sum(1), 1)[:, None]
            body = (self.velocity * good[..., None]).sum(1) / count
            towards = dt_s / (dt_s + _TRUNK_SHARE_S)
            drift = (body[:, None] - self.velocity) * towards
            some = good.any(1)[:, None] & ~good
            self.velocity += np.where(some[..., None], drift, 0.0)
            np.clip(self.velocity, -_FASTEST_M_PER_S, _FASTEST_M_PER_S, out=self.velocity)
        self.joints[:] = joints
        self.covariance_m2[:] = covariance_m2

    def age_s(self, t_ns: int) -> Float[np.ndarray, " person"]:
        """Return how long ago each was last seen."""
        return np.asarray((t_ns - self.seen_ns) / NS_PER_S)

    def information(self) -> Float[np.ndarray, "person joint 3 3"]:
        """Return the inverse covariances; 0 where a joint is unknown."""
        known = np.isfinite(self.joints[..., 0]) & np.isfinite(self.covariance_m2[..., 0, 0])
        if known.all():
            return symmetric_inverse(self.covariance_m2)
        spread = np.where(known[..., None, None], self.covariance_m2, np.eye(3))
        return np.where(known[..., None, None], symmetric_inverse(spread), 0.0)
