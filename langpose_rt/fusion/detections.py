"""People of one camera or of all of them at one time, as arrays; only data lives here."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MonocularLifts:
    """Monocular lifts of one camera's people; NaN for people that were not lifted.

    Attributes:
        pose: Joints relative to the hip in world axes, metres.
        sigma_m: Standard deviation of every joint.
        root: The hip in world axes, metres.
    """

    pose: Float[np.ndarray, "person 17 3"]
    sigma_m: Float[np.ndarray, "person 17"]
    root: Float[np.ndarray, "person 3"]

    @classmethod
    def missing(cls, people: int) -> "MonocularLifts":
        """Say that nobody was lifted."""
        return cls(
            pose=np.full((people, 17, 3), np.nan),
            sigma_m=np.full((people, 17), np.nan),
            root=np.full((people, 3), np.nan),
        )

    def take(self, people: Int[np.ndarray, " chosen"]) -> "MonocularLifts":
        """Select people by index."""
        return MonocularLifts(
            pose=self.pose[people], sigma_m=self.sigma_m[people], root=self.root[people]
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CameraFrame:
    """All people that one camera saw in one frame.

    Attributes:
        t_ns: Capture time on the volume's clock.
        track: Number of each person within this camera, kept from frame to frame.
        rays: x/z and y/z of every joint, without distortion; 0 where missing.
        scores: Trust in every joint; 0 is missing.
        lifts: Monocular poses.
    """

    t_ns: int
    track: Int[np.ndarray, " person"]
    rays: Float[np.ndarray, "person joint 2"]
    scores: Float[np.ndarray, "person joint"]
    lifts: MonocularLifts


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Detections:
    """All people that any camera saw at one instant, one camera after the other.

    Attributes:
        camera: Camera of each detection.
        track: Its number within that camera.
        rays: x/z and y/z of every joint, without distortion; 0 where missing.
        scores: Trust in every joint; 0 is missing.
        lifts: Monocular poses.
    """

    camera: Int[np.ndarray, " detection"]
    track: Int[np.ndarray, " detection"]
    rays: Float[np.ndarray, "detection joint 2"]
    scores: Float[np.ndarray, "detection joint"]
    lifts: MonocularLifts

    def __len__(self) -> int:
        """Count the detections."""
        return len(self.camera)

    @classmethod
    def of_frames(cls, frames: dict[int, CameraFrame], joints: int) -> "Detections":
        """Join the frames of several cameras, given by camera index, in that order."""
        if not frames:
            return cls(
                camera=np.empty(0, np.intp),
                track=np.empty(0, np.int64),
                rays=np.empty((0, joints, 2)),
                scores=np.empty((0, joints)),
                lifts=MonocularLifts.missing(0),
            )
        found = list(frames.values())
        lifts = [frame.lifts for frame in found]
        return cls(
            camera=np.repeat(list(frames), [len(frame.track) for frame in found]),
            track=np.concatenate([frame.track for frame in found]),
            rays=np.concatenate([frame.rays for frame in found]),
            scores=np.concatenate([frame.scores for frame in found]),
            lifts=MonocularLifts(
                pose=np.concatenate([own.pose for own in lifts]),
                sigma_m=np.concatenate([own.sigma_m for own in lifts]),
                root=np.concatenate([own.root for own in lifts]),
            ),
        )
