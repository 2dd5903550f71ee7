"""Detector interface, and how to install the detectors that implement it.

The other modules of a rig only use `Detector`. Detectors are programs of others; each is imported
when it is opened, by the module named after it.
"""

from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

Kind = Literal["body", "feet", "whole"]
Mode = Literal["lightweight", "balanced", "performance"]
Device = Literal["cpu", "cuda", "mps"]
Picture = UInt8[np.ndarray, "height width 3"]
"""An image as in OpenCV: blue, green, red."""

INSTALL = {
    "rtmlib": 'pip install ".[rig]" && pip install --no-deps rtmlib',
    "mediapipe": 'pip install ".[rig-mediapipe]" && pip install --no-deps mediapipe==0.10.14',
}
"""How to install each detector: without its own OpenCV, which would replace the one in use."""


@runtime_checkable
class Detector(Protocol):
    """Detector of people: an image in, keypoints out."""

    @property
    def skeleton(self) -> str:
        """Name of the keypoint format."""

    def __call__(self, picture: Picture) -> Float[np.ndarray, "person joint 3"]:
        """Return x and y in pixels and the score of every joint of every person; may be empty."""
