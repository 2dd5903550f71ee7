"""Table of keypoint formats; `skeleton.py` turns it into skeletons.

A new format is about ten lines: its joints in the order the rig sends them, and how the trunk of
the 17 Human3.6M joints comes from them. What follows from the names is derived:

    pairs   `left_x` and `right_x` swap when the image is mirrored
    limbs   `left_knee` is LKnee, `right_wrist` is RWrist, and so on
    edges   every line of BODY_EDGES whose two ends the format has; `edges` adds the format's own

Lower-case names are the format's joints, capitalised ones are Human3.6M joints of the same
format, so that `{"Hip": 0.52, "Thorax": 0.48}` is a point on the line between the two wherever
they come from.

Definition of the trunk joints in the training poses, and how they are approximated here:

    Hip     midpoint of the hip joints; the format's mid-hip, else the midpoint of its hips
    Thorax  base of the neck; the format's neck, else the midpoint of its shoulders
    Spine   48 % of the way from Hip to Thorax
    Head    crown; the format's head top, else on the line from the shoulders through the ears
    Nose    midpoint of Thorax and Head, 5 cm forward. That is not the tip of the nose, which is
            10 cm forward at the same height: the midpoint of the two is used
"""

from typing import NamedTuple

Weights = dict[str, float]


class Format(NamedTuple):
    """Row of the table: a keypoint format as rigs send it."""

    joints: str
    trunk: dict[str, Weights]
    edges: str = ""


BODY_EDGES = """
    nose-left_eye nose-right_eye left_eye-left_ear right_eye-right_ear neck-nose neck-head
    left_shoulder-left_elbow left_elbow-left_wrist right_shoulder-right_elbow
    right_elbow-right_wrist left_hip-left_knee left_knee-left_ankle right_hip-right_knee
    right_knee-right_ankle left_ankle-left_heel right_ankle-right_heel left_ankle-left_big_toe
    right_ankle-right_big_toe left_big_toe-left_small_toe right_big_toe-right_small_toe
    neck-left_shoulder neck-right_shoulder neck-mid_hip mid_hip-left_hip mid_hip-right_hip
"""
TRUNK_EDGES = """
    left_shoulder-right_shoulder left_hip-right_hip left_shoulder-left_hip right_shoulder-right_hip
    left_ear-left_shoulder right_ear-right_shoulder
"""
STAND_INS = {"left_ear": "right_ear", "right_ear": "left_ear"}
"""A missing ear takes the position of the other one: it is hidden when the head is in profile."""

ARMS_AND_LEGS = """
    left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist
    left_hip right_hip left_knee right_knee left_ankle right_ankle
"""
COCO = f"nose left_eye right_eye left_ear right_ear {ARMS_AND_LEGS}"
FEET = "left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel"
OPENPOSE_ARMS = "right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist"
OPENPOSE_LEGS = "right_hip right_knee right_ankle left_hip left_knee left_ankle"
OPENPOSE_FACE = "right_eye left_eye right_ear left_ear"

# Source of the numbers: ours, from the triangulated 3D of the Pose2Sim balancing trial, where the
# head's top lies 0.78 to 0.86 of the way from shoulders to ears beyond the ears, and the tip of the
# nose 9 to 10 cm before the line from neck to head, at 52 to 57 % of its length.
SHOULDERS_AND_EARS: dict[str, Weights] = {
    "Hip": {"left_hip": 0.5, "right_hip": 0.5},
    "Thorax": {"left_shoulder": 0.5, "right_shoulder": 0.5},
    "Spine": {"Hip": 0.52, "Thorax": 0.48},
    "Head": {"left_ear": 0.9, "right_ear": 0.9, "left_shoulder": -0.4, "right_shoulder": -0.4},
    "Nose": {"nose": 0.5, "Thorax": 0.25, "Head": 0.25},
}
WITH_NECK: dict[str, Weights] = {"Thorax": {"neck": 1.0}}
WITH_HEAD: dict[str, Weights] = {"Head": {"head": 1.0}}
WITH_MID_HIP: dict[str, Weights] = {"Hip": {"mid_hip": 1.0}}

