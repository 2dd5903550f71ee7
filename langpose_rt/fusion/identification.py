"""Say who is who: give the detections of an instant to the people who are followed.

Whoever was seen a moment ago is matched first; then people are found among what is left: by two
views that meet, by a place where somebody was lost, by the lift of the one camera that sees them.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from langpose_rt.config import NS_PER_S
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
from langpose_rt.fusion.joint_layout import JointLayout
from langpose_rt.fusion.pairing import PairingReview
from langpose_rt.fusion.people import People

_SURE_NS = NS_PER_S // 4
_LOST_S = 0.1
_SAME_PERSON_M = 0.35
_REVIVE_M, _REVIVE_M_PER_S = 0.5, 1.5
_PROBATION_NS = NS_PER_S // 10
_UNCONFIRMED_COST = 0.02
_NEW_SIGMA_M = 0.3


class Identification:
    """The people of a capture volume, and who is who among detections.

    Args:
        cameras: The volume.
        layout: The joints that are fused.

    Attributes:
        people: Predicted to the instant before `match`; rows come and go with it and `forget`.
    """

    def __init__(self, cameras: CameraArray, layout: JointLayout) -> None:
        self._cameras, self._layout = cameras, layout
        nowhere = np.empty((0, len(layout.names), 3))
        self.people = People.new(np.empty(0, np.int64), nowhere, 0, len(cameras))
        self._next_id = 0
        self._first_seen_ns: dict[tuple[int, int], int] = {}
        self._pairing = PairingReview(cameras, layout)

    def recalibrate(
        self,
        cameras: CameraArray,
        T_new_old: Float[np.ndarray, "4 4"],
        columns: Int[np.ndarray, " camera"],
    ) -> None:
        """Go on with another calibration; everybody keeps the id. See `People.moved`."""
        self._cameras = cameras
        self._first_seen_ns.clear()
        self._pairing = PairingReview(cameras, self._layout)
        self.people = self.people.moved(T_new_old, columns)

    def match(
        self, t_ns: int, detections: Detections, awake: Bool[np.ndarray, " camera"]
    ) -> Int[np.ndarray, "person camera"]:
        """Give the detections of an instant to people, new ones among them.

        Args:
            t_ns: The instant, to which the people are predicted.
            detections: Of all cameras, brought to it.
            awake: Cameras that have a picture of it.

        Returns:
            Index of the detection of every person in every camera; -1 for none.
        """
        match = self._match_seen(t_ns, detections)
        match = self._welcome(t_ns, detections, awake, match)
        match = self._repair(t_ns, detections, match)
        match = self._find_lost(t_ns, detections, match)
        return self._welcome_monocular(t_ns, detections, match)

    def forget(self, t_ns: int, memory_s: float) -> Int[np.ndarray, " kept"]:
        """Forget who is gone, and whoever was never more than a chance meeting of rays.

        Args:
            t_ns: The instant.
            memory_s: How long somebody may be out of every camera's sight and keep the id.

        Returns:
            The rows of those who stay.
        """
        people = self.people
        limit_ns = np.where(people.confirmed, round(memory_s * NS_PER_S), _PROBATION_NS)
        last_ns = np.where(people.confirmed, people.seen_ns, people.several_ns)
        kept = np.flatnonzero(t_ns - last_ns <= limit_ns)
        if len(kept) < len(people):
            self.people = people.take(kept)
        return kept

    def _match_seen(self, t_ns: int, detections: Detections) -> Int[np.ndarray, "person camera"]:
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
        lost = np.flatnonzero((age_s > _LOST_S) & (match < 0).all(1))
        if not len(lost):
            return match
        left = np.ones(len(detections), bool)
        left[match[match >= 0]] = False
        if not left.any():
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
