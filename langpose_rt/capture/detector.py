"""People in a picture: what a detector is, and rtmlib as one.

Everything else of a rig knows only `Detector`. rtmlib is imported when it is asked for; its models
are its own to download, and their licences the user's to read.
"""

import contextlib
import sys
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from langpose_rt.errors import ConfigError, LangPoseError

if TYPE_CHECKING:
    from types import ModuleType

Kind = Literal["body", "feet", "whole"]
Mode = Literal["lightweight", "balanced", "performance"]
Device = Literal["cpu", "cuda", "mps"]
Picture = UInt8[np.ndarray, "height width 3"]
"""An image as OpenCV has it: blue, green, red."""

_SOLUTIONS: dict[Kind, tuple[str, str]] = {
    "body": ("Body", "coco17"),
    "feet": ("BodyWithFeet", "halpe26"),
    "whole": ("Wholebody", "coco133"),
}
"""Class of rtmlib and the keypoint format it answers in."""


@runtime_checkable
class Detector(Protocol):
    """Finds the keypoints of everybody in a picture."""

    @property
    def skeleton(self) -> str:
        """Name of the keypoint format."""

    def __call__(self, picture: Picture) -> Float[np.ndarray, "person joint 3"]:
        """Give x and y in pixels and the score of every joint of every person; none is legal."""


class RtmlibDetector:
    """RTMPose of rtmlib behind its person detector.

    Args:
        solution: An rtmlib `Body`, `BodyWithFeet` or `Wholebody`: anything with a `det_model` that
            finds boxes and a `pose_model` that answers keypoints [P, K, 2] and scores [P, K].
        skeleton: The keypoint format it answers in.
        joints: How many keypoints that format has.
    """

    def __init__(self, solution: Any, skeleton: str, joints: int) -> None:
        self._solution = solution
        self._joints = joints
        self.skeleton = skeleton

    def __call__(self, picture: Picture) -> Float[np.ndarray, "person joint 3"]:
        """See `Detector`."""
        boxes = self._solution.det_model(picture)
        if len(boxes) == 0:  # rtmlib would take the whole picture for a person
            return np.empty((0, self._joints, 3), np.float32)
        keypoints, scores = self._solution.pose_model(picture, bboxes=boxes)
        found = np.concatenate([keypoints, np.asarray(scores)[..., None]], -1)
        return np.asarray(found, np.float32)


def open_detector(
    kind: Kind = "body", mode: Mode = "balanced", device: Device = "cpu"
) -> RtmlibDetector:
    """An rtmlib detector; downloads its models the first time.

    Raises:
        ConfigError: If rtmlib is not installed.
        LangPoseError: If its models cannot be had or opened.
    """
    from langpose_rt.geometry.skeleton import skeleton_named

    name, skeleton = _SOLUTIONS[kind]
    rtmlib = _rtmlib()
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it prints what it loads
            solution = getattr(rtmlib, name)(mode=mode, backend="onnxruntime", device=device)
    except OSError as error:  # URLError is one
        reason = getattr(error, "reason", None) or error.strerror or error
        raise LangPoseError(
            f"rtmlib could not download its {mode} {kind} models: {reason}; run the same command "
            "once with a connection to the internet, or copy its cache, ~/.cache/rtmlib, here"
        ) from None
    except Exception as error:  # noqa: BLE001 - onnxruntime names damage in many ways
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LangPoseError(
            f"rtmlib could not open its {mode} {kind} models on {device}: {said}; delete "
            "~/.cache/rtmlib to download them again, or choose --device cpu"
        ) from None
    return RtmlibDetector(solution, skeleton, len(skeleton_named(skeleton).joints))


def _rtmlib() -> "ModuleType":
    try:
        import rtmlib
    except ImportError as error:
        raise ConfigError(
            f"finding people in pictures needs rtmlib, which cannot be imported ({error}); "
            "install it with 'pip install \"langpose-rt[rig]\"'"
        ) from None
    return rtmlib  # type: ignore[no-any-return]
