"""Move joints of a lifted pose towards the 2D they were lifted from, at their predicted depth.

The network squeezes the 2D through its layers and gives it back a little blurred. Where the 2D is
steady it is the better witness of where a joint is across the line of sight; where it shakes the
network is. Nothing here reads a clock or knows a model.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from langpose_rt.config import NS_PER_S, NUM_JOINTS, RayRefinement

JITTER_S = 1.0
"""Time constant of the running jitter of a person's 2D."""

FIRST_JITTER_M, FIRST_JITTER_S = 0.01, 0.1
"""What is assumed of a new person's jitter, and for how long that counts as having been seen."""

LOST_S = 0.3
"""Time constant with which a joint that is no longer seen goes back to where the model has it."""

LEAST_CUTOFF_SHARE = 0.1
"""Share of the cutoff that is left whatever the jitter, so that an old offset is given up."""

LEAST_DEPTH_M = 0.2
LARGEST_OFFSET_M = 0.15
LEAST_JOINTS = 5
"""Joints that the jitter of a frame needs."""

_NEVER = np.int64(-1)


class RayRefiner:
    """Offsets of all joints of many persons across the line of sight, each a causal low pass.

    An offset goes towards a share of the way from the predicted joint to its ray. What is low
    passed is that difference and not the ray, so that motion the model follows is not delayed. The
    share falls with the person's running jitter: the median over the joints of how much the
    difference changes from frame to frame, where motion cancels.

    Args:
        slots: Persons whose state is kept.

    Source:
        Ours; the weights were chosen on validation motion capture with and without detector noise.
    """

    def __init__(self, slots: int) -> None:
        self._offset_m = np.zeros((slots, NUM_JOINTS, 2), np.float32)
        self._gap_m = np.full((slots, NUM_JOINTS, 2), np.nan, np.float32)
        self._jitter_m = np.full(slots, FIRST_JITTER_M, np.float32)
        self._measured_s = np.full(slots, FIRST_JITTER_S, np.float32)
        self._time_ns = np.full(slots, _NEVER)

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
        """Refine the newest pose of the given persons.

        Args:
            slots: Distinct slots of the persons.
            pose_m: Joints relative to the root, camera axes.
            root_m: Root in camera axes.
            rays: Direction of every joint as x/z and y/z.
            scores: 0 marks a missing joint, whose ray is not read.
            sigma_m: The model's standard deviation of every joint.
            time_ns: Capture times since the stream's origin, rising per slot.
            parameters: How much the 2D is trusted.

        Returns:
            New pose and root; depths are the model's, and the pose's root is at zero.
        """
        joints_m = pose_m + root_m[:, None]
        depth_m = np.maximum(joints_m[..., 2:], LEAST_DEPTH_M)
        seen = scores > 0
        gap_m = np.where(seen[..., None], rays * depth_m - joints_m[..., :2], np.nan)
        before = self._time_ns[slots]
        dt_s = (np.maximum(time_ns - before, 1000) / NS_PER_S).astype(np.float32)
        self._follow_jitter(slots, gap_m, dt_s)
        trust = 1 / (1 + (self._jitter_m[slots] / parameters.jitter_m) ** 3)
        share = parameters.strength * trust[:, None] * np.minimum(scores, 1)
        share = share * sigma_m**2 / (sigma_m**2 + parameters.sigma_m**2)
        wanted_m = np.where(seen[..., None], share[..., None] * gap_m, 0)
        wanted_m = _at_most(wanted_m, LARGEST_OFFSET_M)
        cutoff_hz = parameters.cutoff_hz * np.maximum(trust**2, LEAST_CUTOFF_SHARE)
        rate = np.where(seen, (2 * np.pi * cutoff_hz)[:, None], 1 / LOST_S)
        step = np.where((before < 0)[:, None], 1, 1 - np.exp(-rate * dt_s[:, None]))[..., None]
        offset_m = self._offset_m[slots]
        offset_m = (offset_m + step * (wanted_m - offset_m)).astype(np.float32)
        self._offset_m[slots], self._gap_m[slots] = offset_m, gap_m
        self._time_ns[slots] = time_ns
        root, pose = root_m.copy(), pose_m.copy()
        root[:, :2] += offset_m[:, 0]
        pose[..., :2] += offset_m - offset_m[:, :1]
        return pose, root

    def reset(self, slots: Int[np.ndarray, " batch"]) -> None:
        """Forget the given persons."""
        self._offset_m[slots], self._gap_m[slots] = 0, np.nan
        self._jitter_m[slots], self._measured_s[slots] = FIRST_JITTER_M, FIRST_JITTER_S
        self._time_ns[slots] = _NEVER

    def _follow_jitter(
        self,
        slots: Int[np.ndarray, " batch"],
        gap_m: Float[np.ndarray, "batch 17 2"],
        dt_s: Float[np.ndarray, " batch"],
    ) -> None:
        """Average the jitter over about JITTER_S, over all there is in a person's first second."""
        change_m = np.sqrt(np.square(gap_m - self._gap_m[slots]).sum(-1))
        now_m, measured = _median(change_m)
        spent_s = self._measured_s[slots] + dt_s
        share = np.maximum(dt_s / spent_s, 1 - np.exp(-dt_s / JITTER_S))
        jitter_m = self._jitter_m[slots]
        followed_m = jitter_m + share * (now_m - jitter_m)
        self._jitter_m[slots] = np.where(measured, followed_m, jitter_m)
        self._measured_s[slots] = np.where(measured, spent_s, self._measured_s[slots])


def _median(
    values: Float[np.ndarray, "batch 17"],
) -> tuple[Float[np.ndarray, " batch"], Bool[np.ndarray, " batch"]]:
    """Return the upper median of the numbers of every row, and whether they are enough."""
    count = np.isfinite(values).sum(1)
    ordered = np.sort(values, axis=1)  # NaN goes to the end
    middle = np.take_along_axis(ordered, (count // 2).clip(max=16)[:, None], 1)[:, 0]
    enough = count >= LEAST_JOINTS
    return np.where(enough, middle, 0), enough


def _at_most(
    vectors: Float[np.ndarray, "batch 17 2"], length: float
) -> Float[np.ndarray, "batch 17 2"]:
    """Shorten vectors that are longer than a length."""
    norm = np.sqrt(np.square(vectors).sum(-1, keepdims=True))
    return np.asarray(vectors * np.minimum(1, length / np.maximum(norm, 1e-9)))
