"""Give published poses bones of steady length: a running, causal estimate for every person.

The network decides every frame anew how long an arm is. Here every bone keeps its direction and
gets the length the person's bone has had on average so far, chained from the hip outwards.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from langpose_rt.config import NS_PER_S
from langpose_rt.geometry.skeleton import BONES

MEMORY_S = 20.0
"""The mean forgets as if it were of so many seconds: an id may be taken over by another person."""

FIRST_S, LONGEST_STEP_S = 1 / 30, 0.1
"""Weight of a person's first frame, and the largest one of a frame, in seconds."""

SHORTEST_M, TINY_S = 1e-3, 1e-6

_F = np.float32
_MEMORY, _SHORTEST, _TINY = _F(MEMORY_S), _F(SHORTEST_M), _F(TINY_S)
_NEVER = np.int64(-1)
_PARENTS, _CHILDREN = np.array(BONES).T


_ENDS = np.zeros((len(BONES), 17), np.float32)
_ENDS[np.arange(len(BONES)), _CHILDREN] = 1.0
_ENDS[np.arange(len(BONES)), _PARENTS] = -1.0
"""From joints to bones: child less parent."""


def _chains() -> Float[np.ndarray, "17 16"]:
    """Return which bones lead from the hip to every joint."""
    chains = np.zeros((17, len(BONES)), np.float32)
    for bone, (parent, child) in enumerate(BONES):  # parents come before their children
        chains[child] = chains[parent]
        chains[child, bone] = 1.0
    return chains


_CHAINS = _chains()


class BoneSteadier:
    """Mean lengths of all bones of many persons, each a running mean over the frames so far.

    Args:
        slots: Persons whose state is kept.

    Source:
        Ours: one length a bone is what a skeleton has, and a causal mean needs no rest pose.
    """

    def __init__(self, slots: int) -> None:
        self._means = np.zeros((slots, 2, len(BONES)), np.float32)  # one table: a single look-up
        self._time_ns = np.full(slots, _NEVER)

    def step(
        self,
        slots: Int[np.ndarray, " batch"],
        pose_m: Float[np.ndarray, "batch 17 3"],
        seen: Bool[np.ndarray, "batch 17"],
        time_ns: Int[np.ndarray, " batch"],
        *,
        strength: float = 1.0,
    ) -> Float[np.ndarray, "batch 17 3"]:
        """Return the newest poses of the given persons with their bones at steady lengths.

        Args:
            slots: Distinct slots of the persons.
            pose_m: Joints relative to the root.
            seen: Joints with a keypoint; a bone without both ends teaches nothing.
            time_ns: Capture times since the stream's origin, rising per slot.
            strength: Share of the way from a bone's own length to its mean, 0 to 1.

        Returns:
            A new array; the direction of every bone is that of the pose, and the root is at zero.
        """
        bones = np.matmul(_ENDS, pose_m)
        own_m = np.sqrt(np.einsum("bij,bij->bi", bones, bones))
        before, means = self._time_ns[slots], self._means[slots]
        length_m, weight_s = means[:, 0], means[:, 1]
        step_s = ((time_ns - before) / NS_PER_S).clip(0.0, LONGEST_STEP_S)
        step_s[before < 0] = FIRST_S
        teaches = (seen[:, _CHILDREN] & seen[:, _PARENTS]) | (weight_s == 0)
        new_s = teaches * step_s[:, None].astype(np.float32)
        weight_s += new_s
        np.minimum(weight_s, _MEMORY, out=weight_s)
        length_m += new_s / np.maximum(weight_s, _TINY) * (own_m - length_m)
        self._means[slots], self._time_ns[slots] = means, time_ns
        wanted_m = length_m if strength == 1 else own_m + _F(strength) * (length_m - own_m)
        bones *= (wanted_m / np.maximum(own_m, _SHORTEST))[..., None]
        return np.asarray(np.matmul(_CHAINS, bones))

    def reset(self, slots: Int[np.ndarray, " batch"]) -> None:
        """Forget the given persons."""
        self._means[slots], self._time_ns[slots] = 0.0, _NEVER
