"""Rotations of body segments from joint positions, for animating avatars.

A pose is 17 points; an avatar needs a rotation for every bone. Points give the direction of a bone
but not its twist; the rule for the twist is in the docstring of `segment_rotations`.

Frames:
    rest: a person in T-pose, x to the person's left, y up, z forward; right-handed.
    pose: whatever right-handed axes the joints are in; rotations lead from rest to pose.
"""

import numpy as np
from jaxtyping import Float

from langpose_rt.geometry.skeleton import JOINTS

SEGMENTS = (
    "pelvis chest head left_thigh left_shin right_thigh right_shin "
    "left_upper_arm left_forearm right_upper_arm right_forearm"
).split()
"""The body's rigid segments, parents first."""

SEGMENT_PARENTS = (-1, 0, 1, 0, 3, 0, 5, 1, 7, 1, 9)
"""Parent of every segment; -1 marks the pelvis."""

SEGMENT_JOINTS = tuple(
    JOINTS.index(name)
    for name in ("Hip Spine Thorax LHip LKnee RHip RKnee LShoulder LElbow RShoulder RElbow").split()
)
"""The joint every segment begins at and turns about."""

_LEFT, _UP, _FORWARD = np.eye(3)

_LIMBS = (
    # first segment, its joints, its direction in rest, the axis of its hinge
    (3, ("LHip", "LKnee", "LAnkle"), -_UP, _LEFT),
    (5, ("RHip", "RKnee", "RAnkle"), -_UP, _LEFT),
    (7, ("LShoulder", "LElbow", "LWrist"), _LEFT, -_UP),
    (9, ("RShoulder", "RElbow", "RWrist"), -_LEFT, _UP),
)

_STRAIGHT = 0.2
"""Sine of the bend (12°) at which the plane of a limb weighs as much as the untwisted axis."""

_SHORTEST = 1e-9
"""Vectors shorter than this have no direction."""

Axis = Float[np.ndarray, "3"]
Vectors = Float[np.ndarray, "*batch 3"]
Rotations = Float[np.ndarray, "*batch 3 3"]


def segment_rotations(
    pose: Float[np.ndarray, "*batch 17 3"],
) -> Float[np.ndarray, "*batch segment 3 3"]:
    """Return the rotation of every segment from rest to the axes of the pose.

    The direction of a segment comes from the points. Its twist comes from this rule:

        pelvis      its left is along the hip joints; up is as near the spine as that allows
        chest       its up is along the upper spine; left is as near the shoulders as that allows
        head        its up is from neck to crown; forward is towards the nose
        thigh, upper arm   the hinge of knee or elbow lies across the plane the limb is bent in; the
                    straighter the limb, the more it is where the shortest turn from the parent
                    leaves it, so that a straight limb is not twisted at all
        shin, forearm      turns in that hinge only: three points do not show a twist

    Hands and feet have no joints; they follow forearm and shin.

    Args:
        pose: Joints in any unit, any right-handed axes and relative to any origin. A segment whose
            joints coincide follows its parent.

    Returns:
        New rotation matrices in the order of SEGMENTS; the columns are the segment's left, up and
        forward in the axes of the pose.

    Source:
        Ours: three points per limb leave its twist open, and knees and elbows are hinges.
    """
    at = dict(zip(JOINTS, np.moveaxis(np.asarray(pose, np.float64), -2, 0), strict=True))
    rotations = np.empty((*pose.shape[:-2], len(SEGMENTS), 3, 3))
    pelvis = _frame(0, at["LHip"] - at["RHip"], 1, at["Spine"] - at["Hip"])
    chest = _frame(1, at["Thorax"] - at["Spine"], 0, at["LShoulder"] - at["RShoulder"], pelvis)
    nose = at["Nose"] - 0.5 * (at["Thorax"] + at["Head"])
    head = _frame(1, at["Head"] - at["Thorax"], 2, nose, chest)
    for segment, rotation in enumerate((pelvis, chest, head)):
        rotations[..., segment, :, :] = rotation
    for upper, names, rest, hinge in _LIMBS:
        start, middle, end = (at[name] for name in names)
        parent = rotations[..., SEGMENT_PARENTS[upper], :, :]
        pair = _limb(parent, middle - start, end - middle, rest, hinge)
        rotations[..., upper, :, :], rotations[..., upper + 1, :, :] = pair
    return rotations


