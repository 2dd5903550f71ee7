"""One person as a stream of the Lab Streaming Layer: names, units, and time on its clock.

A sample is the 17 joints of one person, absolute in the axes of the message, in metres, each with
the standard deviation the model predicts. A frame without the person is no sample.
"""

import numpy as np
from jaxtyping import Float32

from langpose_rt.config import NS_PER_S
from langpose_rt.geometry.skeleton import JOINTS
from langpose_rt.protocol.messages import PoseMessage

CHANNELS = tuple(f"{joint}_{column}" for joint in JOINTS for column in ("X", "Y", "Z", "sigma"))
"""Labels of the 68 channels, in their order."""

UNIT = "m"


def sample_of_person(message: PoseMessage, person: int) -> Float32[np.ndarray, "68"]:
    """The channels of one person; relative to the hip where its place is not known."""
    joints = message.poses[person].copy()
    if message.root is not None:
        joints[:, :3] += message.root[person]
    return np.asarray(joints.reshape(-1))


def lsl_time_s(captured_ns: int, *, now_ns: int, now_lsl_s: float) -> float:
    """When a frame was captured, on the clock of LSL.

    Args:
        captured_ns: Capture time in unix nanoseconds, such as `t_srv` of a message.
        now_ns, now_lsl_s: The two clocks read together. The server's unix clock counts: where it
            is another machine, the two should be synchronised.
    """
    return now_lsl_s - (now_ns - captured_ns) / NS_PER_S