FACE_SIDES = (
    "0:16 1:15 2:14 3:13 4:12 5:11 6:10 7:9 17:26 18:25 19:24 20:23 21:22 31:35 32:34 36:45 37:44 "
    "38:43 39:42 40:47 41:46 48:54 49:53 50:52 58:56 59:55 60:64 61:63 67:65"
)
"""Of the 68 face points, those on the person's right, each with its mirror on the left."""


def _face68() -> str:
    names = [f"face_{point}" for point in range(68)]
    for pair in FACE_SIDES.split():
        right, left = map(int, pair.split(":"))
        names[right], names[left] = f"right_face_{right}", f"left_face_{right}"
    return " ".join(names)


def _hand(side: str) -> str:
    return " ".join(f"{side}_hand_{point}" for point in range(21))


def _fingers(side: str) -> str:
    """Return a hand without its wrist, which is the body's own."""
    return " ".join(f"{side}_hand_{point}" for point in range(1, 21))


TABLE: dict[str, Format] = {
    "coco17": Format(COCO, SHOULDERS_AND_EARS, TRUNK_EDGES),
    "halpe26": Format(
        f"{COCO} head neck mid_hip left_big_toe right_big_toe left_small_toe right_small_toe"
        " left_heel right_heel",
        SHOULDERS_AND_EARS | WITH_NECK | WITH_HEAD | WITH_MID_HIP,
    ),
    "halpe136": Format(
        f"{COCO} head neck mid_hip left_big_toe right_big_toe left_small_toe right_small_toe"
        f" left_heel right_heel {_face68()} {_hand('left')} {_hand('right')}",
        SHOULDERS_AND_EARS | WITH_NECK | WITH_HEAD | WITH_MID_HIP,
        "left_wrist-left_hand_0 right_wrist-right_hand_0",
    ),
    "body25": Format(
        f"nose neck {OPENPOSE_ARMS} mid_hip {OPENPOSE_LEGS} {OPENPOSE_FACE} {FEET}",
        SHOULDERS_AND_EARS | WITH_NECK | WITH_MID_HIP,
    ),
    "body25b": Format(
        f"{COCO} neck head {FEET}",
        SHOULDERS_AND_EARS | WITH_NECK | WITH_HEAD,
        "left_shoulder-left_hip right_shoulder-right_hip left_hip-right_hip",
    ),
    "body135": Format(
        f"{COCO} neck head {FEET} {_fingers('left')} {_fingers('right')} {_face68()}"
        " right_pupil left_pupil",
        SHOULDERS_AND_EARS | WITH_NECK | WITH_HEAD,
        "left_shoulder-left_hip right_shoulder-right_hip left_hip-right_hip",
    ),
    "openpose18": Format(
        f"nose neck {OPENPOSE_ARMS} {OPENPOSE_LEGS} {OPENPOSE_FACE}",
        SHOULDERS_AND_EARS | WITH_NECK,
        "neck-left_hip neck-right_hip",
    ),
    "coco133": Format(
        f"{COCO} {FEET} {_face68()} {_hand('left')} {_hand('right')}",
        SHOULDERS_AND_EARS,
        f"{TRUNK_EDGES} left_wrist-left_hand_0 right_wrist-right_hand_0",
    ),
    "blazepose33": Format(
        "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer"
        f" left_ear right_ear left_mouth right_mouth {' '.join(ARMS_AND_LEGS.split()[:6])}"
        " left_pinky right_pinky left_index right_index left_thumb right_thumb"
        f" {' '.join(ARMS_AND_LEGS.split()[6:])}"
        " left_heel right_heel left_foot_index right_foot_index",
        SHOULDERS_AND_EARS,
        f"{TRUNK_EDGES} left_ankle-left_foot_index right_ankle-right_foot_index"
        " left_wrist-left_index right_wrist-right_index",
    ),
}

USUAL = {17: "coco17", 18: "openpose18", 25: "body25", 26: "halpe26", 33: "blazepose33"} | {
    133: "coco133",
    135: "body135",
    136: "halpe136",
}
"""Default format for a number of keypoints, where the sender names none."""
