"""Lab Streaming Layer stream of one person: channel labels, units and time stamps.

A sample is the 17 joints of one person in level axes, absolute, in metres, each with the standard
deviation the model predicts. Level axes have z up: against gravity where it is known, else as for a
level camera. A person who faces the camera faces x. A frame without the person has no sample.
"""

import numpy as np
from jaxtyping import Float32

from langpose_rt.config import NS_PER_S
from langpose_rt.geometry.level_axes import level_from_pose
from langpose_rt.geometry.skeleton import JOINTS
from langpose_rt.protocol.messages import PoseMessage

CHANNELS = (
    *(f"{joint}_{column}" for joint in JOINTS for column in ("X", "Y", "Z", "sigma")),
    "person",
)
"""Labels of the 69 channels; the last one is the id of the person."""

UNIT = "m"
AXES = "z up; x from the scene to the camera; level where gravity is known"


def sample_of_person(message: PoseMessage, person: int) -> Float32[np.ndarray, "69"]:
    """Return the channels of one person; relative to the hip where its position is unknown."""
    joints = message.poses[person].copy()
    if message.root is not None:
        joints[:, :3] += message.root[person]
    joints[:, :3] = joints[:, :3] @ level_from_pose(message.frame, message.gravity).T
    number = np.float32(message.ids[person])  # exact up to 2^24
    return np.append(joints.reshape(-1), number)


def lsl_time_s(captured_ns: int, *, now_ns: int, now_lsl_s: float) -> float:
    """Convert a capture time to the clock of LSL.

    Args:
        captured_ns: Capture time in unix nanoseconds, such as `t_srv` of a message.
        now_ns, now_lsl_s: The two clocks, read together. Capture times use the server's unix
            clock: a server on another machine should be synchronised with this one.
    """
    return now_lsl_s - (now_ns - captured_ns) / NS_PER_S
