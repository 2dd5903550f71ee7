"""Follow everybody in a capture volume from instant to instant.

One step: predict, say who is who, triangulate, hold bone lengths, forget. Who is who is the
business of `identification.py`, when steps are taken that of `volume.py`.
"""

from dataclasses import dataclass
from statistics import median

import numpy as np
from jaxtyping import Bool, Float, Int

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError
from langpose_rt.fusion import bone_lengths
from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.depth_doubt import doubt_depth, learn_doubt, most_doubt
from langpose_rt.fusion.detections import Detections
from langpose_rt.fusion.fused_frame import FusedFrame
from langpose_rt.fusion.health.agreement import Support, support
from langpose_rt.fusion.identification import Identification
from langpose_rt.fusion.joint_layout import JointLayout
from langpose_rt.fusion.left_right import learn_sides
from langpose_rt.fusion.people import People
from langpose_rt.fusion.triangulation import (
    Equations,
    PositionPrior,
    Triangulated,
    diagonal,
    estimate,
    triangulate,
)
from langpose_rt.fusion.view_set import (
    ViewSet,
    depth_prior,
    learn_depth,
    learn_lifts,
    learn_noise,
    learn_scale,
    view_set,
)

BONE_SIGMA = 0.04
"""Tolerance of a bone's length around its learnt length, as a share of it."""

_AGREE_M = 0.08
_LEARN_EVERY_S = 0.06
_POOR_M = 0.04
_ENOUGH_VIEWS = 3
"""Of a joint that so many views hold a lift tells little, and it costs a second solution."""

_CONFIRMED_NS = NS_PER_S // 5
_TRUNK = (0, 1, 4, 7, 8, 11, 14)
_UNMATCHED_M = 0.25


