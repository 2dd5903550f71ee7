"""One person as messages of the VMC protocol, for avatars in Unity, Unreal, Blender or VSeeFace.

Frames:
    pose: camera axes, x right, y down, z forward; or a calibration's world, z up.
    upright: x right, y up, z towards the viewer; right-handed. `segment_rotations` are read in it.
    unity: x right, y up, z forward; left-handed, as VMC wants it: upright with x mirrored. A person
        who faces the camera looks along +z.

Every bone has the rotation in its parent's axes and the offset from its parent as it was measured,
so that a receiver who applies both has every joint where the pose has it.

Source: VMC protocol, marionette specification (protocol.vmc.info).
"""

import numpy as np
from jaxtyping import Float

from langpose_rt.geometry.segment_rotations import SEGMENTS, local_rotations, segment_rotations
from langpose_rt.geometry.skeleton import JOINTS
from langpose_rt.protocol.messages import PoseMessage

Message = tuple[str, tuple[str | int | float, ...]]
"""An OSC address and its arguments."""

UPRIGHT = {
    "camera": np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]]),
    "world": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}
"""Rotation from the axes of a message's `frame` to upright."""

ANKLE_HEIGHT_M = 0.08
_FLOOR_RISES = 0.01
"""Share of the way to lifted feet that the floor rises in a frame; it sinks at once."""

_BONES = (
    # name, parent, joint it begins at, segment it turns with
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
    """Turns pose messages into VMC messages; remembers where the floor is."""

    def __init__(self) -> None:
        self._floor_m: float | None = None

    def messages(self, message: PoseMessage, person: int | None, time_s: float) -> list[Message]:
        """What a marionette is told of one frame.

        Args:
            message: Everybody in the frame.
            person: Which of them is the avatar; None for nobody.
            time_s: Of the sender, from wherever.
        """
        found: list[Message] = [
            ("/VMC/Ext/OK", (1, 3, 0, int(person is not None))),  # loaded, calibrated, normal
            ("/VMC/Ext/T", (time_s,)),
        ]
        if person is None:
            return found
        root = 0.0 if message.root is None else message.root[person]
        pose = np.asarray(message.poses[person, :, :3], np.float64) + root
        pose = pose @ UPRIGHT[message.frame].T
        floor_m = self._floor_below(pose)
        return found + _bones(pose, floor_m)

    def _floor_below(self, pose: Float[np.ndarray, "17 3"]) -> float:
        """Height of the floor in upright axes: just below the lowest ankle of late."""
        lowest = float(pose[[JOINTS.index("LAnkle"), JOINTS.index("RAnkle")], 1].min())
        lowest -= ANKLE_HEIGHT_M
        known = lowest if self._floor_m is None else self._floor_m
        self._floor_m = min(lowest, known + _FLOOR_RISES * (lowest - known))
        return self._floor_m


def _bones(pose: Float[np.ndarray, "17 3"], floor_m: float) -> list[Message]:
    """Root and bones of a pose in upright axes, mirrored into Unity's."""
    from scipy.spatial.transform import Rotation

    rotations = segment_rotations(pose)
    turned = dict(zip(SEGMENTS, rotations, strict=True))
    local = dict(zip(SEGMENTS, local_rotations(rotations), strict=True))
    at = dict(zip(JOINTS, pose, strict=True))
    ground = np.array([at["Hip"][0], floor_m, at["Hip"][2]])
    nothing = np.eye(3)
    segments = {name: segment for name, _, _, segment in _BONES}
    joints = {name: joint for name, _, joint, _ in _BONES}
    offsets, turns = [ground * [1, 0, 1]], [nothing]
    for _, parent, joint, segment in _BONES:
        if parent is None:
            offsets.append(at[joint] - ground)
            turns.append(local[segment])
        else:
            offsets.append(turned[segments[parent]].T @ (at[joint] - at[joints[parent]]))
            turns.append(nothing if segments[parent] == segment else local[segment])
    mirrored = np.array(offsets) * [-1, 1, 1]
    quaternions = Rotation.from_matrix(np.array(turns)).as_quat() * [1, -1, -1, 1]
    numbers = np.concatenate([mirrored, quaternions], 1).tolist()
    names = ["root", *segments]
    return [
        (f"/VMC/Ext/{'Bone' if index else 'Root'}/Pos", (name, *row))
        for index, (name, row) in enumerate(zip(names, numbers, strict=True))
    ]
