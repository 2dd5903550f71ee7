"""Calibrate cameras from somebody who walks about in front of them.

In: keypoints of one clip a camera. Out: where the cameras stand in metres, z up, floor at 0, the
offsets of their clocks, optionally their focal lengths, and how good all that is.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import Clip
from langpose_rt.fusion.calibration.bundle_adjustment import Adjusted, adjust
from langpose_rt.fusion.calibration.relative_pose import first_poses
from langpose_rt.fusion.calibration.walker import View, views_from_clips
from langpose_rt.fusion.calibration.walker_size import walker_size
from langpose_rt.fusion.calibration.world_axes import LEAST_WALKED_M, WorldAxes, world_axes
from langpose_rt.geometry.camera import Camera
from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M, bone_lengths

MOST_TIMES = 200
"""The walker is placed at so many times at most, spread over the clips."""

_RATE_HZ = 10.0
_SHORTEST_S, _SHORT_S = 1.5, 10.0
_FEW = 0.3
_HIGH_PX_SHARE = 0.02


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions:
    """Result of a calibration.

    Args:
        height_m: Height of the walker, which gives the metres.
        distance: Two cameras and how many metres apart they are, which gives them better.
        offsets: Whether the clocks of the cameras may differ by a constant.
        focals: Whether focal lengths are to be found.

    Raises:
        ConfigError: If the height is not from 0.8 to 2.5 m, or the distance is not above 0 between
            two cameras.
    """

    height_m: float = REFERENCE_STATURE_M
    distance: tuple[str, str, float] | None = None
    offsets: bool = False
    focals: bool = False

    def __post_init__(self) -> None:
        if self.distance is not None:
            first, second, metres = self.distance
            if first == second or not 0 < metres < math.inf:
                raise ConfigError(
                    f'the distance from "{first}" to "{second}" is {metres:g} m; expected two '
                    "cameras, and metres above 0"
                )
        if not 0.8 <= self.height_m <= 2.5:
            raise ConfigError(f"the walker is {self.height_m:g} m tall; expected 0.8 to 2.5 m")


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Calibrated cameras, and how good they are.

    Attributes:
        cameras: By name, in the world.
        offsets_s: What each clock shows too much, against the first camera's.
        residual_px: Median reprojection error of each camera.
        share_seen: Share of the walker's joints that each camera saw.
        bone_spread: Spread of the bone lengths over time, as a share; the median bone.
        joints_world: The walker; NaN where unknown.
        walked_m: How far they got around.
        advice: What would make it better, a sentence each.
    """

    cameras: dict[str, Camera]
    offsets_s: dict[str, float]
    residual_px: dict[str, float]
    share_seen: dict[str, float]
    bone_spread: float
    joints_world: Float[np.ndarray, "time 17 3"]
    walked_m: float
    advice: tuple[str, ...]


def calibrate(clips: Mapping[str, Clip], options: CalibrationOptions | None = None) -> Calibration:
    """Calibrate the cameras of some clips, one a camera, of one walker at the same time.

    Raises:
        ConfigError: If there are too few cameras or frames, nobody walks about, a camera sees
            nobody together with another one, or a picture is mirrored.
    """
    options = options or CalibrationOptions()
    if len(clips) < 2:
        raise ConfigError(
            f"found {len(clips)} camera; expected at least 2 clips of the same time, one a camera"
        )
    for name in (options.distance or ())[:2]:
        if name not in clips:
            known = ", ".join(clips)
            raise ConfigError(f'no camera "{name}" to measure a distance from; there are {known}')
    candidates = views_from_clips(clips)
    for name, own in zip(clips, candidates, strict=True):
        if not own:
            raise ConfigError(f'camera "{name}" sees nobody; expected somebody who walks about')
    t_s = _common_times(candidates)
    views, poses = first_poses(candidates, t_s)
    adjusted = adjust(views, poses, t_s, offsets=options.offsets, focals=options.focals)
    axes = _axes(adjusted, options)
    if axes.walked_m < LEAST_WALKED_M:
        raise ConfigError(
            f"the walker got around {axes.walked_m:.1f} m only; expected somebody who walks about "
            f"the whole space, {LEAST_WALKED_M:g} m at the very least"
        )
    return _finished(adjusted, axes)