@dataclass(frozen=True, kw_only=True)
class TrackerConfig:
    """Options of the tracker.

    Args:
        memory_s: How long somebody may be out of every camera's sight and keep the id.
        coast_ms: How long somebody whom nobody sees is published, predicted.
        bones: Whether poses are held to the learnt bone lengths.
        measured: Whether joints from rays alone are computed beside, for comparisons.

    Raises:
        ConfigError: If a number is negative, or people are published for longer than remembered.
    """

    memory_s: float = 2.0
    coast_ms: float = 200.0
    bones: bool = True
    measured: bool = False

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
        self._identification = Identification(cameras, layout)
        self._t_ns: int | None = None
        self._unlearnt_s = 0.0
        self._last: _Instant | None = None

    @property
    def people(self) -> People:
        """The people who are followed, as of the last instant."""
        return self._identification.people

    def recalibrate(
        self,
        cameras: CameraArray,
        T_new_old: Float[np.ndarray, "4 4"],
        columns: Int[np.ndarray, " camera"],
    ) -> None:
        """Go on with another calibration; everybody keeps the id. See `People.moved`."""
        self._cameras, self._last = cameras, None
        self._identification.recalibrate(cameras, T_new_old, columns)

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
        self.people.turn_sides(self._layout.pairs, self._layout.h36m)
        self.people.predict(dt_s, t_ns if self._t_ns is None else self._t_ns)
        self._t_ns = t_ns
        match = self._identification.match(t_ns, detections, awake)
        views = view_set(self.people, match, detections, self._cameras, self._layout)
        learn_sides(self.people.exchanged, views.exchanged, self._layout.pairs, dt_s)
        fused = self._fuse(views)
        self._update(t_ns, dt_s, match, views, fused)
        self._last = _Instant(match, detections, views, fused, awake)
        kept = self._identification.forget(t_ns, self._config.memory_s)
        return self._published(t_ns, self._last, kept)

    def _fuse(self, views: ViewSet) -> Triangulated:
        """Joints from rays and all that is expected of them."""
        people, layout = self.people, self._layout
        equations = Equations(views.rays)
        prior = PositionPrior(
            position=np.where(np.isfinite(people.joints), people.joints, 0.0),
            information=people.information(),
        )
        fused = estimate(equations, equations.seen, prior, noise=people.noise)
        if views.has_lifts and self._is_poor(fused):
            depth = depth_prior(views, fused, people, layout)
            fused = estimate(equations, equations.seen, prior, noise=people.noise, depth=depth)
        several = (fused.used.sum(1) >= 2).astype(np.float64)
        layout.combine_derived(fused.joints, fused.covariance_m2, several)
        return fused

    def _is_poor(self, fused: Triangulated) -> bool:
        """Return whether a lift tells anything new of the joints of anybody."""
        places = self._layout.h36m
        if (fused.used[:, :, places].sum(1) < _ENOUGH_VIEWS).any():
            return True
        return bool((diagonal(fused.covariance_m2)[:, places] > _POOR_M**2).any())

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
            spread = fused.covariance_m2[:, places]
            held = bone_lengths.hold_lengths(
                fused.joints[:, places], spread, people.lengths_m, sigma_m
            )
            fused.joints[:, places] = bone_lengths.hold_hips(held, spread)
        self._unlearnt_s += dt_s
        if self._unlearnt_s >= _LEARN_EVERY_S:
            learn_noise(people, views, fused, self._unlearnt_s)
            if views.has_lifts:
                learn_depth(people, views, fused, self._layout, self._unlearnt_s)
                learn_scale(people, views, fused, self._layout, self._unlearnt_s)
                learn_lifts(people, views, fused, self._layout, self._unlearnt_s)
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
        if not several.all():
            self._doubt(views, fused, agree, dt_s)
        else:
            people.depth_doubt_m2[:] = 0.0

    def _doubt(
        self,
        views: ViewSet,
        fused: Triangulated,
        agree: Bool[np.ndarray, " person"],
        dt_s: float,
    ) -> None:
        """Follow the doubt of depths that one camera alone has."""
        sigma = np.full(views.rays.sigma_m.shape, np.nan)
        sigma[:, :, self._layout.h36m] = views.sigma_lift
        root_m = np.linalg.norm(views.root_lift - views.rays.origin, axis=-1)
        most_m2 = most_doubt(sigma, root_m, agree, self.people.lift_sigma_m)
        several = fused.used.sum(1) >= 2
        learn_doubt(self.people.depth_doubt_m2, several, most_m2, dt_s)
        self.people.covariance_m2[:] = doubt_depth(
            fused, self.people.views, self._cameras.centres, self.people.depth_doubt_m2
        )

    def camera_miss_m(self) -> Float[np.ndarray, " camera"]:
        """Return the median distance of each camera's rays from people whom others see too.

        Of the last instant; NaN where there is nobody to compare. A camera that has people in its
        picture and agrees with nobody is _UNMATCHED_M off.
        """
        miss = np.full(len(self._cameras), np.nan)
        if self._last is None:
            return miss
        match, detections, fused = self._last.match, self._last.detections, self._last.fused
        several = (match >= 0).sum(1) >= 2
        there = np.bincount(detections.camera, minlength=len(miss))
        for camera in np.flatnonzero(there).tolist():
            own = fused.miss_m[several & (match[:, camera] >= 0), camera]
            known = own[np.isfinite(own)]
            if len(known):
                miss[camera] = median(known.tolist())
            elif several.any() and self._is_expected(camera, fused.joints[several]):
                miss[camera] = _UNMATCHED_M
        return miss

    def support(self) -> Support:
        """Count how many cameras saw people where others place them, at the last instant."""
        if self._last is None:
            return Support(0, 0, 0)
        last = self._last
        watching = np.bincount(last.detections.camera, minlength=len(self._cameras)) > 0
        trunk = last.fused.joints[:, self._layout.h36m[list(_TRUNK)]]
        usual_m = last.views.rays.usual_m
        return support(last.match, usual_m, last.fused, trunk, watching, cameras=self._cameras)

    def _is_expected(self, camera: int, joints: Float[np.ndarray, "person joint 3"]) -> bool:
        """Return whether any of these people should be in a camera's picture."""
        rays, _ = self._cameras.project(joints[:, self._layout.h36m[list(_TRUNK)]])
        return bool(self._cameras.sees(rays)[camera].all(-1).any())

    def _published(self, t_ns: int, now: "_Instant", kept: Int[np.ndarray, " kept"]) -> FusedFrame:
        people, fused = self.people, now.fused
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
            measured=_measured(now.views)[row] if self._config.measured else None,
            velocity=people.velocity[shown],
            lengths_m=people.lengths_m[shown],
            cameras=now.match[row] >= 0,
            held_ns=held_ns[shown],
            awake=now.awake,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Instant:
    """The last instant, as it was fused."""

    match: Int[np.ndarray, "person camera"]
    detections: Detections
    views: ViewSet
    fused: Triangulated
    awake: Bool[np.ndarray, " camera"]


def _measured(views: ViewSet) -> Float[np.ndarray, "person joint 3"]:
    """Joints on which two views or more agree, from rays alone."""
    found = triangulate(Equations(views.rays))
    return np.where((found.used.sum(1) >= 2)[..., None], found.joints, np.nan)


def _middle(miss_m: Float[np.ndarray, "person camera joint"]) -> Float[np.ndarray, " person"]:
    """Median distance of each person's rays; infinite without one."""
    flat = np.where(np.isfinite(miss_m), miss_m, np.inf)
    flat = flat.reshape(len(miss_m), miss_m.shape[1] * miss_m.shape[2])
    count = np.isfinite(flat).sum(1)
    ordered = np.sort(flat, axis=1)
    middle = ordered[np.arange(len(flat)), np.maximum(count - 1, 0) // 2]
    return np.where(count > 0, middle, np.inf)
