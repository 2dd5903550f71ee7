"""Writer for BVH motion files (Blender and other animation programs).

    axes    y up, level where gravity is known, else as a level camera would be; a person facing the
            camera faces +z, with +x to their left. Blender's defaults (forward -Z, up Y) then make
            z up and the person face -y
    origin  the camera, so that people stand below 0 where it is higher than their feet; the
            world's for poses in world axes, and the floor of a calibration is at 0
    units   cm (import into Blender with a scale of 0.01)
    bones   of fixed length: the median of each over the recording
    rest    a T-pose; joints start where the bone starts, and the zero-length joints (LowerBack,
            Neck, collars, hip joints) turn bones that leave one joint in several directions
    missing BVH has no missing frames: the last pose is repeated

Twist rule. Positions give the direction of a bone, not its twist. The twist of the pelvis comes
from the line of the hips, that of the upper trunk from the line of the shoulders; every other bone
takes the shortest arc from the direction it has without a rotation of its own: no twist relative to
its parent. That is continuous except where a bone points exactly opposite to its rest direction in
its parent's axes, which no healthy joint does from a T-pose.

Source: the format as in Meredith and Maddock, "Motion Capture File Formats Explained", 2001;
channels Zrotation Xrotation Yrotation, applied as R = Rz Rx Ry.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial.transform import Rotation

from langpose_rt.formats.track import Motion, in_axes
from langpose_rt.formats.trc import text_to_file
from langpose_rt.geometry.skeleton import BONES, JOINTS, bone_lengths

Y_UP_FROM_Z_UP = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
"""x to the left of the person, y up, z forward."""

_CM = 100.0
_LEFT, _RIGHT, _UP, _DOWN = (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0)


@dataclass(frozen=True)
class _Bone:
    """A joint of the file: start and end joint, parent and direction in the T-pose."""

    name: str
    parent: int
    start: int
    end: int
    rest: tuple[int, int, int]


def _bone(name: str, parent: int, start: str, end: str, rest: tuple[int, int, int]) -> _Bone:
    return _Bone(name, parent, JOINTS.index(start), JOINTS.index(end), rest)


_SKELETON = (
    _bone("Hips", -1, "Hip", "Hip", _UP),
    _bone("LowerBack", 0, "Hip", "Spine", _UP),
    _bone("Spine", 1, "Spine", "Thorax", _UP),
    _bone("Neck", 2, "Thorax", "Nose", _UP),
    _bone("Head", 3, "Nose", "Head", _UP),
    _bone("LeftCollar", 2, "Thorax", "LShoulder", _LEFT),
    _bone("LeftArm", 5, "LShoulder", "LElbow", _LEFT),
    _bone("LeftForeArm", 6, "LElbow", "LWrist", _LEFT),
    _bone("RightCollar", 2, "Thorax", "RShoulder", _RIGHT),
    _bone("RightArm", 8, "RShoulder", "RElbow", _RIGHT),
    _bone("RightForeArm", 9, "RElbow", "RWrist", _RIGHT),
    _bone("LeftHipJoint", 0, "Hip", "LHip", _LEFT),
    _bone("LeftUpLeg", 11, "LHip", "LKnee", _DOWN),
    _bone("LeftLeg", 12, "LKnee", "LAnkle", _DOWN),
    _bone("RightHipJoint", 0, "Hip", "RHip", _RIGHT),
    _bone("RightUpLeg", 14, "RHip", "RKnee", _DOWN),
    _bone("RightLeg", 15, "RKnee", "RAnkle", _DOWN),
)
"""Parents come before their children; the first is the root and has no direction."""

_HIPS, _SHOULDERS = ("LHip", "RHip"), ("LShoulder", "RShoulder")


def motion_to_bvh(path: Path, motion: Motion) -> None:
    """Write the motion of one person.

    Args:
        path: The file.
        motion: Motion of a person who is present in at least one frame.

    Raises:
        ConfigError: If the file cannot be written.
    """
    joints_cm = _CM * in_axes(motion, Y_UP_FROM_Z_UP).joints
    lengths_cm = np.zeros(len(JOINTS))
    lengths_cm[[joint for _, joint in BONES]] = np.median(
        bone_lengths(joints_cm[motion.present]), axis=0
    )
    filled = joints_cm[_last_present(motion.present)]
    channels = np.concatenate(
        [filled[:, :1], _angles_deg(_local_rotations(filled))], axis=1
    )  # position of the root, then three angles of every joint
    rows = ["HIERARCHY", *_hierarchy(0, lengths_cm, ""), "MOTION"]
    rows += [f"Frames: {len(filled)}", f"Frame Time: {1 / motion.rate_hz:.8f}"]
    rows += [" ".join(f"{n:.5f}" for n in frame) for frame in channels.reshape(len(filled), -1)]
    text_to_file(path, "\n".join(rows) + "\n")


def _last_present(present: Bool[np.ndarray, " frame"]) -> Int[np.ndarray, " frame"]:
    """Return for every frame the last one with the person; before that, the first one."""
    latest = np.maximum.accumulate(np.where(present, np.arange(len(present)), -1))
    return np.asarray(np.where(latest < 0, int(present.argmax()), latest))


def _hierarchy(index: int, lengths_cm: Float[np.ndarray, "17"], indent: str) -> list[str]:
    bone = _SKELETON[index]
    offset = np.zeros(3)
    if bone.parent >= 0 and bone.start == _SKELETON[bone.parent].end:
        parent = _SKELETON[bone.parent]
        offset = np.array(parent.rest) * lengths_cm[parent.end]
    place = "" if bone.parent >= 0 else "Xposition Yposition Zposition "
    channels = f"{3 if bone.parent >= 0 else 6} {place}Zrotation Xrotation Yrotation"
    rows = [
        f"{'JOINT' if indent else 'ROOT'} {bone.name}",
        "{",
        f"  OFFSET {_numbers(offset)}",
        f"  CHANNELS {channels}",
    ]
    children = [number for number, other in enumerate(_SKELETON) if other.parent == index]
    for child in children:
        rows += _hierarchy(child, lengths_cm, "  ")
    if not children:
        tip = _numbers(np.array(bone.rest) * lengths_cm[bone.end])
        rows += ["  End Site", "  {", f"    OFFSET {tip}", "  }"]
    return [indent + row for row in [*rows, "}"]]


def _numbers(vector: Float[np.ndarray, "3"]) -> str:
    return " ".join(f"{number:.5f}" for number in vector + 0.0)


def _local_rotations(joints: Float[np.ndarray, "frame 17 3"]) -> list[Rotation]:
    """Return the rotation of every joint of the file relative to its parent."""
    absolute: list[Rotation] = []
    local: list[Rotation] = []
    for bone in _SKELETON:
        if bone.parent < 0:
            up = joints[:, JOINTS.index("Spine")] - joints[:, bone.start]
            left = _line(joints, _HIPS)
            absolute.append(_frame(np.cross(np.cross(left, up), left), left))
            local.append(absolute[0])
            continue
        parent = absolute[bone.parent]
        direction = joints[:, bone.end] - joints[:, bone.start]
        if bone.name == "Spine":
            own = parent.inv() * _frame(direction, _line(joints, _SHOULDERS))
        else:
            own = _shortest_arc(np.array(bone.rest, np.float64), parent.inv().apply(direction))
        local.append(own)
        absolute.append(parent * own)
    return local


def _line(
    joints: Float[np.ndarray, "frame 17 3"], pair: tuple[str, str]
) -> Float[np.ndarray, "frame 3"]:
    left, right = (JOINTS.index(name) for name in pair)
    return np.asarray(joints[:, left] - joints[:, right])


def _frame(up: Float[np.ndarray, "frame 3"], left: Float[np.ndarray, "frame 3"]) -> Rotation:
    """Return the rotation whose y is exactly ``up`` and whose x is closest to ``left``."""
    y = _unit(up)
    z = _unit(np.cross(left, y))
    return Rotation.from_matrix(np.stack([np.cross(y, z), y, z], axis=-1))


def _shortest_arc(
    rest: Float[np.ndarray, "3"], direction: Float[np.ndarray, "frame 3"]
) -> Rotation:
    """Return the smallest rotation that takes ``rest`` to every direction."""
    to = _unit(direction)
    w = 1 + to @ rest
    opposite = w < 1e-9
    axis = np.where(opposite[:, None], np.roll(rest, 1), np.cross(rest, to))
    return Rotation.from_quat(np.concatenate([axis, np.where(opposite, 0.0, w)[:, None]], axis=1))


def _unit(vectors: Float[np.ndarray, "frame 3"]) -> Float[np.ndarray, "frame 3"]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12))


def _angles_deg(local: list[Rotation]) -> Float[np.ndarray, "frame joint 3"]:
    """Return angles about z, x and y, without jumps of whole turns."""
    angles = np.stack([rotation.as_euler("ZXY", degrees=True) for rotation in local], axis=1)
    return np.asarray(np.unwrap(angles, period=360.0, axis=0))
