"""Find new people among detections that belong to nobody, or to somebody seen by one camera only.

Every two detections of different cameras are triangulated; the pair that the most cameras confirm
is a person, and so on with what is left. People are born with two views, a small distance between
their rays, and the size of a body.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from langpose_rt.fusion.association import REFUSED, match_cost
from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.detections import Detections
from langpose_rt.fusion.joint_layout import JointLayout
from langpose_rt.geometry.skeleton import (
    BONES,
    FLIP_INDICES,
    REFERENCE_BONES_M,
    REFERENCE_STATURE_M,
)

FARTHEST_RAYS = 0.03
"""Mean distance of the rays of two views of one person from their joints, in body heights."""

CONFIRMED_WITHIN = 0.10
"""A further camera confirms a pair that it sees within so many body heights."""

JOINS_WITHIN = 0.25
"""And its nearest detection within so many goes with the pair, if nobody else claims it."""

_SMALLEST, _LARGEST = 0.6, 1.4
_MOST_UNEVEN = 0.3
_MOST_LIFT_RATIO = 1.8
_LEAST_JOINTS = 5
_LEAST_PARALLAX = 0.08
_IN_VIEW = 0.6
_NEAREST_M = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Detections of one new person.

    Attributes:
        members: Indices of the detections, of different cameras.
        joints17: First estimate in world axes; NaN where unknown.
        doubtful: Two views only, though a further camera looks there and sees nobody.
    """

    members: tuple[int, ...]
    joints17: Float[np.ndarray, "17 3"]
    doubtful: bool


