"""MediaPipe pose detector: one person, 33 keypoints, with a model that comes in its wheel.

The "full" model (complexity 1) is the only one of the wheel; the others would be downloaded.
"""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from langpose_rt.capture.detector import INSTALL, Picture
from langpose_rt.errors import ConfigError, LangPoseError

_JOINTS = 33
_IN_WHEEL = 1
"""The model complexity whose file is in the wheel."""


class MediapipeDetector:
    """Pose model of MediaPipe, which follows one person from frame to frame.

    The score of a keypoint is its visibility. Keypoints outside the image are estimates; they keep
    their position.

    Raises:
        ConfigError: If MediaPipe cannot be imported.
        LangPoseError: If its model cannot be loaded.
    """

    skeleton = "blazepose33"

    def __init__(self) -> None:
        pose = _pose_module()
        try:
            with _quiet():
                self._pose: Any = pose.Pose(model_complexity=_IN_WHEEL)
        except Exception as error:  # noqa: BLE001 - its C++ raises many types
            raise LangPoseError(
                f"mediapipe could not load its model: {_first_line(error)}; install it again with "
                f"'{INSTALL['mediapipe']}'"
            ) from None

    def __call__(self, picture: Picture) -> Float[np.ndarray, "person joint 3"]:
        """Return the keypoints of the person, if there is one; see `Detector`."""
        with _quiet():
            found = self._pose.process(np.ascontiguousarray(picture[..., ::-1])).pose_landmarks
        if found is None:
            return np.empty((0, _JOINTS, 3), np.float32)
        height, width = picture.shape[:2]
        person = np.array([(at.x, at.y, at.visibility) for at in found.landmark], np.float32)
        return (person * np.array([width, height, 1], np.float32))[None]


def _pose_module() -> Any:
    os.environ.setdefault("GLOG_minloglevel", "2")  # read once, by its C++
    try:
        with _quiet():
            import mediapipe

            return mediapipe.solutions.pose
    except (ImportError, AttributeError) as error:  # later releases have no `solutions`
        raise ConfigError(
            f"finding people in pictures needs mediapipe 0.10.14, which cannot be used ({error}); "
            f"install it with '{INSTALL['mediapipe']}'"
        ) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings of MediaPipe's dependencies, and what it prints, from standard output."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        yield


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
