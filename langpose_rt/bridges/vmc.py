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
from langpose_rt.geometry.skeleton import JOINTS, PAIRS
from langpose_rt.protocol.messages import PoseMessage

Message = tuple[str, tuple[str | int | float, ...]]
"""An OSC address and its arguments."""

UPRIGHT_FROM_LEVEL = {
    "camera": np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]),
    "world": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}
"""Rotation to upright from the level axes of a message's `frame`."""

ANKLE_HEIGHT_M = 0.08
_MIRRORED = [
    next((other for pair in PAIRS for one, other in (pair, pair[::-1]) if one == joint), joint)
    for joint in range(len(JOINTS))
]
"""For every joint the one on the other side of the body."""

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
    """Converter of pose messages to VMC messages; keeps the height of the floor.

    Args:
        mirror: Swap left and right, as in a mirror.
        recentre: Put everybody, when they come to drive the avatar, at the origin and facing
            forward, and let them walk and turn from there.
        floor_m: Height of the floor in level axes, such as 0 in a calibration's world; None puts it
            under the feet.
    """

    def __init__(
        self, *, mirror: bool = False, recentre: bool = False, floor_m: float | None = None
    ) -> None:
        self._mirror, self._recentre, self._fixed_floor_m = mirror, recentre, floor_m
        self._floor_m: float | None = None
        self._centre: tuple[int, np.ndarray, np.ndarray] | None = None

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
        if self._recentre:
            pose = self._recentred(pose, int(message.ids[person]))
        if self._mirror:
            pose = pose[_MIRRORED] * [-1.0, 1.0, 1.0]
        floor_m = self._fixed_floor_m
        return found + _bones(pose, self._floor_below(pose) if floor_m is None else floor_m)

    def _recentred(self, pose: Float[np.ndarray, "17 3"], number: int) -> Float[np.ndarray, "17 3"]:
        """Return the pose relative to where its person first drove the avatar, facing forward."""
        if self._centre is None or self._centre[0] != number:
            left = pose[JOINTS.index("LHip")] - pose[JOINTS.index("RHip")]
            x, z = left[0], left[2]
            length = max(float(np.hypot(x, z)), 1e-6)
            turn = np.array([[x, 0, z], [0, length, 0], [-z, 0, x]]) / length
            self._centre = number, pose[0] * [1, 0, 1], turn
        _, origin, turn = self._centre
        return np.asarray((pose - origin) @ turn.T)

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
