"""Skeletons: the 17 Human3.6M joints of a pose, and the keypoint formats that map to them.

A format is a table: names, edges, left and right pairs, and every one of the 17 Human3.6M joints as
a weighted sum of its keypoints. This module does not know cameras, files or the network.


"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from langpose_rt.errors import ConfigError
from langpose_rt.geometry.keypoint_formats import BODY_EDGES, STAND_INS, TABLE, USUAL, Format

JOINTS = (
    "Hip RHip RKnee RAnkle LHip LKnee LAnkle Spine Thorax Nose Head "
    "LShoulder LElbow LWrist RShoulder RElbow RWrist"
).split()
"""Joint names in Human3.6M order."""

PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
"""Parent of every joint; -1 marks the root."""

PAIRS = ((4, 1), (5, 2), (6, 3), (11, 14), (12, 15), (13, 16))
"""Joints that swap when the image is mirrored, as (left, right)."""

FLIP_INDICES = np.arange(len(JOINTS))
"""For every joint the index of its mirrored counterpart."""
FLIP_INDICES[np.ravel(PAIRS)] = np.ravel(np.flip(PAIRS, 1))

PARTS = {
    "head": (9, 10),
    "left_arm": (11, 12, 13),
    "right_arm": (14, 15, 16),
    "left_leg": (4, 5, 6),
    "right_leg": (1, 2, 3),
}
"""Body parts that are masked or lost together."""

BONES = tuple((parent, joint) for joint, parent in enumerate(PARENTS) if parent >= 0)
"""(parent, joint) of the 16 bones, in joint order from joint 1 on."""

_BONE_STARTS, _BONE_ENDS = np.array(BONES).T

REFERENCE_BONES_M = np.array(
    [
        *(0.133, 0.447, 0.450, 0.133, 0.447, 0.450, 0.237, 0.254),
        *(0.117, 0.115, 0.150, 0.281, 0.250, 0.150, 0.281, 0.250),
    ],
    np.float32,
)
"""Usual adult bone lengths, one per entry of BONES. Source: Human3.6M adults, second-hand."""

INPUT_BONES = (*BONES, (1, 4), (14, 11), (1, 11), (4, 14))
"""Pairs of joints whose extent is model input: bones, hips, shoulders, diagonals of the trunk."""

_HIP, _TRUNK, _NECK, _SHOULDER = (float(REFERENCE_BONES_M[bone]) for bone in (0, 6, 7, 10))
_DIAGONAL = ((_HIP + _SHOULDER) ** 2 + (_TRUNK + _NECK) ** 2) ** 0.5
INPUT_BONES_M = np.array(
    [*REFERENCE_BONES_M.tolist(), 2 * _HIP, 2 * _SHOULDER, _DIAGONAL, _DIAGONAL], np.float32
)
"""Length of each pair of INPUT_BONES in the reference body."""

REFERENCE_STATURE_M = 1.70
"""Stature of the body whose bones are REFERENCE_BONES_M; poses in body units belong to it."""

_STATURE_BONES = (1, 2, 6, 7, 8, 9)
_SOLE_TO_CROWN_REST_M = REFERENCE_STATURE_M - float(REFERENCE_BONES_M[list(_STATURE_BONES)].sum())


def bone_lengths(pose: Float[np.ndarray, "*batch 17 3"]) -> Float[np.ndarray, "*batch 16"]:
    """Return the length of every bone, in the unit of the pose and the order of BONES."""
    bone = pose[..., _BONE_ENDS, :] - pose[..., _BONE_STARTS, :]
    return np.asarray(np.linalg.norm(bone, axis=-1))


def stature_m(bones_m: Float[np.ndarray, "*batch 16"]) -> Float[np.ndarray, "*batch"]:
    """Return the standing height of a body from its bone lengths.

    Shin, thigh, spine, neck and head add up along one line; sole and crown add a share that
    grows with the body, so that the reference bones give exactly REFERENCE_STATURE_M.

    Source: ours; anthropometric tables differ by less than the bones themselves.
    """
    right, left = bones_m[..., list(_STATURE_BONES)], bones_m[..., [4, 5, 6, 7, 8, 9]]
    line = 0.5 * (right + left).sum(-1)
    scale = REFERENCE_STATURE_M / (REFERENCE_STATURE_M - _SOLE_TO_CROWN_REST_M)
    return np.asarray(line * scale)


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """A keypoint format and its mapping to the 17 joints.

    Args:
        name: Name of the format on the wire, such as "coco17".
        joints: Names of the keypoints, in their order.
        edges: Pairs of keypoints that a picture draws as lines.
        pairs: Keypoints that swap when the image is mirrored, as (left, right).
        to_h36m: For each of JOINTS, the (keypoint, weight) terms whose sum it is.
        stand_ins: Where the first keypoint of a pair is missing, the second is taken for it.
    """

    name: str
    joints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    pairs: tuple[tuple[int, int], ...]
    to_h36m: tuple[tuple[tuple[int, float], ...], ...]
    stand_ins: tuple[tuple[int, int], ...] = ()
    _sources: Int[np.ndarray, "17 term"] = field(init=False, repr=False, compare=False)
    _weights: Float[np.ndarray, "17 term"] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        most = max(len(terms) for terms in self.to_h36m)
        sources = np.zeros((len(JOINTS), most), np.intp)
        weights = np.zeros((len(JOINTS), most), np.float32)
        for joint, terms in enumerate(self.to_h36m):
            sources[joint] = terms[0][0]  # unused columns repeat a keypoint that is needed anyway
            for column, (source, weight) in enumerate(terms):
                sources[joint, column], weights[joint, column] = source, weight
        object.__setattr__(self, "_sources", sources)
        object.__setattr__(self, "_weights", weights)


def to_h36m17(
    keypoints: Float[np.ndarray, "*batch keypoint 3"], skeleton: Skeleton
) -> Float[np.ndarray, "*batch 17 3"]:
    """Return the 17 joints of every person, from the keypoints of any format.

    Args:
        keypoints: x, y and score of every keypoint, in pixels or any other unit of length. One is
            missing where its score is not above 0 or any of its three numbers is not finite.
        skeleton: The format of the keypoints.

    Returns:
        New float32 x, y, score of JOINTS. A joint's score is the least of those it is made of;
        where one of those is missing so is the joint, and its three numbers are 0.
    """
    seen = np.isfinite(keypoints).all(-1) & (keypoints[..., 2] > 0)
    if skeleton.stand_ins and not seen.all():
        lost, stand_in = np.array(skeleton.stand_ins).T
        instead = np.arange(len(skeleton.joints)) * np.ones_like(seen, np.intp)
        instead[..., lost] = np.where(seen[..., lost], lost, stand_in)
        keypoints = np.take_along_axis(keypoints, instead[..., None], -2)
        seen = np.take_along_axis(seen, instead, -1)
    terms = keypoints[..., skeleton._sources, :]
    found = seen[..., skeleton._sources].all(-1)
    joints = np.zeros((*found.shape, 3), np.float32)
    xy = np.where(found[..., None, None], terms[..., :2], 0)
    joints[..., :2] = (xy * skeleton._weights[..., None]).sum(-2)
    joints[..., 2] = np.where(found, terms[..., 2].min(-1), 0)
    return joints


def skeleton_named(name: str) -> Skeleton:
    """Return the keypoint format with that name.

    Raises:
        ConfigError: If there is no such format; the message lists the known ones.
    """
    if name not in SKELETONS:
        known = ", ".join(sorted(SKELETONS))
        raise ConfigError(f'keypoint format "{name}" is not known; use one of: {known}')
    return SKELETONS[name]


def skeleton_of_size(keypoints: int) -> Skeleton:
    """Return the default format for a number of keypoints, for senders that name none.

    17 means coco17 (not h36m17) and 25 means body25 (not body25b).

    Raises:
        ConfigError: If no format has that many.
    """
    if keypoints not in USUAL:
        known = ", ".join(f"{count} ({name})" for count, name in USUAL.items())
        raise ConfigError(f"no keypoint format has {keypoints} keypoints; known are {known}")
    return SKELETONS[USUAL[keypoints]]


def _skeleton_from_row(name: str, row: Format) -> Skeleton:
    joints = tuple(row.joints.split())
    place = {joint: index for index, joint in enumerate(joints)}
    lines = [line.split("-") for line in (BODY_EDGES + row.edges).split()]
    made_of = [_terms(joint, row.trunk) for joint in JOINTS]
    return Skeleton(
        name=name,
        joints=joints,
        edges=tuple((place[a], place[b]) for a, b in lines if a in place and b in place),
        pairs=tuple(
            (place[joint], place["right_" + joint.removeprefix("left_")])
            for joint in joints
            if joint.startswith("left_")
        ),
        to_h36m=tuple(
            tuple((place[n], weight) for n, weight in terms.items()) for terms in made_of
        ),
        stand_ins=tuple(
            (place[lost], place[other])
            for lost, other in STAND_INS.items()
            if any(lost in terms for terms in made_of)
        ),
    )


def _terms(joint: str, trunk: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return a Human3.6M joint as weights of the format's own keypoints."""
    if joint not in trunk:
        side = {"L": "left_", "R": "right_"}[joint[0]]
        return {side + joint[1:].lower(): 1.0}
    terms: dict[str, float] = {}
    for name, weight in trunk[joint].items():
        inner = _terms(name, trunk) if name in JOINTS else {name: 1.0}
        for source, share in inner.items():
            terms[source] = terms.get(source, 0.0) + weight * share
    return terms


_H36M17 = Skeleton(
    name="h36m17",
    joints=tuple(JOINTS),
    edges=BONES,
    pairs=PAIRS,
    to_h36m=tuple(((joint, 1.0),) for joint in range(len(JOINTS))),
)

SKELETONS: dict[str, Skeleton] = {"h36m17": _H36M17} | {
    name: _skeleton_from_row(name, row) for name, row in TABLE.items()
}
"""Every keypoint format that a rig may send, by name."""
