"""Input of the calibration: one walking person, as every camera saw them over time."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.config import NS_PER_S
from langpose_rt.formats.clip import Clip
from langpose_rt.fusion.detections import MonocularLifts
from langpose_rt.fusion.time_alignment import CameraHistory
from langpose_rt.geometry.camera import ASSUMED_FOV_DEG, Intrinsics, pixel_to_ray
from langpose_rt.geometry.skeleton import FLIP_INDICES, to_h36m17

_MOST_CANDIDATES = 3

SMOOTHING_S = 0.04
"""Standard deviation in time of the smoothing."""

_WIDEST = 2.5

LONGEST_GAP_S = 0.12
"""Frames farther apart are not joined by a line."""


@dataclass(frozen=True, eq=False)
class View:
    """The walker in one camera.

    Attributes:
        name: Of the camera.
        intrinsics: Its lens, measured or assumed.
        t_s: Rising capture times.
        rays: x/z and y/z of the 17 joints, smoothed over time.
        scores: Trust in every joint; 0 is missing.
    """

    name: str
    intrinsics: Intrinsics
    t_s: Float[np.ndarray, " frame"]
    rays: Float[np.ndarray, "frame 17 2"]
    scores: Float[np.ndarray, "frame 17"]

    def at(
        self, t_s: Float[np.ndarray, " time"]
    ) -> tuple[
        Float[np.ndarray, "time 17 2"], Float[np.ndarray, "time 17 2"], Float[np.ndarray, "time 17"]
    ]:
        """Return rays, their change a second, and scores, on lines between frames; 0 in gaps."""
        if len(self.t_s) < 2:
            nothing = np.zeros((len(t_s), 17, 2))
            return nothing, nothing, nothing[..., 0]
        after = np.clip(np.searchsorted(self.t_s, t_s), 1, len(self.t_s) - 1)
        before = after - 1
        gap_s = self.t_s[after] - self.t_s[before]
        share = ((t_s - self.t_s[before]) / gap_s)[:, None]
        inside = (share >= 0) & (share <= 1) & (gap_s[:, None] <= LONGEST_GAP_S)
        both = (self.scores[before] > 0) & (self.scores[after] > 0) & inside
        share3 = np.clip(share, 0, 1)[..., None]
        change = self.rays[after] - self.rays[before]
        rays = self.rays[before] + change * share3
        scores = self.scores[before] * (1 - share) + self.scores[after] * share
        scores = np.where(both, scores, 0.0)
        return rays, change / np.maximum(gap_s, 1e-6)[:, None, None], scores

    def mirrored(self) -> "View":
        """Return the view as if its picture had been mirrored."""
        return replace(
            self, rays=self.rays[:, FLIP_INDICES] * [-1.0, 1.0], scores=self.scores[:, FLIP_INDICES]
        )

    def refocused(self, factor: float) -> "View":
        """Return the view through a lens of another focal length."""
        lens = self.intrinsics
        return replace(
            self,
            intrinsics=replace(lens, fx_px=lens.fx_px * factor, fy_px=lens.fy_px * factor),
            rays=self.rays / factor,
        )


def views_from_clips(clips: Mapping[str, Clip]) -> list[list[View]]:
    """Return the people of every camera as candidates, those who walk about most first."""
    return [_candidates(name, clip) for name, clip in clips.items()]


def _candidates(name: str, clip: Clip) -> list[View]:
    lens = clip.intrinsics or Intrinsics.from_fov(*clip.size, ASSUMED_FOV_DEG, assumed=True)
    joints = to_h36m17(clip.keypoints, clip.skeleton).astype(np.float64)
    scores = joints[..., 2]
    rays = pixel_to_ray(joints[..., :2], lens)
    rays = np.where(scores[..., None] > 0, rays, 0.0)
    track = _tracks(clip, rays, scores)
    numbers, counts = np.unique(track[track >= 0], return_counts=True)
    found = []
    for number in numbers[np.argsort(-counts, kind="stable")[:_MOST_CANDIDATES]]:
        frame, column = np.nonzero(track == number)
        t_s = clip.t_ns[frame] / NS_PER_S
        own_rays, own = _smoothed(t_s, rays[frame, column], scores[frame, column])
        found.append(View(name=name, intrinsics=lens, t_s=t_s, rays=own_rays, scores=own))
    return sorted(found, key=_got_around, reverse=True)


def _smoothed(
    t_s: Float[np.ndarray, " frame"],
    rays: Float[np.ndarray, "frame 17 2"],
    scores: Float[np.ndarray, "frame 17"],
) -> tuple[Float[np.ndarray, "frame 17 2"], Float[np.ndarray, "frame 17"]]:
    """Return rays and scores in the middle of the lines that fit the track best around every frame.

    Every camera is smoothed over the same time, whatever its rate, so that the smoothed tracks
    still belong together; and rays between two frames are as noisy as those of a frame: else a
    clock offset would be drawn to where lines between frames average most noise away.
    """
    track = np.concatenate([rays, scores[..., None]], -1)
    weight = (scores > 0)[..., None].astype(np.float64)
    moments = np.zeros((3, *weight.shape))
    values = np.zeros((2, *track.shape))
    moments[0], values[0] = weight, weight * track
    for shift in range(1, len(t_s)):
        step_s = (t_s[shift:] - t_s[:-shift])[:, None, None]
        if step_s.min() > _WIDEST * SMOOTHING_S:
            break
        near = np.exp(-0.5 * (step_s / SMOOTHING_S) ** 2) * (step_s <= _WIDEST * SMOOTHING_S)
        early, late = slice(None, -shift), slice(shift, None)
        for own, other, dt_s in ((early, late, step_s), (late, early, -step_s)):
            w = near * weight[other]
            for power in range(3):
                moments[power][own] += w * dt_s**power
            for power in range(2):
                values[power][own] += w * dt_s**power * track[other]
    spread = moments[0] * moments[2] - moments[1] ** 2
    line = (moments[2] * values[0] - moments[1] * values[1]) / np.maximum(spread, 1e-12)
    smooth = np.where(weight > 0, np.where(spread > 1e-9, line, track), 0.0)
    return smooth[..., :2], np.where(scores > 0, np.clip(smooth[..., 2], 1e-3, 1.0), 0.0)


def _got_around(view: View) -> float:
    """Return how much a person moved in the picture, times how long they were seen."""
    seen = (view.scores > 0)[..., None]
    middle = (view.rays * seen).sum(1) / np.maximum(seen.sum(1), 1)
    return float(np.std(middle, axis=0).max() * len(middle))


def _tracks(clip: Clip, rays: np.ndarray, scores: np.ndarray) -> Int[np.ndarray, "frame person"]:
    """Assign a number to every person of the clip: by its ids, else by position."""
    present = clip.present
    if (clip.ids[present] >= 0).all():
        return np.where(present, clip.ids, -1)
    history = CameraHistory()
    track = np.full(present.shape, -1, np.int64)
    for frame, there in enumerate(present):
        own = np.flatnonzero(there)
        t_ns = int(clip.t_ns[frame])
        history.push(t_ns, rays[frame, own], scores[frame, own], MonocularLifts.missing(len(own)))
        newest = history.at(t_ns)
        if newest is not None:
            track[frame, own] = newest.track
    return track
