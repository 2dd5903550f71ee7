"""Person frame: a virtual camera aimed at each person and scaled to their size, tracked causally.

The model sees every person through a virtual camera that is turned towards them (the *anchored*
axes) and scaled to their size. Anchor and size come from 2D alone, change slowly, and survive
missing joints, so one bad frame does not spoil the keys that are cached for it. The same code
makes live and training input, over any number of persons at once.

Frames:
    camera: x right, y down, z forward.
    anchored: the camera turned by azimuth, then elevation, without roll, until the anchor is on its
        axis.
"""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.config import EXTRA_CHANNELS, NUM_JOINTS, ROW_CHANNELS
from langpose_rt.geometry.skeleton import BONES, REFERENCE_BONES_M

ANCHOR_SMOOTHING_S = 0.1
SIZE_SMOOTHING_S = 1.0
SIZE_QUANTILE = 0.65
"""Above the median, because foreshortening only ever shortens a bone."""

TYPICAL_DEPTH_M = 4.0
_PRIOR_LOG_SIZE = -float(np.log(TYPICAL_DEPTH_M))
_PRIOR_WEIGHT_S = 0.004
_FIRST_FRAME_S = 0.04
_LONGEST_STEP_S = 0.1
_LOG_SIZE_RANGE = 2.3
_LOG_SIZE_JUMP = 0.5
_SNAP_BODIES = 0.7
_NEAREST_FORWARD = 0.05
_WIDEST_ROW = 4.0

TORSO_WEIGHTS = np.full(NUM_JOINTS, 1e-3, np.float32)
TORSO_WEIGHTS[[0, 1, 4, 7, 8, 11, 14]] = (2.0, 1.0, 1.0, 1.0, 2.0, 1.0, 1.0)
"""How much each joint counts in the anchor."""

PARAMETERS = np.array(
    [
        ANCHOR_SMOOTHING_S,
        SIZE_SMOOTHING_S,
        SIZE_QUANTILE,
        _PRIOR_LOG_SIZE,
        _FIRST_FRAME_S,
        _LONGEST_STEP_S,
        _LOG_SIZE_RANGE,
        _LOG_SIZE_JUMP,
        _SNAP_BODIES,
        _NEAREST_FORWARD,
        _WIDEST_ROW,
    ],
    np.float32,
)
"""The constants of this module in the order of AnchorParameters in cpp_ext/person_step.cpp."""

_BONE_PARENTS, _BONE_JOINTS = np.array(BONES).T


