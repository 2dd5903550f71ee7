"""Layout of the fused joints: those of the keypoint format, then the rest of the 17.

Most of the 17 joints are keypoints of the format; the others (a spine, a mid-hip) are weighted sums
of keypoints and get places of their own behind them, so that every joint is triangulated once.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.geometry.skeleton import JOINTS, Skeleton, to_h36m17


@dataclass(frozen=True, eq=False)
class JointLayout:
    """The joints of a capture volume.

    Attributes:
        skeleton: The keypoint format all cameras share.
        names: Name of every fused joint.
        h36m: Where each of the 17 joints is.
        derived: Which of the 17 joints are no keypoint of the format, in the order of their places
            behind the keypoints.
        weights: For every derived joint, its weight for every keypoint.
        pairs: Fused joints that trade places in a mirror, as (left, right).
    """

    skeleton: Skeleton
    names: tuple[str, ...]
    h36m: Int[np.ndarray, "17"]
    derived: Int[np.ndarray, " derived"]
    weights: Float[np.ndarray, "derived keypoint"]
    pairs: Int[np.ndarray, "pair 2"]

    @classmethod
    def of_skeleton(cls, skeleton: Skeleton) -> "JointLayout":
        """Lay out the joints of a keypoint format."""
        # A stand-in (the other ear) is right for one camera and wrong between cameras.
        skeleton = replace(skeleton, stand_ins=())
        count = len(skeleton.joints)
        direct = [
            terms[0][0] if len(terms) == 1 and terms[0][1] == 1 else -1
            for terms in skeleton.to_h36m
        ]
        derived = [joint for joint, place in enumerate(direct) if place < 0]
        weights = np.zeros((len(derived), count))
        for row, joint in enumerate(derived):
            for keypoint, weight in skeleton.to_h36m[joint]:
                weights[row, keypoint] += weight
        places = [
            count + derived.index(joint) if place < 0 else place
            for joint, place in enumerate(direct)
        ]
        return cls(
            skeleton=skeleton,
            names=(*map(str, skeleton.joints), *(JOINTS[joint] for joint in derived)),
            h36m=np.array(places),
            derived=np.array(derived, np.intp),
            weights=weights,
            pairs=np.array(skeleton.pairs, np.intp).reshape(-1, 2),
        )

    @property
    def mirrored(self) -> Int[np.ndarray, " joint"]:
        """For every joint the one in whose place a mirror shows it."""
        order = np.arange(len(self.names))
        order[self.pairs.ravel()] = self.pairs[:, ::-1].ravel()
        return order

    def joints_from_keypoints(
        self, keypoints: Float[np.ndarray, "person keypoint 3"]
    ) -> Float[np.ndarray, "person joint 3"]:
        """Every fused joint in the image, from the keypoints of the format.

        Args:
            keypoints: x, y and score; score 0 is missing.

        Returns:
            float64 x, y, score; a joint whose keypoints are not all seen is all 0.
        """
        seen = np.isfinite(keypoints).all(-1) & (keypoints[..., 2] > 0)
        known = np.where(seen[..., None], keypoints, 0.0)
        if not len(self.derived):
            return np.asarray(known, np.float64)
        sums = to_h36m17(known, self.skeleton)[:, self.derived]
        return np.concatenate([known, sums], 1).astype(np.float64)

    def combine_derived(
        self,
        joints_world: Float[np.ndarray, "person joint 3"],
        covariance_m2: Float[np.ndarray, "person joint 3 3"],
        several: Float[np.ndarray, "person joint"],
    ) -> None:
        """Take derived joints, in place, from their keypoints where two views saw each of those.

        A sum in space is exact whichever camera saw which keypoint; a sum in an image needs one
        camera that saw all of them.

        Args:
            joints_world: Changed in place.
            covariance_m2: Changed in place, as if keypoints were independent.
            several: 1 where at least two views saw the joint, else 0.
        """
        count = self.weights.shape[1]
        if not len(self.derived) or not len(joints_world):
            return
        needed = (self.weights != 0).astype(np.float64)
        known = several[:, :count] @ needed.T >= needed.sum(1)
        keypoints = np.where(several[:, :count, None] > 0, joints_world[:, :count], 0.0)
        spread = np.where(
            several[:, :count, None, None] > 0, covariance_m2[:, :count], 0.0
        ).reshape(len(joints_world), count, 9)
        sums, own = self.weights @ keypoints, joints_world[:, count:]
        own[:] = np.where(known[..., None], sums, own)
        summed = (self.weights**2 @ spread).reshape(*known.shape, 3, 3)
        apart = covariance_m2[:, count:]
        apart[:] = np.where(known[..., None, None], summed, apart)
