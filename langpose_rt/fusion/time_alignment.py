"""Bring the people of one camera to an instant, from the frames around it.

Cameras of a volume run at different rates and phases. Between two frames every joint moves in the
image on a line; past the newest frame it goes on with its velocity, for a short while. Which
instants are fused is the business of `instants.py`.
"""

from collections import deque
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

from langpose_rt.config import NS_PER_S
from langpose_rt.fusion.detections import CameraFrame, MonocularLifts

LONGEST_GAP_NS = 60_000_000
"""A camera whose frames around an instant are farther apart than this sits it out."""

LONGEST_EXTRAPOLATION_NS = 40_000_000
"""A camera is not extrapolated further past its newest frame than this."""

_SAME_NS = 1_000_000
_MEMORY_NS = NS_PER_S // 4
_VELOCITY_NS = 80_000_000
_UNCONFIRMED = 0.5
_GATE_BODIES = 0.6
_SMALLEST_BODY = 0.01
_REFUSED = 1e6


class CameraHistory:
    """The last frames of one camera, and who is who in them.

    Frames are pushed in the order of their capture times.
    """

    def __init__(self) -> None:
        self._frames: deque[CameraFrame] = deque()
        self._next_track = 0

    @property
    def newest_ns(self) -> int | None:
        """Capture time of the newest frame; None before the first."""
        return self._frames[-1].t_ns if self._frames else None

    def push(
        self,
        t_ns: int,
        rays: Float[np.ndarray, "person joint 2"],
        scores: Float[np.ndarray, "person joint"],
        lifts: MonocularLifts,
    ) -> bool:
        """Take the next frame; a frame that is not newer than the last one is refused.

        Returns:
            Whether the frame was taken.
        """
        if self._frames and t_ns <= self._frames[-1].t_ns:
            return False
        track = self._tracks_of(t_ns, rays, scores)
        self._frames.append(
            CameraFrame(t_ns=t_ns, track=track, rays=rays, scores=scores, lifts=lifts)
        )
        while len(self._frames) > 2 and self._frames[1].t_ns < t_ns - _MEMORY_NS:
            self._frames.popleft()
        return True

    def forget_lifts(self) -> None:
        """Drop all lifts: they are in world axes, which have changed."""
        for place, frame in enumerate(self._frames):
            missing = MonocularLifts.missing(len(frame.track))
            self._frames[place] = replace(frame, lifts=missing)

    def lift_newest(self, t_ns: int, lifts: MonocularLifts) -> None:
        """Add the lifts of a frame that was pushed before; an unknown frame is ignored."""
        for place, frame in enumerate(self._frames):
            if frame.t_ns == t_ns and len(frame.track) == len(lifts.root):
                self._frames[place] = replace(frame, lifts=lifts)

    def at(self, t_ns: int, *, extrapolate: bool = True) -> CameraFrame | None:
        """Return everybody as this camera would have seen them at an instant.

        Args:
            t_ns: The instant.
            extrapolate: Whether an instant past the newest frame may be answered.

        Returns:
            None where the camera has to sit out: no frame is near enough.
        """
        if not self._frames:
            return None
        frames = self._frames
        after = next((p for p, frame in enumerate(frames) if frame.t_ns >= t_ns), len(frames))
        for place in (after, after - 1):
            if 0 <= place < len(frames) and abs(frames[place].t_ns - t_ns) <= _SAME_NS:
                return frames[place]
        if after == 0:
            return None
        if after < len(frames):
            return _between(frames[after - 1], frames[after], t_ns)
        if not extrapolate or t_ns - frames[-1].t_ns > LONGEST_EXTRAPOLATION_NS:
            return None
        return self._beyond(t_ns)

    def _beyond(self, t_ns: int) -> CameraFrame:
        """Go on from the newest frame with the mean velocity of the last moments."""
        newest = self._frames[-1]
        older = next(f for f in self._frames if f.t_ns >= newest.t_ns - _VELOCITY_NS)
        rays = newest.rays.copy()
        if older.t_ns < newest.t_ns:
            old, new = _pairs(older.track, newest.track)
            both = (older.scores[old] > 0) & (newest.scores[new] > 0)
            share = (t_ns - newest.t_ns) / (newest.t_ns - older.t_ns)
            step = (newest.rays[new] - older.rays[old]) * share
            rays[new] += np.where(both[..., None], step, 0.0)
        return replace(newest, t_ns=t_ns, rays=rays)

    def _tracks_of(
        self,
        t_ns: int,
        rays: Float[np.ndarray, "person joint 2"],
        scores: Float[np.ndarray, "person joint"],
    ) -> Int[np.ndarray, " person"]:
        track = np.full(len(rays), -1, np.int64)
        if self._frames and t_ns - self._frames[-1].t_ns <= _MEMORY_NS:
            before = self._beyond(t_ns)
            old, new = _same_people(before, rays, scores)
            track[new] = before.track[old]
        fresh = np.flatnonzero(track < 0)
        track[fresh] = np.arange(self._next_track, self._next_track + len(fresh))
        self._next_track += len(fresh)
        return track