@dataclass
class AnchorState:
    """Anchor and body size of a batch of persons; one row each.

    Attributes:
        anchor_ray: Smoothed direction of the torso, x/z and y/z.
        seen: True once the person has been seen in any frame.
        log_size: Log of the running body size (rays a metre of reference body spans, about 1 /
            depth).
        weight_s: Time the running size has averaged over, decayed.
    """

    anchor_ray: Float[np.ndarray, "person 2"]
    seen: np.ndarray
    log_size: Float[np.ndarray, " person"]
    weight_s: Float[np.ndarray, " person"]

    @classmethod
    def empty(cls, persons: int) -> "AnchorState":
        """Return the initial state of persons that have not been seen."""
        return cls(
            anchor_ray=np.zeros((persons, 2), np.float32),
            seen=np.zeros(persons, bool),
            log_size=np.full(persons, _PRIOR_LOG_SIZE, np.float32),
            weight_s=np.full(persons, _PRIOR_WEIGHT_S, np.float32),
        )

    def take(self, rows: Int[np.ndarray, " batch"]) -> "AnchorState":
        """Return a copy of the given rows."""
        return AnchorState(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def put(self, rows: Int[np.ndarray, " batch"], state: "AnchorState") -> None:
        """Write rows back in place."""
        for field in fields(self):
            getattr(self, field.name)[rows] = getattr(state, field.name)

    def reset(self, rows: Int[np.ndarray, " batch"]) -> None:
        """Reset the given persons to the initial state, in place."""
        self.put(rows, AnchorState.empty(len(rows)))


@dataclass(frozen=True)
class Anchored:
    """Model input of one frame of every person, and the rotation back to camera axes.

    Attributes:
        rows: x, y in body sizes in the anchored frame, and score; a missing joint is all zero.
        extras: Anchor azimuth and elevation (rad), log body size, gravity in anchored axes, known
            flag.
        rotation: Camera axes to anchored axes, ``x_anchored = rotation @ x_camera``.
    """

    rows: Float[np.ndarray, "person 17 3"]
    extras: Float[np.ndarray, "person 7"]
    rotation: Float[np.ndarray, "person 3 3"]


def rotation_to_ray(ray: Float[np.ndarray, "*batch 2"]) -> Float[np.ndarray, "*batch 3 3"]:
    """Return the rotation, without roll, that makes the given ray the optical axis."""
    x, y = ray[..., 0], ray[..., 1]
    flat = np.sqrt(1.0 + x * x)
    full = np.sqrt(1.0 + x * x + y * y)
    rotation = np.zeros((*ray.shape[:-1], 3, 3), ray.dtype)
    rotation[..., 0, 0] = 1.0 / flat
    rotation[..., 0, 2] = -x / flat
    rotation[..., 1, 0] = -x * y / (flat * full)
    rotation[..., 1, 1] = flat / full
    rotation[..., 1, 2] = -y / (flat * full)
    rotation[..., 2, 0] = x / full
    rotation[..., 2, 1] = y / full
    rotation[..., 2, 2] = 1.0 / full
    return rotation


def anchor_step(
    state: AnchorState,
    rays: Float[np.ndarray, "person 17 2"],
    scores: Float[np.ndarray, "person 17"],
    dt_s: Float[np.ndarray, " person"],
    gravity: Float[np.ndarray, "person 3"],
) -> Anchored:
    """Advance anchor and size by one frame and express the frame in each person's own axes.

    Args:
        state: Changed in place.
        rays: Joint directions in camera axes; values of missing joints do not matter.
        scores: 0 marks a missing joint.
        dt_s: Time since the person's previous frame; ignored for a person not seen before.
        gravity: Unit vector of gravity in camera axes; NaN where unknown.

    Returns:
        New arrays.

    Source:
        Ours.
    """
    present = (scores > 0) & np.isfinite(rays).all(-1)
    rays = np.where(present[..., None], rays, np.float32(0))
    scores = np.where(present, scores, np.float32(0))
    dt_s = np.clip(np.where(state.seen, dt_s, _FIRST_FRAME_S), 1e-3, _LONGEST_STEP_S).astype(
        np.float32
    )
    _advance_size(state, rays, present, dt_s)
    _advance_anchor(state, rays, scores, dt_s)
    rotation = rotation_to_ray(state.anchor_ray)
    size = np.exp(state.log_size)
    turned = rays @ rotation[:, :, :2].transpose(0, 2, 1) + rotation[:, None, :, 2]
    forward = np.maximum(turned[..., 2], _NEAREST_FORWARD)
    xy = np.clip(turned[..., :2] / (forward * size[:, None])[..., None], -_WIDEST_ROW, _WIDEST_ROW)
    rows = np.empty((*scores.shape, ROW_CHANNELS), np.float32)
    rows[..., :2] = xy * present[..., None]
    rows[..., 2] = scores
    return Anchored(rows, _extras(state, rotation, gravity), rotation)


def _extras(
    state: AnchorState, rotation: np.ndarray, gravity: np.ndarray
) -> Float[np.ndarray, "person 7"]:
    known = np.isfinite(gravity).all(-1)
    extras = np.empty((len(known), EXTRA_CHANNELS), np.float32)
    x, y = state.anchor_ray[:, 0], state.anchor_ray[:, 1]
    extras[:, 0] = np.arctan(x)
    extras[:, 1] = np.arctan2(y, np.sqrt(1.0 + x * x))
    extras[:, 2] = state.log_size - _PRIOR_LOG_SIZE
    down = np.where(known[:, None], gravity, np.float32(0)).astype(np.float32)
    extras[:, 3:6] = (rotation @ down[..., None])[..., 0]
    extras[:, 6] = known
    return extras


def _advance_size(
    state: AnchorState, rays: np.ndarray, present: np.ndarray, dt_s: np.ndarray
) -> None:
    both = present[:, _BONE_PARENTS] & present[:, _BONE_JOINTS]
    bones = rays[:, _BONE_JOINTS] - rays[:, _BONE_PARENTS]
    ratio = np.sqrt((bones * bones).sum(-1)) / REFERENCE_BONES_M
    ratio = np.sort(np.where(both, ratio, np.inf), axis=-1)
    count = both.sum(-1)
    index = (SIZE_QUANTILE * np.maximum(count - 1, 0)).astype(np.intp)
    measured = ratio[np.arange(len(index)), index]
    usable = (count >= 3) & (measured > 1e-6)
    log_size = np.log(np.where(usable, measured, 1.0)).astype(np.float32)
    log_size = np.clip(
        log_size, _PRIOR_LOG_SIZE - _LOG_SIZE_RANGE, _PRIOR_LOG_SIZE + _LOG_SIZE_RANGE
    )
    near = np.clip(log_size, state.log_size - _LOG_SIZE_JUMP, state.log_size + _LOG_SIZE_JUMP)
    log_size = np.where(state.seen, near, log_size)
    decayed = state.weight_s * np.exp(-dt_s / SIZE_SMOOTHING_S)
    added = np.where(usable, dt_s, np.float32(0))
    blend = added / (decayed + added)
    state.log_size[:] += blend * (log_size - state.log_size)
    state.weight_s[:] = decayed + added


def _advance_anchor(
    state: AnchorState, rays: np.ndarray, scores: np.ndarray, dt_s: np.ndarray
) -> None:
    weights = scores * TORSO_WEIGHTS
    total = weights.sum(-1)
    centroid = (weights[..., None] * rays).sum(1) / np.maximum(total, 1e-9)[:, None]
    offset = centroid - state.anchor_ray
    far = np.sqrt((offset * offset).sum(-1)) > _SNAP_BODIES * np.exp(state.log_size)
    blend = np.where(state.seen & ~far, 1.0 - np.exp(-dt_s / ANCHOR_SMOOTHING_S), 1.0)
    blend = np.where(total > 0, blend, 0.0).astype(np.float32)
    state.anchor_ray[:] += blend[:, None] * offset
    state.seen[:] |= total > 0
