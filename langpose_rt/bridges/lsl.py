"""Lab Streaming Layer stream of one person: channel labels, units and time stamps.

A sample is the 17 joints of one person, absolute in the axes of the message, in metres, each with
the standard deviation the model predicts. A frame without the person has no sample.
"""

import numpy as np
from jaxtyping import Float32

from langpose_rt.config import NS_PER_S
from langpose_rt.geometry.skeleton import JOINTS
from langpose_rt.protocol.messages import PoseMessage

CHANNELS = tuple(f"{joint}_{column}" for joint in JOINTS for column in ("X", "Y", "Z", "sigma"))
"""Labels of the 68 channels."""

UNIT = "m"


def sample_of_person(message: PoseMessage, person: int) -> Float32[np.ndarray, "68"]:
    """Return the channels of one person; relative to the hip where its position is unknown."""
    joints = message.poses[person].copy()
    if message.root is not None:
        joints[:, :3] += message.root[person]
    return np.asarray(joints.reshape(-1))


def lsl_time_s(captured_ns: int, *, now_ns: int, now_lsl_s: float) -> float:
    """Convert a capture time to the clock of LSL.

    Args:
        captured_ns: Capture time in unix nanoseconds, such as `t_srv` of a message.
        now_ns, now_lsl_s: The two clocks, read together. Capture times use the server's unix
            clock: a server on another machine should be synchronised with this one.
    """
    return now_lsl_s - (now_ns - captured_ns) / NS_PER_S
