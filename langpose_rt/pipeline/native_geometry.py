"""Arithmetic around the network in C++: rays, anchor, root, refinement, filter and steady bones.

Same results as the NumPy functions, which define them, to 1e-5 of their unit; without the extension
(no compiler at install time) those functions run. Each person is computed alone: nobody's numbers
depend on who shares the step.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32

from langpose_rt.config import EXTRA_CHANNELS, NUM_JOINTS, ROW_CHANNELS, RayRefinement
from langpose_rt.geometry import camera, person_frame, ray_refinement, steady_bones
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.geometry.person_frame import Anchored, AnchorState
from langpose_rt.geometry.ray_refinement import RayRefiner
from langpose_rt.geometry.skeleton import BONES, REFERENCE_BONES_M
from langpose_rt.geometry.steady_bones import BoneSteadier
from langpose_rt.pipeline.one_euro import SPEED_CUTOFF_HZ, OneEuro
from langpose_rt.window.native import HOST_IS_NATIVE

if HOST_IS_NATIVE:
    from langpose_rt import _native as native

_BONES = np.array(BONES, np.int32)
_STEADY = (
    steady_bones.MEMORY_S,
    steady_bones.FIRST_S,
    steady_bones.LONGEST_STEP_S,
    steady_bones.SHORTEST_M,
    steady_bones.TINY_S,
)
_MOST_COEFFICIENTS = 12  # of OpenCV's 14: the last two tilt the sensor


def pixel_to_ray(
    keypoints_px: Float32[np.ndarray, "person joint 2"], intrinsics: Intrinsics
) -> Float32[np.ndarray, "person joint 2"]:
    """Apply `camera.pixel_to_ray`; tilted sensors and rays far outside the image are OpenCV's."""
    if not HOST_IS_NATIVE or len(intrinsics.dist) > _MOST_COEFFICIENTS:
        return camera.pixel_to_ray(keypoints_px, intrinsics)
    rest = (0.0,) * (_MOST_COEFFICIENTS - len(intrinsics.dist))
    pinhole = (intrinsics.fx_px, intrinsics.fy_px, intrinsics.cx_px, intrinsics.cy_px)
    rays = np.empty(keypoints_px.shape, np.float32)
    lens = np.array(pinhole + intrinsics.dist + rest, np.float64)
    if native.pixel_to_ray(np.ascontiguousarray(keypoints_px), lens, rays):
        return rays
    return camera.pixel_to_ray(keypoints_px, intrinsics)


def anchor_step(  # noqa: PLR0917 - the parameters of person_frame.anchor_step, and slots
    state: AnchorState,
    slots: Int32[np.ndarray, " person"],
    rays: Float32[np.ndarray, "person 17 2"],
    scores: Float32[np.ndarray, "person 17"],
    dt_s: Float32[np.ndarray, " person"],
    gravity: Float32[np.ndarray, "person 3"],
) -> Anchored:
    """Apply `person_frame.anchor_step` to the given slots of a state, in place."""
    if not HOST_IS_NATIVE:
        taken = state.take(slots)
        anchored = person_frame.anchor_step(taken, rays, scores, dt_s, gravity)
        state.put(slots, taken)
        return anchored
    persons = len(slots)
    rows = np.empty((persons, NUM_JOINTS, ROW_CHANNELS), np.float32)
    extras = np.empty((persons, EXTRA_CHANNELS), np.float32)
    rotation = np.empty((persons, 3, 3), np.float32)
    native.anchor_step(
        state.anchor_ray,
        state.seen,
        state.log_size,
        state.weight_s,
        slots,
        np.ascontiguousarray(rays),
        np.ascontiguousarray(scores),
        dt_s,
        np.ascontiguousarray(gravity),
        _BONES,
        REFERENCE_BONES_M,
        person_frame.TORSO_WEIGHTS,
        person_frame.PARAMETERS,
        rows,
        extras,
        rotation,
    )
    return Anchored(rows, extras, rotation)


def root_from_pose(
    pose_camera: Float32[np.ndarray, "person 17 3"],
    rays: Float32[np.ndarray, "person 17 2"],
    weights: Float32[np.ndarray, "person 17"],
    last_root: Float32[np.ndarray, "person 3"],
) -> Float32[np.ndarray, "person 3"]:
    """Apply `camera.root_from_pose`."""
    if not HOST_IS_NATIVE:
        return camera.root_from_pose(pose_camera, rays, weights, last_root)
    root = last_root.copy()
    native.root_from_pose(
        np.ascontiguousarray(pose_camera),
        np.ascontiguousarray(rays),
        np.ascontiguousarray(weights),
        root,
        camera.ROOT_PARAMETERS,
    )
    return root


