"""Output of a capture volume at one instant: fused people and events."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, UInt32

from langpose_rt.fusion.joint_layout import JointLayout

EventKind = Literal[
    "camera_moved", "camera_settled", "camera_asleep", "camera_awake", "no_agreement"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeEvent:
    """Something a person should know.

    Attributes:
        kind: What happened.
        t_ns: When.
        camera: To which camera; empty for the whole volume.
        detail: A sentence with the numbers.
    """

    kind: EventKind
    t_ns: int
    camera: str
    detail: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FusedFrame:
    """All people in a capture volume at one instant, in world axes and metres.

    Attributes:
        t_ns: The instant.
        layout: Which joint is which.
        ids: Numbers of the people.
        joints: NaN where unknown.
        covariance_m2: Of every joint; infinite on the diagonal where unknown.
        views: Bit mask of the cameras every joint rests on; bit 0 is the first camera.
        residual_px: Root mean square distance of every joint from its views; NaN without one.
        measured: Joints from rays alone, as they are this instant: neither smoothed nor held to
            bone lengths; NaN where fewer than two cameras agree. None unless asked for.
        velocity: Of every joint, metres a second.
        lengths_m: Bone lengths so far.
        cameras: Which cameras saw each person.
        held_ns: How long ago any camera saw each person; 0 for now.
        awake: Which cameras had a picture.
    """

    t_ns: int
    layout: JointLayout
    ids: Int[np.ndarray, " person"]
    joints: Float[np.ndarray, "person joint 3"]
    covariance_m2: Float[np.ndarray, "person joint 3 3"]
    views: UInt32[np.ndarray, "person joint"]
    residual_px: Float[np.ndarray, "person joint"]
    measured: Float[np.ndarray, "person joint 3"] | None
    velocity: Float[np.ndarray, "person joint 3"]
    lengths_m: Float[np.ndarray, "person 16"]
    cameras: Bool[np.ndarray, "person camera"]
    held_ns: Int[np.ndarray, " person"]
    awake: Bool[np.ndarray, " camera"]

    @property
    def joints17(self) -> Float[np.ndarray, "person 17 3"]:
        """The 17 joints of everybody."""
        return self.joints[:, self.layout.h36m]

    @property
    def sigma17_m(self) -> Float[np.ndarray, "person 17"]:
        """Standard deviation of the 17 joints, the mean over the three axes."""
        own = self.covariance_m2[:, self.layout.h36m]
        return np.asarray(np.sqrt(np.trace(own, axis1=-2, axis2=-1) / 3))
