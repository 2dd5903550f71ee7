"""The views of everybody at one instant, person by camera by joint, and how far to trust each."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.depth_doubt import LIFT_DEPTH_SHARE
from langpose_rt.fusion.detections import Detections
from langpose_rt.fusion.joint_layout import JointLayout
from langpose_rt.fusion.left_right import exchange_pairs
from langpose_rt.fusion.people import People
from langpose_rt.fusion.triangulation import DepthPrior, Rays, Triangulated
from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M

DETECTOR_SIGMA = 0.012
"""Usual error of a detector in body heights: it scales with the person in the image."""

DETECTOR_SIGMA_PX = 1.5
"""And in pixels, however small the person is."""

LEAST_SCORE = 0.05
"""A joint with a lower score is trusted as if it had this."""

SCORE_POWER = 1.0

_NOISE_SMOOTHING_S = 1.0
_NOISE_RANGE = (0.5, 3.0)
_RATIO_SMOOTHING_S = 1.0
_RATIO_RANGE = (0.5, 2.0)
_SURE_M = 0.05
_LIFT_SMOOTHING_S = 1.0
_SCALE_SMOOTHING_S = 1.0
_SCALE_RANGE = (0.6, 1.6)
_LIFT_SIGMA_RANGE_M = (0.03, 0.3)


@dataclass(slots=True, eq=False)
class ViewSet:
    """Views of every person in every camera.

    Attributes:
        rays: Rays with directions in world axes.
        pose_lift: Monocular poses relative to the hip, NaN where there is none.
        sigma_lift: Their standard deviations.
        root_lift: Where the monocular lift has the hip.
        exchanged: Share of the views of every pair of joints that had its sides exchanged, and
            have been put right; NaN where nothing is known.
    """

    rays: Rays
    pose_lift: Float[np.ndarray, "person camera 17 3"]
    sigma_lift: Float[np.ndarray, "person camera 17"]
    root_lift: Float[np.ndarray, "person camera 3"]
    exchanged: Float[np.ndarray, "person pair"]

    @property
    def has_lifts(self) -> bool:
        """True if any person was lifted."""
        return bool(np.isfinite(self.root_lift).any())


def view_set(
    people: People,
    match: Int[np.ndarray, "person camera"],
    detections: Detections,
    cameras: CameraArray,
    layout: JointLayout,
) -> ViewSet:
    """Collect the detections of everybody and weigh them by score, distance and camera."""
    there, row = match >= 0, np.maximum(match, 0)
    if not len(detections):
        return _nobody(len(people), cameras, layout)
    rays, scores = detections.rays[row], detections.scores[row] * there[..., None]
    expected, depth = cameras.project(people.joints)
    expected, depth = expected.swapaxes(0, 1), depth.swapaxes(0, 1)
    exchanged = exchange_pairs(rays, scores, expected, depth, layout.pairs)
    known = np.isfinite(depth)
    sums = np.where(known, depth, 0.0).sum(2)
    middle = np.maximum(sums / np.maximum(known.sum(2), 1), 0.3)
    relative = DETECTOR_SIGMA * REFERENCE_STATURE_M
    fixed = DETECTOR_SIGMA_PX / cameras.focal_px * middle
    usual = np.sqrt(relative**2 + fixed * fixed)
    trust = np.maximum(scores, LEAST_SCORE) ** SCORE_POWER
    sigma = np.where(scores > 0, usual[..., None] / trust, np.inf)
    R = cameras.R_camera_world
    direction = rays @ R[:, :2] + R[:, None, 2]
    x, y = rays[..., 0], rays[..., 1]
    direction /= np.sqrt(x * x + y * y + 1.0)[..., None]
    lifts, gone = detections.lifts, ~there
    root = lifts.root[row]
    root[gone] = np.nan
    return ViewSet(
        rays=Rays(
            origin=cameras.centres,
            direction=direction,
            sigma_m=sigma,
            usual_m=usual,
            focal_px=cameras.focal_px,
        ),
        pose_lift=lifts.pose[row],
        sigma_lift=lifts.sigma_m[row],
        root_lift=root,
        exchanged=exchanged,
    )


def _nobody(people: int, array: CameraArray, layout: JointLayout) -> ViewSet:
    shape, joints = (people, len(array)), len(layout.names)
    direction = np.zeros((*shape, joints, 3))
    direction[..., 2] = 1.0
    return ViewSet(
        rays=Rays(
            origin=array.centres,
            direction=direction,
            sigma_m=np.full((*shape, joints), np.inf),
            usual_m=np.ones(shape),
            focal_px=array.focal_px,
        ),
        pose_lift=np.full((*shape, 17, 3), np.nan),
        sigma_lift=np.full((*shape, 17), np.nan),
        root_lift=np.full((*shape, 3), np.nan),
        exchanged=np.full((people, len(layout.pairs)), np.nan),
    )


def depth_prior(
    views: ViewSet,
    first: Triangulated,
    people: People,
    layout: JointLayout,
) -> DepthPrior:
    """Expect every joint along its ray where the lift of that camera has it.

    The lift is moved to where the joints that are known already lie; for somebody about whom
    little is known it stays at its own distance, corrected by what other cameras taught of it.
    """
    origin = views.rays.origin
    root = origin + (views.root_lift - origin) * people.depth_ratio[..., None]
    placed = root[:, :, None] + people.lift_scale[..., None, None] * views.pose_lift
    joints = first.joints[:, layout.h36m]
    spread = first.covariance_m2[:, layout.h36m][..., (0, 1, 2), (0, 1, 2)].sum(-1)
    sigma_lift = np.maximum(views.sigma_lift, people.lift_sigma_m[:, None, None])
    variance = spread[:, None] + sigma_lift**2
    gap = joints[:, None] - placed
    good = np.isfinite(gap).all(-1) & np.isfinite(variance)
    weight = np.where(good, 1.0 / np.where(good, variance, 1.0), 0.0)
    distance = np.linalg.norm(root - origin, axis=-1)
    own = 1.0 / np.maximum(LIFT_DEPTH_SHARE * np.nan_to_num(distance, nan=4.0), 0.02) ** 2
    # joints of one frame are wrong together: their mean is no better than the best few of them
    total = np.minimum(weight.sum(-1), 4 * weight.max(-1))
    mean = (np.where(good[..., None], gap, 0.0) * weight[..., None]).sum(2)
    mean /= np.maximum(weight.sum(-1), 1e-12)[..., None]
    share = total / (total + own)
    placed = placed + (share[..., None] * mean)[:, :, None]
    sigma = np.sqrt(sigma_lift**2 + (1 / (total + own))[..., None])
    count = views.rays.direction.shape[2]
    along = np.full((*views.root_lift.shape[:2], count), np.nan)
    doubt = np.full_like(along, np.inf)
    away = placed - origin[:, None]
    along[:, :, layout.h36m] = (away * views.rays.direction[:, :, layout.h36m]).sum(-1)
    doubt[:, :, layout.h36m] = np.where(np.isfinite(away).all(-1), sigma, np.inf)
    return DepthPrior(distance_m=along, sigma_m=doubt)


def learn_noise(people: People, views: ViewSet, fused: Triangulated, dt_s: float) -> None:
    """Learn in place how much worse than usual each camera sees each person.

    The distance between two views says nothing of whose it is: both are taken to be as bad.
    """
    several = fused.used.sum(1, keepdims=True) >= 2
    used = fused.used & several
    variance = (np.where(used, views.rays.sigma_m, 1.0) * people.noise[..., None]) ** 2
    # what of a camera's own error the joint has followed is missing from its distance
    spread = np.where(np.isfinite(fused.covariance_m2), fused.covariance_m2, 0.0)
    direction = views.rays.direction
    turned = (spread[:, None] @ direction[..., None])[..., 0]
    across = np.trace(spread, axis1=-2, axis2=-1)[:, None] - (turned * direction).sum(-1)
    expected = np.maximum(2 * variance - across, 0.3 * variance)
    ratio = np.where(used, np.nan_to_num(fused.miss_m) ** 2 / expected, 0.0)
    count = used.sum(-1)
    mean = np.minimum(ratio, 9.0).sum(-1) / np.maximum(count, 1)
    share = np.where(count >= 5, dt_s / (dt_s + _NOISE_SMOOTHING_S), 0.0)
    squared = people.noise**2
    squared += share * (mean * squared - squared)
    people.noise[:] = np.clip(np.sqrt(squared), *_NOISE_RANGE)


def learn_depth(
    people: People, views: ViewSet, fused: Triangulated, layout: JointLayout, dt_s: float
) -> None:
    """Learn in place how a camera's monocular distances compare with the true ones."""
    hip = layout.h36m[0]
    sure = np.trace(fused.covariance_m2[:, hip], axis1=-2, axis2=-1) < 3 * _SURE_M**2
    several = fused.used[:, :, hip].sum(1) >= 2
    true_m = np.linalg.norm(fused.joints[:, hip, None] - views.rays.origin, axis=-1)
    lift_m = np.linalg.norm(views.root_lift - views.rays.origin, axis=-1)
    ratio = np.clip(true_m / np.maximum(lift_m, 0.1), *_RATIO_RANGE)
    good = np.isfinite(ratio) & (sure & several)[:, None]
    share = np.where(good, dt_s / (dt_s + _RATIO_SMOOTHING_S), 0.0)
    people.depth_ratio += share * np.nan_to_num(ratio - people.depth_ratio)