def find_people(
    detections: Detections,
    free: Int[np.ndarray, " free"],
    cameras: CameraArray,
    layout: JointLayout,
    awake: Bool[np.ndarray, " camera"],
) -> list[Group]:
    """Group free detections to people, those with the most support first.

    Args:
        detections: Of all cameras.
        free: Indices of those that may be grouped.
        cameras: The capture volume.
        layout: Its joints.
        awake: Cameras that have a picture of this instant.
    """
    camera = detections.camera[free]
    first, second = np.nonzero(camera[:, None] < camera[None])
    if not len(first):
        return []
    own = _chosen(detections, free)
    joints, off, good = meeting_points(own, first, second, cameras, layout)
    good &= off < FARTHEST_RAYS
    if not good.any():
        return []
    first, second, joints, off = first[good], second[good], joints[good], off[good]
    support = match_cost(joints, own, cameras, layout)
    in_pair = (np.arange(len(free)) == first[:, None]) | (np.arange(len(free)) == second[:, None])
    other = (camera != camera[first][:, None]) & (camera != camera[second][:, None])
    confirms = np.where(other & (support < CONFIRMED_WITHIN), CONFIRMED_WITHIN - support, 0.0)
    certainty = (FARTHEST_RAYS - off) * (CONFIRMED_WITHIN / FARTHEST_RAYS)
    groups, left = [], np.ones(len(free), bool)
    for _ in range(len(free) // 2):
        best_of_camera = np.stack(
            [
                np.where((camera == c) & left, confirms, 0.0).max(1, initial=0.0)
                for c in range(len(cameras))
            ],
            1,
        )
        score = certainty + best_of_camera.sum(1)
        score = np.where((in_pair & ~left).any(1), -np.inf, score)
        pair = int(score.argmax())
        if not np.isfinite(score[pair]):
            break
        members = [int(first[pair]), int(second[pair])]
        near = np.where(other[pair] & left, support[pair], np.inf)
        members += [
            int(np.where(camera == c, near, np.inf).argmin())
            for c in np.unique(camera[near < JOINS_WITHIN])
        ]
        left[members] = False
        doubtful = len(members) == 2 and _is_missed(
            joints[pair], cameras, awake, camera[members[:2]]
        )
        groups.append(Group(tuple(int(free[m]) for m in sorted(members)), joints[pair], doubtful))
    return groups


def _chosen(detections: Detections, free: Int[np.ndarray, " free"]) -> Detections:
    return Detections(
        camera=detections.camera[free],
        track=detections.track[free],
        rays=detections.rays[free],
        scores=detections.scores[free],
        lifts=detections.lifts.take(free),
    )


def meeting_points(
    own: Detections,
    first: Int[np.ndarray, " pair"],
    second: Int[np.ndarray, " pair"],
    cameras: CameraArray,
    layout: JointLayout,
) -> tuple[Float[np.ndarray, "pair 17 3"], Float[np.ndarray, " pair"], Bool[np.ndarray, " pair"]]:
    """Find where the rays of pairs of views meet.

    Where left and right are exchanged between the two, the second view is turned around.

    Args:
        own: Detections.
        first: One view of every pair, an index.
        second: The other one, of another camera.
        cameras: The capture volume.
        layout: Its joints.

    Returns:
        Joints of every pair, how far its rays pass by them in body heights, and which pairs have
        the size and proportions of a body and stand about where their lifts have them.
    """
    directions = cameras.directions_world(own.camera, own.rays[:, layout.h36m])
    scores = own.scores[:, layout.h36m]
    origins = cameras.centres[own.camera]
    best: tuple[np.ndarray, np.ndarray] | None = None
    for order in (np.arange(17), FLIP_INDICES):
        joints, off = _meet(
            (origins[first], origins[second]),
            (directions[first], directions[second][:, order]),
            (scores[first] > 0) & (scores[second][:, order] > 0),
        )
        if best is None:
            best = joints, off
        else:
            turned = off < 0.7 * best[1]
            best = (
                np.where(turned[:, None, None], joints, best[0]),
                np.where(turned, off, best[1]),
            )
    assert best is not None
    joints, off = best
    good = _is_a_body(joints)
    for member in (first, second):
        good &= _fits_lift(joints, own, member, cameras)
    return joints, off, good


def _meet(
    origins: tuple[np.ndarray, np.ndarray],
    directions: tuple[np.ndarray, np.ndarray],
    both: Bool[np.ndarray, "pair 17"],
) -> tuple[Float[np.ndarray, "pair 17 3"], Float[np.ndarray, " pair"]]:
    """Middles of the shortest lines between two rays each, and their mean miss in body heights.

    Source: the closest points of two lines, Ericson 2005, section 5.1.8.
    """
    (o1, o2), (d1, d2) = origins, directions
    base = (o2 - o1)[:, None]
    cos = (d1 * d2).sum(-1)
    sin2 = np.maximum(1 - cos * cos, 1e-9)
    along1, along2 = (base * d1).sum(-1), (base * d2).sum(-1)
    t1 = (along1 - cos * along2) / sin2
    t2 = (cos * along1 - along2) / sin2
    p1, p2 = o1[:, None] + d1 * t1[..., None], o2[:, None] + d2 * t2[..., None]
    usable = both & (sin2 > _LEAST_PARALLAX**2) & (t1 > _NEAREST_M) & (t2 > _NEAREST_M)
    half_m = 0.5 * np.linalg.norm(p1 - p2, axis=-1)
    count = usable.sum(-1)
    capped = np.minimum(half_m, 0.5 * REFERENCE_STATURE_M)
    off = (capped * usable).sum(-1) / np.maximum(count, 1) / REFERENCE_STATURE_M
    ahead = count >= np.maximum(_LEAST_JOINTS, 0.7 * both.sum(-1))
    joints = np.where(usable[..., None], 0.5 * (p1 + p2), np.nan)
    return joints, np.where(ahead, off, REFUSED)


def _is_a_body(joints: Float[np.ndarray, "pair 17 3"]) -> Bool[np.ndarray, " pair"]:
    """Tell poses of human size and proportions, by the bones over the reference's."""
    parents, children = np.array(BONES).T
    lengths = np.linalg.norm(joints[:, children] - joints[:, parents], axis=-1)
    ratio = lengths / REFERENCE_BONES_M
    few = np.isfinite(ratio).sum(1) < 2
    filled = np.where(few[:, None], 1.0, ratio)
    size = np.nanmedian(filled, axis=1)
    uneven = np.nanmedian(np.abs(filled / size[:, None] - 1), axis=1)
    return np.asarray((size > _SMALLEST) & (size < _LARGEST) & (uneven < _MOST_UNEVEN))


def _fits_lift(
    joints: Float[np.ndarray, "pair 17 3"],
    own: Detections,
    member: Int[np.ndarray, " pair"],
    cameras: CameraArray,
) -> Bool[np.ndarray, " pair"]:
    """Tell pairs that stand about where the monocular lift of a member has it, if there is one."""
    origin = cameras.centres[own.camera[member]]
    lifted_m = np.linalg.norm(own.lifts.root[member] - origin, axis=-1)
    away = np.linalg.norm(joints - origin[:, None], axis=-1)
    known = np.isfinite(away)
    found_m = np.where(known, away, 0.0).sum(1) / np.maximum(known.sum(1), 1)
    ratio = found_m / np.maximum(lifted_m, 0.1)
    return np.asarray(
        ~np.isfinite(lifted_m) | ((ratio > 1 / _MOST_LIFT_RATIO) & (ratio < _MOST_LIFT_RATIO))
    )


def _is_missed(
    joints17: Float[np.ndarray, "17 3"],
    cameras: CameraArray,
    awake: Bool[np.ndarray, " camera"],
    own: Int[np.ndarray, " view"],
) -> bool:
    """Return whether a further camera that has a picture looks at this place."""
    known = joints17[np.isfinite(joints17).all(-1)]
    rays, _ = cameras.project(known)
    looks = awake & (cameras.sees(rays).mean(1) > _IN_VIEW)
    looks[own] = False
    return bool(looks.any())