def local_rotations(
    rotations: Float[np.ndarray, "*batch segment 3 3"],
) -> Float[np.ndarray, "*batch segment 3 3"]:
    """Return the rotation of every segment relative to its parent; the pelvis keeps its own.

    Args:
        rotations: From `segment_rotations`.

    Returns:
        A new array: the product along the chain from the pelvis to a segment is its rotation.
    """
    local = np.array(rotations)
    for segment, parent in enumerate(SEGMENT_PARENTS):
        if parent >= 0:
            turned_back = np.swapaxes(rotations[..., parent, :, :], -1, -2)
            local[..., segment, :, :] = turned_back @ rotations[..., segment, :, :]
    return local


def _limb(
    parent: Rotations, upper: Vectors, lower: Vectors, rest: Axis, hinge: Axis
) -> tuple[Rotations, Rotations]:
    """Return the rotations of a limb's two segments; rest and hinge are given in the rest pose."""
    along_parent = (parent @ rest[:, None])[..., 0]
    upper = _unit(upper, along_parent)
    lower = _unit(lower, upper)
    untwisted = _rotated_by_arc(parent @ hinge, along_parent, upper)
    across = np.cross(upper, lower) + _STRAIGHT * untwisted
    across = _unit(across - _along(across, upper), untwisted)
    return _from_rest(rest, hinge, upper, across), _from_rest(rest, hinge, lower, across)


def _from_rest(rest: Axis, hinge: Axis, along: Vectors, across: Vectors) -> Rotations:
    """Return the rotation that takes rest to along exactly and hinge as near across as possible."""
    across = across - _along(across, along)
    across = _unit(across, _any_normal(along))
    before = np.stack([rest, hinge, np.cross(rest, hinge)], -1)
    after = np.stack([along, across, np.cross(along, across)], -1)
    return np.asarray(after @ before.T)


def _frame(
    first: int, exact: Vectors, second: int, near: Vectors, fallback_axes: Rotations | None = None
) -> Rotations:
    """Build axes of which one is exact and another as close to a vector as possible.

    Args:
        first, second: Index (left, up, forward) of the axis each vector gives.
        exact, near: The vectors.
        fallback_axes: Axes to use where a vector has no direction.
    """
    other = (
        np.broadcast_to(np.eye(3), (*exact.shape, 3)) if fallback_axes is None else fallback_axes
    )
    axes: list[Vectors] = [other[..., axis] for axis in range(3)]
    axes[first] = _unit(exact, other[..., first])
    fallback = other[..., second] - _along(other[..., second], axes[first])
    fallback = _unit(fallback, _any_normal(axes[first]))
    axes[second] = _unit(near - _along(near, axes[first]), fallback)
    third = 3 - first - second
    axes[third] = np.cross(axes[(third + 1) % 3], axes[(third + 2) % 3])
    return np.stack(axes, -1)


def _rotated_by_arc(vector: Vectors, start: Vectors, end: Vectors) -> Vectors:
    """Rotate a vector, normal to start, by the shortest arc from start to end.

    Where the two are opposite every arc is equally short; the one about the vector is taken.

    """
    cosine = (start * end).sum(-1, keepdims=True)
    share = (vector * end).sum(-1, keepdims=True) / np.maximum(1 + cosine, _SHORTEST)
    return np.asarray(np.where(cosine > _SHORTEST - 1, vector - share * (start + end), vector))


def _along(vector: Vectors, unit: Vectors) -> Vectors:
    """Return the component of a vector along a unit vector."""
    return np.asarray((vector * unit).sum(-1, keepdims=True) * unit)


def _unit(vector: Vectors, fallback: Vectors) -> Vectors:
    """Return the vector at length 1, or the fallback where it has no direction."""
    length = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.asarray(
        np.where(length > _SHORTEST, vector / np.maximum(length, _SHORTEST), fallback)
    )


def _any_normal(unit: Vectors) -> Vectors:
    """Return a unit vector at a right angle to each."""
    smallest = np.eye(3)[np.abs(unit).argmin(-1)]
    return _unit(smallest - _along(smallest, unit), smallest)