def learn_scale(
    people: People, views: ViewSet, fused: Triangulated, layout: JointLayout, dt_s: float
) -> None:
    """Learn in place how the size of lifted bodies compares with joints that several cameras see.

    A lift has the size of the stature that the camera's rig knows or assumes.
    """
    joints = fused.joints[:, None, layout.h36m]
    used = fused.used[:, :, layout.h36m]
    good = used & (used.sum(1, keepdims=True) >= 2)
    good &= np.isfinite(joints[..., 0]) & np.isfinite(views.pose_lift[..., 0])
    weight = good / np.maximum(good.sum(-1, keepdims=True), 1)
    offsets = []
    for points in (joints, views.pose_lift):
        known = np.where(good[..., None], points, 0.0)
        middle = (known * weight[..., None]).sum(2, keepdims=True)
        offsets.append(np.where(good[..., None], known - middle, 0.0))
    shared = (offsets[0] * offsets[1]).sum((2, 3))
    ratio = np.clip(shared / np.maximum(np.square(offsets[1]).sum((2, 3)), 0.01), *_SCALE_RANGE)
    share = np.where(good.sum(-1) >= 5, dt_s / (dt_s + _SCALE_SMOOTHING_S), 0.0)
    people.lift_scale += share * (ratio - people.lift_scale)


def learn_lifts(
    people: People,
    views: ViewSet,
    fused: Triangulated,
    layout: JointLayout,
    dt_s: float,
) -> None:
    """Learn in place how far lifted joints are off along the rays of joints that several see."""
    depth = depth_prior(views, fused, people, layout)
    away = fused.joints[:, None] - views.rays.origin[:, None]
    off = (away * views.rays.direction).sum(-1) - depth.distance_m
    good = fused.used & (fused.used.sum(1, keepdims=True) >= 2) & np.isfinite(off)
    squared = np.where(good, np.minimum(off * off, _LIFT_SIGMA_RANGE_M[1] ** 2), 0.0).sum((1, 2))
    count = good.sum((1, 2))
    share = np.where(count >= 5, dt_s / (dt_s + _LIFT_SMOOTHING_S), 0.0)
    variance = people.lift_sigma_m**2
    variance += share * (squared / np.maximum(count, 1) - variance)
    people.lift_sigma_m[:] = np.clip(np.sqrt(variance), *_LIFT_SIGMA_RANGE_M)
