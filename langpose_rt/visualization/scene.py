"""Scene: the data of a picture, people of one moment in 2D and 3D with title, facts and notes.

This module holds the data; `picture.py` lays it out, `image_panel.py` and `world_panel.py` draw it.

"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, UInt8

from langpose_rt.config import NUM_JOINTS
from langpose_rt.geometry.skeleton import SKELETONS, Skeleton

REACH_M = 3.0
"""A joint farther than this from the hip is an outlier; it is not drawn."""

FARTHEST_M = 200.0
"""People farther than this from the camera are not drawn."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """A person of a scene, in camera axes (x right, y down, z forward) and metres.

    Args:
        pose_camera: The 17 joints relative to the hip; NaN where a joint is missing.
        root_camera: Position of the hip; None where it is unknown, which is drawn at the origin.
        sigma_m: Standard deviation of every joint; None or NaN draws none.
        keypoints_px: x, y and score in the format of the scene; a score of 0 is missing.
        truth_camera: Ground truth joints, relative to any origin: drawn with its hip at this one's,
            so that the picture shows the root-relative error.
        past_camera: Joints of earlier frames, hip position included, oldest first.
    """

    pose_camera: Float[np.ndarray, "17 3"]
    root_camera: Float[np.ndarray, "3"] | None = None
    sigma_m: Float[np.ndarray, "17"] | None = None
    keypoints_px: Float[np.ndarray, "keypoint 3"] | None = None
    truth_camera: Float[np.ndarray, "17 3"] | None = None
    past_camera: Float[np.ndarray, "frame 17 3"] | None = None

    @property
    def joints_camera(self) -> Float[np.ndarray, "17 3"]:
        """Joint positions; NaN for those that cannot be drawn."""
        return np.asarray(_within(self.pose_camera, REACH_M) + self._root())

    @property
    def truth_in_place(self) -> Float[np.ndarray, "17 3"]:
        """Ground truth joints with aligned hips; all NaN without ground truth."""
        if self.truth_camera is None:
            return np.full((NUM_JOINTS, 3), np.nan)
        truth = _within(self.truth_camera, FARTHEST_M)
        return np.asarray(_within(truth - truth[0], REACH_M) + self.joints_camera[0])

    @property
    def track_camera(self) -> Float[np.ndarray, "frame 17 3"]:
        """Joint positions over time, the current ones last."""
        now = self.joints_camera[None]
        if self.past_camera is None:
            return now
        root = self._root()
        past = _within(_within(self.past_camera, FARTHEST_M) - root, REACH_M) + root
        return np.concatenate([past, now])

    def _root(self) -> Float[np.ndarray, "3"]:
        return np.zeros(3) if self.root_camera is None else _within(self.root_camera, FARTHEST_M)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A frame of one camera, ready to be drawn.

    Args:
        people: The people in view.
        size_px: Width and height of the image the keypoints were found in.
        skeleton: Format of the keypoints.
        gravity_camera: Direction of down in camera axes; None where the camera is level.
        backdrop: The camera's image, blue green red; None for an empty frame.
        title: Title of the picture.
        facts: Results: name to short value, such as "latency p99" to "4.1 ms".
        notes: Footnotes, up to four lines: model, data, licences.
    """

    people: tuple[Person, ...]
    size_px: tuple[int, int]
    skeleton: Skeleton = SKELETONS["h36m17"]
    gravity_camera: Float[np.ndarray, "3"] | None = None
    backdrop: UInt8[np.ndarray, "height width 3"] | None = None
    title: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def is_drawable(joints: Float[np.ndarray, "*batch 3"]) -> Bool[np.ndarray, "*batch"]:
    """Return a mask of the joints that are finite."""
    return np.asarray(np.isfinite(joints).all(-1))


def _within(joints: Float[np.ndarray, "*batch 3"], reach_m: float) -> Float[np.ndarray, "*batch 3"]:
    """Return the joints in float64, NaN where one is farther out than the reach along any axis."""
    near = (np.abs(joints) <= reach_m).all(-1)
    return np.where(near[..., None], joints, np.nan).astype(np.float64)
