"""Follow everybody in a capture volume from instant to instant.

One step: predict, match, find new people, triangulate, hold bone lengths, forget. When steps are
taken is the business of `volume.py`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError
from langpose_rt.fusion import bone_lengths
from langpose_rt.fusion.agreement import Support, support
from langpose_rt.fusion.association import (
    GATE,
    GUESS_GATE,
    REFUSED,
    assign,
    gates,
    match_cost,
    refuse,
)
from langpose_rt.fusion.birth import Group, find_people
from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.detections import Detections
from langpose_rt.fusion.fused_frame import FusedFrame
from langpose_rt.fusion.joint_layout import JointLayout
from langpose_rt.fusion.pairing import PairingReview
from langpose_rt.fusion.people import People
from langpose_rt.fusion.triangulation import (
    Equations,
    PositionPrior,
    Triangulated,
    estimate,
    triangulate,
)
from langpose_rt.fusion.view_set import (
    ViewSet,
    depth_prior,
    learn_depth,
    learn_noise,
    view_set,
)

BONE_SIGMA = 0.04
"""Tolerance of a bone's length around its learnt length, as a share of it."""

_SURE_NS = NS_PER_S // 4
_AGREE_M = 0.08
_LOST_S = 0.1
_LEARN_EVERY_S = 0.06
_POOR_M = 0.04
_SAME_PERSON_M = 0.35
_REVIVE_M, _REVIVE_M_PER_S = 0.5, 1.5
_CONFIRMED_NS = NS_PER_S // 5
_PROBATION_NS = NS_PER_S // 10
_TRUNK = (0, 1, 4, 7, 8, 11, 14)
_UNCONFIRMED_COST = 0.02
_NEW_SIGMA_M = 0.3
_UNMATCHED_M = 0.25


@dataclass(frozen=True, kw_only=True)
class TrackerConfig:
    """Options of the tracker.

    Args:
        memory_s: How long somebody may be out of every camera's sight and keep the id.
        coast_ms: How long somebody whom nobody sees is published, predicted.
        bones: Whether poses are held to the learnt bone lengths.

    Raises:
        ConfigError: If a number is negative, or people are published for longer than remembered.
    """

    memory_s: float = 2.0
    coast_ms: float = 200.0
    bones: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.coast_ms <= 1000 * self.memory_s:
            raise ConfigError(
                f"coast_ms is {self.coast_ms:g} and memory_s {self.memory_s:g}; expected "
                "0 <= coast_ms <= 1000 memory_s"
            )


