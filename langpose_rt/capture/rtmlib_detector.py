"""rtmlib (RTMPose) detector: everybody in the image, 17, 26 or 133 keypoints.

rtmlib downloads its own models, which have licences of their own.
"""

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from langpose_rt.capture.detector import INSTALL, Device, Kind, Mode, Picture
from langpose_rt.errors import ConfigError, LangPoseError

if TYPE_CHECKING:
    from types import ModuleType

_SOLUTIONS: dict[Kind, tuple[str, str]] = {
    "body": ("Body", "coco17"),
    "feet": ("BodyWithFeet", "halpe26"),
    "whole": ("Wholebody", "coco133"),
}
"""Class of rtmlib and its keypoint format."""


class RtmlibDetector:
    """RTMPose pose model of rtmlib behind its person detector.

    Args:
        solution: An rtmlib `Body`, `BodyWithFeet` or `Wholebody`: anything with a `det_model` that
            returns boxes and a `pose_model` that returns keypoints [P, K, 2] and scores [P, K].
        skeleton: Keypoint format of the solution.
        joints: Number of keypoints of that format.
    """

    def __init__(self, solution: Any, skeleton: str, joints: int) -> None:
        self._solution = solution
        self._joints = joints
        self.skeleton = skeleton

    def __call__(self, picture: Picture) -> Float[np.ndarray, "person joint 3"]:
        """Return the keypoints of all people in the image; see `Detector`."""
        boxes = self._solution.det_model(picture)
        if len(boxes) == 0:  # without boxes rtmlib treats the whole image as a person
            return np.empty((0, self._joints, 3), np.float32)
        keypoints, scores = self._solution.pose_model(picture, bboxes=boxes)
        found = np.concatenate([keypoints, np.asarray(scores)[..., None]], -1)
        return np.asarray(found, np.float32)


def open_rtmlib(
    kind: Kind = "body", mode: Mode = "balanced", device: Device = "cpu"
) -> RtmlibDetector:
    """Open an rtmlib detector; the first call downloads its models.

    Raises:
        ConfigError: If rtmlib is not installed.
        LangPoseError: If its models cannot be downloaded or opened.
    """
    from langpose_rt.geometry.skeleton import skeleton_named

    name, skeleton = _SOLUTIONS[kind]
    rtmlib = _rtmlib()
    try:
        with contextlib.redirect_stdout(sys.stderr):  # rtmlib prints the files it loads
            solution = getattr(rtmlib, name)(mode=mode, backend="onnxruntime", device=device)
    except OSError as error:  # URLError is a subclass
        reason = getattr(error, "reason", None) or error.strerror or error
        raise LangPoseError(
            f"rtmlib could not download its {mode} {kind} models: {reason}; run the same command "
            "once with a connection to the internet, or copy its cache, ~/.cache/rtmlib, here"
        ) from None
    except Exception as error:  # noqa: BLE001 - onnxruntime raises many types
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LangPoseError(
            f"rtmlib could not open its {mode} {kind} models on {device}: {reason}; delete "
            "~/.cache/rtmlib to download them again, or choose --device cpu"
        ) from None
    return RtmlibDetector(solution, skeleton, len(skeleton_named(skeleton).joints))


def _rtmlib() -> "ModuleType":
    try:
        import rtmlib
    except ImportError as error:
        raise ConfigError(
            f"finding people in pictures needs rtmlib, which cannot be imported ({error}); "
            f"install it with '{INSTALL['rtmlib']}'"
        ) from None
    return rtmlib  # type: ignore[no-any-return]
