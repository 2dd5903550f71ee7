"""Review over time which views belong together, where only two cameras see people.

Rays of two views of different people meet too, if both stand in one plane with the cameras. Such a
pair, taken for a person, lives on: its prediction fits both views. So all pairs of views of two
cameras are compared all the time, and people exchange views when other pairs meet better in all.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

from langpose_rt.config import NS_PER_S
from langpose_rt.fusion.birth import meeting_points
from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.detections import Detections
from langpose_rt.fusion.joint_layout import JointLayout

REVIEW_EVERY_NS = 40_000_000

UNPAIRED = 0.05
"""Cost of two views that belong to nobody, and the most that a pair costs, in body heights."""

LEAST_GAIN = 0.004
"""Views change hands if that brings rays nearer to their joints by so many body heights in all."""

LEAST_SHARE = 0.15
"""And by this share of their distance before."""

_LEAST_REVIEWS = 3
_MEMORY_REVIEWS = 25
_FORGET_NS = NS_PER_S // 2

_Key = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Repaired:
    """A person who gets other views.

    Attributes:
        row: Row of the person.
        members: Index of the two detections.
        joints17: Where they meet, in world axes; NaN where unknown.
    """

    row: int
    members: tuple[int, int]
    joints17: Float[np.ndarray, "17 3"]


@dataclass(slots=True)
class _Evidence:
    """Running mean of the distance between the rays of two tracks."""

    mean: float
    count: int
    seen_ns: int


class PairingReview:
    """Distances between the rays of tracks of different cameras, over the last second.

    Args:
        cameras: The capture volume.
        layout: Its joints.
    """

    def __init__(self, cameras: CameraArray, layout: JointLayout) -> None:
        self._cameras, self._layout = cameras, layout
        self._evidence: dict[_Key, _Evidence] = {}
        self._due_ns = -(2**62)

    def observe(
        self, t_ns: int, match: Int[np.ndarray, "person camera"], detections: Detections
    ) -> tuple[list[Repaired], list[int]]:
        """Compare the pairs of views of one instant.

        Args:
            t_ns: The instant.
            match: Detection of every person in every camera; -1 for none.
            detections: Of all cameras.

        Returns:
            People who get other views, and rows of people who were a mistake.
        """
        if t_ns < self._due_ns or len(detections) < 3:
            return [], []
        self._due_ns = t_ns + REVIEW_EVERY_NS
        self._evidence = {
            key: e for key, e in self._evidence.items() if t_ns - e.seen_ns <= _FORGET_NS
        }
        seen = match >= 0
        owner = np.full(len(detections), -1, np.intp)
        person, camera = np.nonzero(seen)
        owner[match[person, camera]] = person
        pairs = {tuple(np.flatnonzero(row).tolist()) for row in seen[seen.sum(1) == 2]}
        repaired: list[Repaired] = []
        gone: list[int] = []
        for first, second in sorted(pairs):
            free = np.append((seen.sum(1) == 2) & seen[:, first] & seen[:, second], True)
            own = np.flatnonzero((detections.camera == first) & free[owner])
            others = np.flatnonzero((detections.camera == second) & free[owner])
            if len(own) + len(others) > 2:
                changed, mistakes = self._review(t_ns, (own, others), owner, detections)
                repaired += changed
                gone += mistakes
        return repaired, gone

    def _review(
        self,
        t_ns: int,
        views: tuple[Int[np.ndarray, " view"], Int[np.ndarray, " other"]],
        owner: Int[np.ndarray, " detection"],
        detections: Detections,
    ) -> tuple[list[Repaired], list[int]]:
        own, others = views
        first, second = np.repeat(own, len(others)), np.tile(others, len(own))
        joints, off, good = meeting_points(detections, first, second, self._cameras, self._layout)
        now = np.where(good, np.minimum(off, UNPAIRED), UNPAIRED)
        cost, count = self._remember(t_ns, detections, first, second, now)
        shape = len(own), len(others)
        cost, count = cost.reshape(shape), count.reshape(shape)
        together = (owner[own][:, None] == owner[others]) & (owner[own] >= 0)[:, None]
        chosen = np.zeros(shape, bool)
        chosen[linear_sum_assignment(cost)] = True
        chosen &= cost < UNPAIRED
        change = chosen & ~together
        if not change.any() or (count[change] < _LEAST_REVIEWS).any():
            return [], []
        broken = together & (change.any(1)[:, None] | change.any(0))
        before = cost[broken].sum() + UNPAIRED * max(int(change.sum() - broken.sum()), 0)
        after = cost[change].sum() + UNPAIRED * max(int(broken.sum() - change.sum()), 0)
        if before - after < max(LEAST_GAIN, LEAST_SHARE * before):
            return [], []
        return _exchanged(change, broken, views, owner, joints.reshape(*shape, *joints.shape[1:]))

    def _remember(
        self,
        t_ns: int,
        detections: Detections,
        first: Int[np.ndarray, " pair"],
        second: Int[np.ndarray, " pair"],
        off: Float[np.ndarray, " pair"],
    ) -> tuple[Float[np.ndarray, " pair"], Int[np.ndarray, " pair"]]:
        """Take the distances of an instant into the means; returns means and counts."""
        camera, track = detections.camera, detections.track
        means, counts = np.empty(len(off)), np.empty(len(off), np.intp)
        columns = (camera[first], track[first], camera[second], track[second], off)
        for place, (a, b, c, d, value) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        ):
            one = self._evidence.setdefault((a, b, c, d), _Evidence(value, 0, t_ns))
            one.count = min(one.count + 1, _MEMORY_REVIEWS)
            one.mean += (value - one.mean) / one.count
            one.seen_ns = t_ns
            means[place], counts[place] = one.mean, one.count
        return means, counts


def _exchanged(
    change: Bool[np.ndarray, "view other"],
    broken: Bool[np.ndarray, "view other"],
    views: tuple[Int[np.ndarray, " view"], Int[np.ndarray, " other"]],
    owner: Int[np.ndarray, " detection"],
    joints: Float[np.ndarray, "view other 17 3"],
) -> tuple[list[Repaired], list[int]]:
    """Give the new pairs to the people of the broken ones, by their view of the first camera."""
    own, others = views
    left = {int(owner[own[row]]) for row in np.flatnonzero(broken.any(1))}
    repaired = []
    for row, column in zip(*(places.tolist() for places in np.nonzero(change)), strict=True):
        members = int(own[row]), int(others[column])
        keeper = next((int(owner[m]) for m in members if int(owner[m]) in left), None)
        if keeper is not None:  # the others of the new pairs are born at the next instant
            left.remove(keeper)
            repaired.append(Repaired(keeper, members, joints[row, column]))
    return repaired, sorted(left)
