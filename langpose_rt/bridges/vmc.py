"""VMC protocol messages of one person, for avatars in Unity, Unreal, Blender or VSeeFace.

Frames:
    level: z up, level where gravity is known (`geometry/level_axes.py`).
    upright: x right, y up, z towards the viewer; right-handed. `segment_rotations` are read in it.
    unity: x right, y up, z forward; left-handed, as VMC requires: upright with x mirrored. A person
        facing the camera looks along +z.

Every bone has its rotation in the axes of its parent and its measured offset from the parent, so
that a receiver that applies both reproduces the joint positions of the pose.

Source: VMC protocol, marionette specification (protocol.vmc.info).
"""

import numpy as np
from jaxtyping import Float

from langpose_rt.geometry.level_axes import level_from_pose
from langpose_rt.geometry.segment_rotations import SEGMENTS, local_rotations, segment_rotations
from langpose_rt.geometry.skeleton import JOINTS
from langpose_rt.protocol.messages import PoseMessage

Message = tuple[str, tuple[str | int | float, ...]]
"""An OSC address and its arguments."""

UPRIGHT_FROM_LEVEL = {
    "camera": np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]),
    "world": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}
"""Rotation to upright from the level axes of a message's `frame`."""

ANKLE_HEIGHT_M = 0.08
_FLOOR_RISES = 0.01
"""Share of the distance to lifted feet that the floor rises per frame; it sinks at once."""

_BONES = (
    # name, parent, start joint, segment whose rotation it has
    ("Hips", None, "Hip", "pelvis"),
    ("Spine", "Hips", "Spine", "chest"),
    ("Neck", "Spine", "Thorax", "chest"),
    ("Head", "Neck", "Nose", "head"),
    *(
        (f"{side}{name}", parent and (parent if parent in ("Hips", "Spine") else side + parent),
         side[0] + joint, f"{side.lower()}_{segment}")
        for side in ("Left", "Right")
        for name, parent, joint, segment in (
            ("UpperLeg", "Hips", "Hip", "thigh"),
            ("LowerLeg", "UpperLeg", "Knee", "shin"),
            ("Foot", "LowerLeg", "Ankle", "shin"),
            ("UpperArm", "Spine", "Shoulder", "upper_arm"),
            ("LowerArm", "UpperArm", "Elbow", "forearm"),
            ("Hand", "LowerArm", "Wrist", "forearm"),
        )
    ),
)  # fmt: skip


class Avatar:
    """Converter of pose messages to VMC messages; keeps the height of the floor."""

    def __init__(self) -> None:
        self._floor_m: float | None = None

    def messages(self, message: PoseMessage, person: int | None, time_s: float) -> list[Message]:
        """Return the VMC messages of one frame.

        Args:
            message: Pose message of the frame.
            person: Index of the person that drives the avatar; None for none.
            time_s: Time of the sender, from any origin.
        """
        found: list[Message] = [
            ("/VMC/Ext/OK", (1, 3, 0, int(person is not None))),  # loaded, calibrated, normal
            ("/VMC/Ext/T", (time_s,)),
        ]
        if person is None:
            return found
        root = 0.0 if message.root is None else message.root[person]
        pose = np.asarray(message.poses[person, :, :3], np.float64) + root
        level = level_from_pose(message.frame, message.gravity)
        pose = pose @ (UPRIGHT_FROM_LEVEL[message.frame] @ level).T
        floor_m = self._floor_below(pose)
        return found + _bones(pose, floor_m)

    def _floor_below(self, pose: Float[np.ndarray, "17 3"]) -> float:
        """Return the height of the floor in upright axes: just below the recently lowest ankle."""
        lowest = float(pose[[JOINTS.index("LAnkle"), JOINTS.index("RAnkle")], 1].min())
        lowest -= ANKLE_HEIGHT_M
        known = lowest if self._floor_m is None else self._floor_m
        self._floor_m = min(lowest, known + _FLOOR_RISES * (lowest - known))
        return self._floor_m


def _bones(pose: Float[np.ndarray, "17 3"], floor_m: float) -> list[Message]:
    """Return root and bones of a pose in upright axes, mirrored into Unity's."""
    from scipy.spatial.transform import Rotation

    rotations = segment_rotations(pose)
    turned = dict(zip(SEGMENTS, rotations, strict=True))
    local = dict(zip(SEGMENTS, local_rotations(rotations), strict=True))
    at = dict(zip(JOINTS, pose, strict=True))
    ground = np.array([at["Hip"][0], floor_m, at["Hip"][2]])
    identity = np.eye(3)
    segments = {name: segment for name, _, _, segment in _BONES}
    joints = {name: joint for name, _, joint, _ in _BONES}
    offsets, turns = [ground * [1, 0, 1]], [identity]
    for _, parent, joint, segment in _BONES:
        if parent is None:
            offsets.append(at[joint] - ground)
            turns.append(local[segment])
        else:
            offsets.append(turned[segments[parent]].T @ (at[joint] - at[joints[parent]]))
            turns.append(identity if segments[parent] == segment else local[segment])
    mirrored = np.array(offsets) * [-1, 1, 1]
    quaternions = Rotation.from_matrix(np.array(turns)).as_quat() * [1, -1, -1, 1]
    numbers = np.concatenate([mirrored, quaternions], 1).tolist()
    names = ["root", *segments]
    return [
        (f"/VMC/Ext/{'Bone' if index else 'Root'}/Pos", (name, *row))
        for index, (name, row) in enumerate(zip(names, numbers, strict=True))
    ]