def _same_people(
    before: CameraFrame,
    rays: Float[np.ndarray, "person joint 2"],
    scores: Float[np.ndarray, "person joint"],
) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]:
    """Pair people of two frames by the mean distance of their joints in body sizes."""
    if not len(before.track) or not len(rays):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    both = (before.scores[:, None] > 0) & (scores[None] > 0)
    step = before.rays[:, None] - rays[None]
    away = np.sqrt((step * step).sum(-1))
    size = np.maximum(_sizes(before.rays, before.scores > 0)[:, None], _sizes(rays, scores > 0))
    bodies = np.minimum(away / size[..., None], 2.0)
    shared = both.sum(-1)
    mean = (bodies * both).sum(-1) / np.maximum(shared, 1)
    cost = np.where((shared > 0) & (mean < _GATE_BODIES), mean, _REFUSED)
    if cost.size == 1:
        old = new = np.zeros(1, np.intp)
    else:
        old, new = linear_sum_assignment(cost)
    near = cost[old, new] < _REFUSED
    return old[near], new[near]


def _sizes(
    rays: Float[np.ndarray, "person joint 2"], seen: Bool[np.ndarray, "person joint"]
) -> Float[np.ndarray, " person"]:
    """Twice the root mean square distance of the joints from their centre."""
    weight = seen[..., None] / np.maximum(seen.sum(-1), 1)[:, None, None]
    centre = (weight * rays).sum(1, keepdims=True)
    variance = (weight * (rays - centre) ** 2).sum((1, 2))
    return np.asarray(np.maximum(2 * np.sqrt(variance), _SMALLEST_BODY))


def _pairs(
    first: Int[np.ndarray, " a"], second: Int[np.ndarray, " b"]
) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]:
    old, new = np.nonzero(first[:, None] == second[None])
    return old, new


def _between(before: CameraFrame, after: CameraFrame, t_ns: int) -> CameraFrame | None:
    gap_ns = after.t_ns - before.t_ns
    if gap_ns > LONGEST_GAP_NS:
        return None
    share = (t_ns - before.t_ns) / gap_ns
    nearer, other = (before, after) if share <= 0.5 else (after, before)
    mine, theirs = _pairs(nearer.track, other.track)
    towards = min(share, 1 - share)
    rays, scores = nearer.rays.copy(), nearer.scores * _UNCONFIRMED
    both = (nearer.scores[mine] > 0) & (other.scores[theirs] > 0)
    step = (other.rays[theirs] - nearer.rays[mine]) * towards
    rays[mine] += np.where(both[..., None], step, 0.0)
    least = np.minimum(nearer.scores[mine], other.scores[theirs])
    scores[mine] = np.where(both, least, scores[mine])
    lifts = nearer.lifts
    if len(mine) and np.isfinite(lifts.root[mine]).any():
        lifts = _lifts_between(lifts, other.lifts, mine, theirs, towards)
    return CameraFrame(t_ns=t_ns, track=nearer.track, rays=rays, scores=scores, lifts=lifts)


def _lifts_between(
    nearer: MonocularLifts,
    other: MonocularLifts,
    mine: Int[np.ndarray, " pair"],
    theirs: Int[np.ndarray, " pair"],
    towards: float,
) -> MonocularLifts:
    """Move lifts towards the other frame's where that has them."""
    pose, root = nearer.pose.copy(), nearer.root.copy()
    step = np.nan_to_num(other.pose[theirs] - nearer.pose[mine])
    pose[mine] += step * towards
    root[mine] += np.nan_to_num(other.root[theirs] - nearer.root[mine]) * towards
    return replace(nearer, pose=pose, root=root)
