"""Clip: the keypoints of one camera over time, with optional calibration and 3D ground truth.

The file formats are in `clip_npz.py` and `openpose_json.py`; `readers.py` chooses between them.

"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from langpose_rt.config import NUM_JOINTS
from langpose_rt.errors import ConfigError
from langpose_rt.geometry.camera import Intrinsics
from langpose_rt.geometry.skeleton import Skeleton

DEMO_CLIP = Path(__file__).parents[1] / "assets" / "demo" / "pose2sim_balancing_cam01.npz"
"""The clip that ships with the package; its licence and README are in the same folder."""

FUSION_DEMO = DEMO_CLIP.parents[1] / "fusion_demo"
"""Folder of the clips of four cameras, and their calibration, that ship with the package."""

Size = tuple[int, int]
"""Width and height of an image, pixels."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipOverrides:
    """Values that override or complete what a clip file says; None leaves it to the file.

    Raises:
        ConfigError: If the frame rate or the image size is impossible.
    """

    skeleton: Skeleton | None = None
    size: Size | None = None
    fps: float | int | None = None
    intrinsics: Intrinsics | None = None
    gravity: Float[np.ndarray, "3"] | None = None

    def __post_init__(self) -> None:
        if self.size is not None:
            check_size(self.size, "options")
        if self.fps is not None:
            check_fps(self.fps, "options")


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """Keypoints of the people one camera saw, frame by frame.

    Args:
        keypoints: x, y in pixels and score; a missing keypoint, or person, is all 0.
        skeleton: The format of the keypoints.
        size: Width and height of the image.
        t_ns: Capture time of every frame; strictly rising.
        ids: Person id of every column; -1 where it is not known, or no person is there.
        intrinsics: The lens, if the file knows it.
        gravity: Unit vector that points down, in camera axes, if the file knows it.
        person_height_m: Stature of the people, if the file knows it.
        bones_m: Length of every bone of `skeleton.BONES` of the person of every column, if the file
            knows those of anybody; a row with a NaN is unknown.
        pose3d: True joints of the person in column 0: metres, camera axes, absolute or relative to
            the root; NaN where unknown.
        valid: Frames of pose3d that count; None for all.
        valid_joints: Joints of every frame of pose3d that count; None for all.
        joints: Indices of the joints of pose3d that count; None for all.
        format_guessed: Nobody named the format: it is the usual one of its number of keypoints.
        notes: What is odd about the clip, one sentence each, for the person who uses it.
        names: Names of people by their number in `ids`, where a tracker gave texts.
    """

    keypoints: Float[np.ndarray, "frame person keypoint 3"]
    skeleton: Skeleton
    size: Size
    t_ns: Int[np.ndarray, " frame"]
    ids: Int[np.ndarray, "frame person"]
    intrinsics: Intrinsics | None = None
    gravity: Float[np.ndarray, "3"] | None = None
    person_height_m: float | None = None
    bones_m: Float[np.ndarray, "person 16"] | None = None
    pose3d: Float[np.ndarray, "frame 17 3"] | None = None
    valid: Bool[np.ndarray, " frame"] | None = None
    valid_joints: Bool[np.ndarray, "frame 17"] | None = None
    joints: tuple[int, ...] | None = None
    format_guessed: bool = False
    notes: tuple[str, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)

    @property
    def present(self) -> Bool[np.ndarray, "frame person"]:
        """Persons with at least one keypoint, per frame."""
        return np.asarray((self.keypoints[..., 2] > 0).any(-1))

    @property
    def counted(self) -> Bool[np.ndarray, "frame 17"]:
        """Joints of pose3d that count, per frame, by valid, valid_joints and joints."""
        counts = np.zeros((len(self.t_ns), NUM_JOINTS), bool)
        counts[:, slice(None) if self.joints is None else list(self.joints)] = True
        if self.valid is not None:
            counts &= self.valid[:, None]
        if self.valid_joints is not None:
            counts &= self.valid_joints
        return counts


def keypoints_normalised(
    keypoints: Float[np.ndarray, "*batch 3"],
) -> Float[np.ndarray, "*batch 3"]:
    """Return a float32 copy in which a missing keypoint is all 0.

    A keypoint is missing if its score is not above 0, a number is not finite, or it lies exactly at
    (0, 0): detectors of the YOLO family put keypoints there, with a score, that they did not find.
    """
    with np.errstate(over="ignore"):
        copied = keypoints.astype(np.float32)
    seen = np.isfinite(copied).all(-1) & (copied[..., 2] > 0) & (copied[..., :2] != 0).any(-1)
    return np.where(seen[..., None], copied, np.float32(0))


def times_from_fps(
    frames: Int[np.ndarray, " frame"], fps: float | int
) -> Int[np.ndarray, " frame"]:
    """Return the capture times of frames with those numbers, in ns from the first one on."""
    return np.asarray(np.rint((frames - frames[:1]) * (1e9 / fps)), np.int64)


def check_fps(fps: float | int, where: str) -> float:
    """Return the frame rate if it is valid.

    Raises:
        ConfigError: If it is not from 1 to 1000 frames per second.
    """
    if not 1.0 <= fps <= 1000.0:
        raise ConfigError(f"{where}: found {fps:g} frames per second; expected 1 to 1000")
    return float(fps)


def check_size(size: Size, where: str) -> Size:
    """Return the image size if it is valid.

    Raises:
        ConfigError: If a side is not from 1 to 100000 pixels.
    """
    if not 1 <= min(size) <= max(size) <= 100_000:
        raise ConfigError(f"{where}: found an image of {size[0]} x {size[1]}; expected pixels")
    return size


def size_from_text(text: str) -> Size:
    """Parse an image size such as "1920x1080".

    Raises:
        ConfigError: If the text is not a size.
    """
    width, _, height = text.lower().partition("x")
    try:
        size = int(width), int(height)
    except ValueError:
        raise ConfigError(f"--size is {text!r}; expected WIDTHxHEIGHT such as 1920x1080") from None
    return check_size(size, "--size")
