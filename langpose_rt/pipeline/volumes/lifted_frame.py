"""One lifted frame of a camera of a capture volume, copied from the lift side."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from langpose_rt.fusion.detections import MonocularLifts
from langpose_rt.pipeline.batch_lifter import LiftResult
from langpose_rt.pipeline.camera_stream import TrackedFrame
from langpose_rt.pipeline.frame_queue import Frame


@dataclass(frozen=True, slots=True, eq=False)
class LiftedFrame:
    """Frame with its monocular poses, in camera axes.

    Attributes:
        frame: The frame, with the keypoints of everybody in it.
        people: Place in the frame of everybody who was lifted.
        poses: X, Y, Z relative to the root and sigma, in metres.
        root: In metres.
    """

    frame: Frame
    people: list[int]
    poses: Float32[np.ndarray, "person 17 4"]
    root: Float32[np.ndarray, "person 3"]

    @property
    def stream(self) -> tuple[str, str]:
        """Rig and camera."""
        return self.frame.message.rig, self.frame.message.camera

    def lifts_in_world(self, T_world_camera: Float[np.ndarray, "4 4"]) -> MonocularLifts:
        """Return the monocular poses of everybody in the frame, in world axes.

        Args:
            T_world_camera: Where the camera stands.
        """
        lifts = MonocularLifts.missing(len(self.frame.message.keypoints))
        if self.people:
            R = T_world_camera[:3, :3]
            lifts.pose[self.people] = self.poses[..., :3] @ R.T
            lifts.sigma_m[self.people] = self.poses[..., 3]
            lifts.root[self.people] = self.root @ R.T + T_world_camera[:3, 3]
        return lifts


def lifted_frames(lifted: LiftResult) -> Iterator[tuple[TrackedFrame, slice]]:
    """Yield every frame of a lift with its rows."""
    starts = [0, *lifted.ends[:-1]]
    for tracked, start, end in zip(lifted.tracked_frames, starts, lifted.ends, strict=True):
        yield tracked, slice(start, end)


def lifted_frame(lifted: LiftResult, tracked: TrackedFrame, rows: slice) -> LiftedFrame:
    """Copy one frame out of a lift, whose arrays are changed afterwards.

    People who coast are not in the frame and have no place in it.
    """
    places = dict(zip(tracked.ids, tracked.people, strict=False))
    ids = lifted.people.id[rows].tolist()
    kept = [row for row, number in enumerate(ids) if number in places]
    return LiftedFrame(
        frame=tracked.frame,
        people=[places[ids[row]] for row in kept],
        poses=lifted.poses[rows][kept],
        root=lifted.root[rows][kept],
    )