def _common_times(candidates: list[list[View]]) -> Float[np.ndarray, " time"]:
    start = max(min(float(view.t_s[0]) for view in own) for own in candidates)
    end = min(max(float(view.t_s[-1]) for view in own) for own in candidates)
    if end - start < _SHORTEST_S:
        raise ConfigError(
            f"the clips have {max(end - start, 0):.1f} s in common; expected at least "
            f"{_SHORTEST_S:g} s, half a minute is better"
        )
    count = min(int((end - start) * _RATE_HZ), MOST_TIMES)
    return np.linspace(start, end, count)


def _axes(adjusted: Adjusted, options: CalibrationOptions) -> WorldAxes:
    up = -adjusted.R[:, 1].mean(0)
    centres = {
        view.name: -R.T @ t
        for view, R, t in zip(adjusted.views, adjusted.R, adjusted.t, strict=True)
    }
    if options.distance is None:
        size = walker_size(adjusted.joints, adjusted.variance, adjusted.offset_covariance)
        scale = options.height_m / (REFERENCE_STATURE_M * size)
    else:
        one, other, metres = options.distance
        scale = metres / float(np.linalg.norm(centres[one] - centres[other]))
    first = centres[adjusted.views[0].name]
    return world_axes(adjusted.joints, up, first, options.height_m, scale)


def _finished(adjusted: Adjusted, axes: WorldAxes) -> Calibration:
    cameras = {}
    for view, R, t in zip(adjusted.views, adjusted.R, adjusted.t, strict=True):
        T = np.eye(4)
        T[:3, :3] = axes.R @ R.T
        T[:3, 3] = axes.scale * axes.R @ (-R.T @ t) + axes.t
        cameras[view.name] = Camera(
            name=view.name,
            intrinsics=replace(view.intrinsics, assumed=False),
            T_world_camera=T,
            gravity=T[:3, :3].T @ np.array([0.0, 0.0, -1.0]),
        )
    joints = axes.scale * adjusted.joints @ axes.R.T + axes.t
    bones = bone_lengths(joints)
    bones = bones[:, np.isfinite(bones).any(0)]
    spread = np.nanstd(bones, axis=0) / np.nanmean(bones, axis=0)
    seen = np.isfinite(adjusted.off_m)
    any_seen = np.maximum(seen.any(0).sum(), 1)
    names = list(cameras)
    share = {name: float(seen[i].sum() / any_seen) for i, name in enumerate(names)}
    residual = {n: float(np.nanmedian(adjusted.residual_px[i])) for i, n in enumerate(names)}
    offsets = dict(zip(names, adjusted.offsets_s.tolist(), strict=True))
    bone_spread = float(np.nanmedian(spread))
    return Calibration(
        cameras=cameras,
        offsets_s=offsets,
        residual_px=residual,
        share_seen=share,
        bone_spread=bone_spread,
        joints_world=joints,
        walked_m=axes.walked_m,
        advice=_advice(cameras, share, residual, axes.walked_m, bone_spread),
    )


def _advice(
    cameras: dict[str, Camera],
    share: dict[str, float],
    residual: dict[str, float],
    walked_m: float,
    bone_spread: float,
) -> tuple[str, ...]:
    advice = []
    for name, camera in cameras.items():
        if share[name] < _FEW:
            advice.append(
                f"camera {name} saw {100 * share[name]:.0f} % of the walk; walk longer in its view"
            )
        if residual[name] > _HIGH_PX_SHARE * camera.intrinsics.height_px:
            advice.append(
                f"camera {name} is {residual[name]:.0f} px off; check its lens and its clock"
            )
    if walked_m < 2:
        advice.append(f"the walker got around {walked_m:.1f} m; walk about the whole space")
    if bone_spread > 0.15:
        advice.append(
            f"bones change by {100 * bone_spread:.0f} %; walk more slowly, one person alone"
        )
    return tuple(advice)