class NativeRayRefiner(RayRefiner):
    """A `RayRefiner` whose step runs in C++."""

    def step(
        self,
        slots: Int[np.ndarray, " batch"],
        pose_m: Float[np.ndarray, "batch 17 3"],
        root_m: Float[np.ndarray, "batch 3"],
        *,
        rays: Float[np.ndarray, "batch 17 2"],
        scores: Float[np.ndarray, "batch 17"],
        sigma_m: Float[np.ndarray, "batch 17"],
        time_ns: Int[np.ndarray, " batch"],
        parameters: RayRefinement,
    ) -> tuple[Float[np.ndarray, "batch 17 3"], Float[np.ndarray, "batch 3"]]:
        """Refine the newest pose of the given persons, see `RayRefiner.step`."""
        if not HOST_IS_NATIVE:
            return super().step(
                slots,
                pose_m,
                root_m,
                rays=rays,
                scores=scores,
                sigma_m=sigma_m,
                time_ns=time_ns,
                parameters=parameters,
            )
        pose, root = pose_m.astype(np.float32), root_m.astype(np.float32)
        constants = (
            ray_refinement.JITTER_S,
            ray_refinement.LOST_S,
            ray_refinement.LEAST_CUTOFF_SHARE,
            ray_refinement.LEAST_DEPTH_M,
            ray_refinement.LARGEST_OFFSET_M,
            ray_refinement.LEAST_JOINTS,
        )
        model = (parameters.strength, parameters.jitter_m, parameters.sigma_m, parameters.cutoff_hz)
        native.refine(
            self._offset_m,
            self._gap_m,
            self._jitter_m,
            self._measured_s,
            self._time_ns,
            np.ascontiguousarray(slots, np.int32),
            np.ascontiguousarray(rays, np.float32),
            np.ascontiguousarray(scores, np.float32),
            np.ascontiguousarray(sigma_m, np.float32),
            np.ascontiguousarray(time_ns, np.int64),
            np.array(model + constants, np.float32),
            pose,
            root,
        )
        return pose, root


class NativeOneEuro(OneEuro):
    """A `OneEuro` whose step runs in C++."""

    def step(
        self,
        slots: Int[np.ndarray, " batch"],
        points_m: Float[np.ndarray, "batch point 3"],
        time_ns: Int[np.ndarray, " batch"],
    ) -> Float[np.ndarray, "batch point 3"]:
        """Return the newest points of the given persons, smoothed, see `OneEuro.step`."""
        if not HOST_IS_NATIVE:
            return super().step(slots, points_m, time_ns)
        points = points_m.astype(np.float32)
        native.smooth(
            self._value,
            self._raw,
            self._velocity,
            self._time_ns,
            self._cutoff_hz,
            self._rise_hz,
            SPEED_CUTOFF_HZ,
            np.ascontiguousarray(slots, np.int32),
            np.ascontiguousarray(time_ns, np.int64),
            points,
        )
        return points


class NativeBoneSteadier(BoneSteadier):
    """A `BoneSteadier` whose step runs in C++."""

    def step(
        self,
        slots: Int[np.ndarray, " batch"],
        pose_m: Float[np.ndarray, "batch 17 3"],
        seen: Bool[np.ndarray, "batch 17"],
        time_ns: Int[np.ndarray, " batch"],
        *,
        strength: float = 1.0,
    ) -> Float[np.ndarray, "batch 17 3"]:
        """Return the newest poses with their bones at steady lengths, see `BoneSteadier.step`."""
        if not HOST_IS_NATIVE:
            return super().step(slots, pose_m, seen, time_ns, strength=strength)
        pose = pose_m.astype(np.float32)
        native.steady_bones(
            self._means,
            self._time_ns,
            np.ascontiguousarray(slots, np.int32),
            np.ascontiguousarray(seen),
            np.ascontiguousarray(time_ns, np.int64),
            _BONES,
            np.array((strength, *_STEADY), np.float32),
            pose,
        )
        return pose