class VolumeTracker:
    """People of one capture volume.

    Args:
        cameras: The volume.
        layout: The joints that are fused.
        config: How people are followed.
    """

    def __init__(
        self, cameras: CameraArray, layout: JointLayout, config: TrackerConfig | None = None
    ) -> None:
        self._cameras, self._layout = cameras, layout
        self._config = config or TrackerConfig()
        self.people = self._empty()
        self._t_ns: int | None = None
        self._next_id = 0
        self._unlearnt_s = 0.0
        self._first_seen_ns: dict[tuple[int, int], int] = {}
        self._pairing = PairingReview(cameras, layout)
        self._last: tuple[np.ndarray, Triangulated, ViewSet, Detections] | None = None

    def recalibrate(
        self,
        cameras: CameraArray,
        T_new_old: Float[np.ndarray, "4 4"],
        columns: Int[np.ndarray, " camera"],
    ) -> None:
        """Go on with another calibration; everybody keeps the id. See `People.moved`."""
        self._cameras, self._last = cameras, None
        self._first_seen_ns.clear()
        self._pairing = PairingReview(cameras, self._layout)
        self.people = self.people.moved(T_new_old, columns)

    def step(
        self, t_ns: int, detections: Detections, awake: Bool[np.ndarray, " camera"]
    ) -> FusedFrame:
        """Fuse one instant.

        Args:
            t_ns: The instant; rises from call to call.
            detections: Of all cameras, brought to it.
            awake: Cameras that have a picture of it.
        """
        dt_s = 0.0 if self._t_ns is None else (t_ns - self._t_ns) / NS_PER_S
        self.people.predict(dt_s, t_ns if self._t_ns is None else self._t_ns)
        self._t_ns = t_ns
        match = self._match(t_ns, detections)
        match = self._welcome(t_ns, detections, awake, match)
        match = self._repair(t_ns, detections, match)
        match = self._find_lost(t_ns, detections, match)
        match = self._welcome_monocular(t_ns, detections, match)
        views = view_set(self.people, match, detections, self._cameras, self._layout)
        measured, fused = self._fuse(views)
        self._update(t_ns, dt_s, match, views, fused)
        self._last = match, fused, views, detections
        kept = self._keep(t_ns)
        return self._published(t_ns, (measured, fused), match, kept, awake)

    def _match(self, t_ns: int, detections: Detections) -> Int[np.ndarray, "person camera"]:
        """Match everybody who was seen a moment ago."""
        people = self.people
        cost = match_cost(
            people.joints[:, self._layout.h36m], detections, self._cameras, self._layout
        )
        # whose depth is a guess is looked for elsewhere only where the guess puts them
        gate = np.where(self._sure(t_ns)[:, None] | people.views, GATE, GUESS_GATE)
        gate[people.age_s(t_ns) > _LOST_S] = 0.0
        own = refuse(cost + _UNCONFIRMED_COST * ~people.confirmed[:, None], gate, detections.camera)
        return assign(own, detections.camera, len(self._cameras))

    def _find_lost(
        self,
        t_ns: int,
        detections: Detections,
        match: Int[np.ndarray, "person camera"],
    ) -> Int[np.ndarray, "person camera"]:
        """Match people out of sight, with a gate that opens with time, to what is left."""
        people, age_s = self.people, self.people.age_s(t_ns)
        left = np.ones(len(detections), bool)
        left[match[match >= 0]] = False
        lost = np.flatnonzero((age_s > _LOST_S) & (match < 0).all(1))
        if not len(lost) or not left.any():
            return match
        joints = people.joints[:, self._layout.h36m]
        everybody = match_cost(joints, detections, self._cameras, self._layout)
        # what is nearer to somebody in sight is a bad view of them
        nearest = np.delete(everybody, lost, 0).min(0, initial=np.inf)
        gate = np.repeat(gates(age_s[lost])[:, None], match.shape[1], 1)
        cost = refuse(everybody[lost], gate, detections.camera)
        cost = np.where(left & (cost < nearest), cost, REFUSED)
        match[lost] = assign(cost, detections.camera, len(self._cameras))
        return match

    def _sure(self, t_ns: int) -> Bool[np.ndarray, " person"]:
        """Mask of people whose position is known: several cameras agreed on it a moment ago."""
        return np.asarray(t_ns - self.people.several_ns <= _SURE_NS)

    def _welcome(
        self,
        t_ns: int,
        detections: Detections,
        awake: Bool[np.ndarray, " camera"],
        match: Int[np.ndarray, "person camera"],
    ) -> Int[np.ndarray, "everybody camera"]:
        """Find people among free detections; returns the matches of everybody."""
        owner = np.full(len(detections), -1, np.intp)
        person, camera = np.nonzero(match >= 0)
        owner[match[person, camera]] = person
        lonely = ((match >= 0).sum(1) == 1) & ~self._sure(t_ns)
        free = np.flatnonzero((owner < 0) | np.append(lonely, False)[owner])
        if len(free) < 2:
            return match
        gone: list[int] = []
        for group in find_people(detections, free, self._cameras, self._layout, awake):
            owners = sorted({int(owner[m]) for m in group.members} - {-1})
            members = np.array(group.members)
            places = detections.camera[members]
            row = self._row_of(t_ns, group, owners, match)
            if row == len(match):
                match = np.concatenate([match, np.full((1, match.shape[1]), -1, np.intp)])
            elif row in owners or not (match[row] >= 0).any():
                others = [other for other in owners if other != row]
                gone += others
                match[[row, *others]] = -1
                self.people.joints[others] = np.nan
            else:  # somebody other cameras see there already
                new = match[row, places] < 0
                members, places = members[new], places[new]
            match[row, places] = members
        return self._without(gone, match)

    def _without(
        self, rows: list[int], match: Int[np.ndarray, "person camera"]
    ) -> Int[np.ndarray, "kept camera"]:
        """Take out people who are nobody; returns the matches of the others."""
        if not rows:
            return match
        kept = np.setdiff1d(np.arange(len(match)), rows)
        self.people = self.people.take(kept)
        return match[kept]

    def _repair(
        self, t_ns: int, detections: Detections, match: Int[np.ndarray, "person camera"]
    ) -> Int[np.ndarray, "everybody camera"]:
        """Exchange views of people who were wrongly put together; returns the matches."""
        repaired, gone = self._pairing.observe(t_ns, match, detections)
        for one in repaired:
            match[one.row, detections.camera[list(one.members)]] = one.members
            self.people.restart(one.row, self._layout.h36m, one.joints17)
        return self._without(gone, match)

    def _row_of(
        self,
        t_ns: int,
        group: Group,
        owners: list[int],
        match: Int[np.ndarray, "person camera"],
    ) -> int:
        """Return the row of the person that a group is; a new last row if it is a new person."""
        people, places = self.people, self._layout.h36m
        gap = people.joints[:, places] - group.joints17
        away = np.linalg.norm(gap, axis=-1)
        known = np.isfinite(away)
        near = np.full(len(people), np.inf)
        if known.any():
            near[known.any(1)] = np.nanmedian(away[known.any(1)], axis=1)
        seen = (match >= 0).any(1)
        same = np.where(seen & (near < _SAME_PERSON_M), near, np.inf)
        if owners:
            row = min(owners, key=lambda r: (-int(people.several_ns[r]), int(people.ids[r])))
        elif len(same) and np.isfinite(same.min()):
            return int(same.argmin())
        else:
            reach = _REVIVE_M + _REVIVE_M_PER_S * people.age_s(t_ns)
            lost = np.where(~seen & (near < reach), near, np.inf)
            row = int(lost.argmin()) if len(lost) and np.isfinite(lost.min()) else len(people)
        if row == len(people):
            self._add(t_ns, group.joints17, confirmed=not group.doubtful)
            return row
        found = np.isfinite(group.joints17).all(-1)
        moved = (
            np.nanmean(np.where(known[row], 1.0, np.nan)[:, None] * -gap[row], axis=0)
            if (known[row].any())
            else np.zeros(3)
        )
        people.joints[row] += moved
        people.joints[row, places[found]] = group.joints17[found]
        people.covariance_m2[row] = _NEW_SIGMA_M**2 * np.eye(3)
        people.velocity[row] = 0.0
        return row

    def _add(self, t_ns: int, joints17: Float[np.ndarray, "17 3"], *, confirmed: bool) -> None:
        joints = np.full((1, len(self._layout.names), 3), np.nan)
        joints[0, self._layout.h36m] = joints17
        new = People.new(np.array([self._next_id]), joints, t_ns, len(self._cameras))
        new.confirmed[:] = confirmed
        self._next_id += 1
        self.people = self.people.join(new)

    def _welcome_monocular(
        self,
        t_ns: int,
        detections: Detections,
        match: Int[np.ndarray, "person camera"],
    ) -> Int[np.ndarray, "everybody camera"]:
        """Take in people whom one camera alone has seen for a while and who were lifted."""
        left = np.ones(len(detections), bool)
        left[match[match >= 0]] = False
        lifts, waiting = detections.lifts, {}
        for d in np.flatnonzero(left).tolist():
            key = (int(detections.camera[d]), int(detections.track[d]))
            since_ns = waiting[key] = self._first_seen_ns.get(key, t_ns)
            if t_ns - since_ns < _PROBATION_NS or not np.isfinite(lifts.root[d]).all():
                continue
            joints = self.people.joints[:, self._layout.h36m]
            cost = match_cost(joints, detections, self._cameras, self._layout)
            if cost[:, d].min(initial=np.inf) < GATE:
                continue  # a second detection of somebody who is known
            lifted = lifts.root[d] + lifts.pose[d]
            if match_cost(lifted[None], detections, self._cameras, self._layout)[0, d] >= GATE:
                continue  # not where the view has them: nobody would know them again
            self._add(t_ns, lifted, confirmed=True)
            own = np.full((1, match.shape[1]), -1, np.intp)
            own[0, key[0]] = d
            match = np.concatenate([match, own])
        self._first_seen_ns = waiting
        return match

    def _fuse(self, views: ViewSet) -> tuple[Triangulated, Triangulated]:
        """Joints from rays alone, and with all that is expected of them."""
        people, layout = self.people, self._layout
        equations = Equations(views.rays)
        measured = triangulate(equations)
        prior = PositionPrior(
            position=np.nan_to_num(people.joints), information=people.information()
        )
        fused = estimate(equations, equations.seen, prior, noise=people.noise)
        if views.has_lifts:
            spread = fused.covariance_m2[:, layout.h36m][..., (0, 1, 2), (0, 1, 2)].max(-1)
            if (spread > _POOR_M**2).any():
                depth = depth_prior(views, fused, people, layout)
                fused = estimate(equations, equations.seen, prior, noise=people.noise, depth=depth)
        several = (fused.used.sum(1) >= 2).astype(np.float64)
        layout.combine_derived(fused.joints, fused.covariance_m2, several)
        return measured, fused

    def _update(
        self,
        t_ns: int,
        dt_s: float,
        match: Int[np.ndarray, "person camera"],
        views: ViewSet,
        fused: Triangulated,
    ) -> None:
        people, places = self.people, self._layout.h36m
        observed = np.asarray(fused.used.any(1))
        several = fused.used.sum(1) >= 2
        bone_lengths.learn(
            people.lengths_m, people.weights, fused.joints[:, places], several[:, places]
        )
        if self._config.bones and len(people):
            sigma_m = BONE_SIGMA * people.lengths_m
            fused.joints[:, places] = bone_lengths.hold_lengths(
                fused.joints[:, places], fused.covariance_m2[:, places], people.lengths_m, sigma_m
            )
        self._unlearnt_s += dt_s
        if self._unlearnt_s >= _LEARN_EVERY_S:
            learn_noise(people, views, fused, self._unlearnt_s)
            if views.has_lifts:
                learn_depth(people, views, fused, self._layout, self._unlearnt_s)
            self._unlearnt_s = 0.0
        people.follow(fused.joints, fused.covariance_m2, observed, dt_s)
        seen = match >= 0
        people.seen_ns[seen.any(1)] = t_ns
        agree = seen.sum(1) >= 2
        agree &= _middle(np.where(several[:, None], fused.miss_m, np.nan)) < _AGREE_M
        people.several_ns[agree] = t_ns
        people.views[seen.any(1)] = seen[seen.any(1)]
        old = t_ns - people.born_ns >= _CONFIRMED_NS
        people.confirmed |= agree & (old | (seen.sum(1) >= 3))

    def camera_miss_m(self) -> Float[np.ndarray, " camera"]:
        """Return the median distance of each camera's rays from people whom others see too.

        Of the last instant; NaN where there is nobody to compare. A camera that has people in its
        picture and agrees with nobody is _UNMATCHED_M off.
        """
        miss = np.full(len(self._cameras), np.nan)
        if self._last is None:
            return miss
        match, fused, _, detections = self._last
        several = (match >= 0).sum(1) >= 2
        there = np.bincount(detections.camera, minlength=len(miss))
        for camera in np.flatnonzero(there).tolist():
            own = fused.miss_m[several & (match[:, camera] >= 0), camera]
            known = own[np.isfinite(own)]
            if len(known):
                miss[camera] = np.median(known)
            elif several.any() and self._is_expected(camera, fused.joints[several]):
                miss[camera] = _UNMATCHED_M
        return miss

    def support(self) -> Support:
        """Count how many cameras saw people where others place them, at the last instant."""
        if self._last is None:
            return Support(0, 0, 0)
        match, fused, views, detections = self._last
        watching = np.bincount(detections.camera, minlength=len(self._cameras)) > 0
        trunk = fused.joints[:, self._layout.h36m[list(_TRUNK)]]
        return support(match, views.rays.usual_m, fused, trunk, watching, cameras=self._cameras)

    def _is_expected(self, camera: int, joints: Float[np.ndarray, "person joint 3"]) -> bool:
        """Return whether any of these people should be in a camera's picture."""
        rays, _ = self._cameras.project(joints[:, self._layout.h36m[list(_TRUNK)]])
        return bool(self._cameras.sees(rays)[camera].all(-1).any())

    def _keep(self, t_ns: int) -> Int[np.ndarray, " kept"]:
        """Forget who is gone, and whoever was never more than a chance meeting of rays."""
        people = self.people
        limit_ns = np.where(
            people.confirmed, round(self._config.memory_s * NS_PER_S), _PROBATION_NS
        )
        last_ns = np.where(people.confirmed, people.seen_ns, people.several_ns)
        kept = np.flatnonzero(t_ns - last_ns <= limit_ns)
        if len(kept) < len(people):
            self.people = people.take(kept)
        return kept

    def _published(
        self,
        t_ns: int,
        both: tuple[Triangulated, Triangulated],
        match: Int[np.ndarray, "person camera"],
        kept: Int[np.ndarray, " kept"],
        awake: Bool[np.ndarray, " camera"],
    ) -> FusedFrame:
        people, (measured, fused) = self.people, both
        held_ns = t_ns - people.seen_ns
        shown = people.confirmed & (held_ns <= round(self._config.coast_ms * 1e6))
        row = kept[shown]
        return FusedFrame(
            t_ns=t_ns,
            layout=self._layout,
            ids=people.ids[shown],
            joints=people.joints[shown],
            covariance_m2=people.covariance_m2[shown],
            views=fused.views[row],
            residual_px=fused.residual_px[row],
            measured=np.where(
                (measured.used[row].sum(1) >= 2)[..., None], measured.joints[row], np.nan
            ),
            velocity=people.velocity[shown],
            lengths_m=people.lengths_m[shown],
            cameras=match[row] >= 0,
            held_ns=held_ns[shown],
            awake=awake,
        )

    def _empty(self) -> People:
        joints = np.empty((0, len(self._layout.names), 3))
        return People.new(np.empty(0, np.int64), joints, 0, len(self._cameras))


def _middle(miss_m: Float[np.ndarray, "person camera joint"]) -> Float[np.ndarray, " person"]:
    """Median distance of each person's rays; infinite without one."""
    flat = np.where(np.isfinite(miss_m), miss_m, np.inf)
    flat = flat.reshape(len(miss_m), miss_m.shape[1] * miss_m.shape[2])
    count = np.isfinite(flat).sum(1)
    ordered = np.sort(flat, axis=1)
    middle = ordered[np.arange(len(flat)), np.maximum(count - 1, 0) // 2]
    return np.where(count > 0, middle, np.inf)
