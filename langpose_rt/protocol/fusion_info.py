"""Entry `fused` of a pose message: the cameras of a capture volume, and what joints rest on.

The arrays beside it are in `poses.py`.
"""

import msgspec
import numpy as np
from jaxtyping import Bool, UInt32

from langpose_rt.protocol.header import UInt


class FusionInfo(msgspec.Struct, frozen=True):
    """Facts of one instant of a capture volume.

    Bit n of every mask stands for the n-th of `cameras`.
    """

    cameras: tuple[str, ...]
    """Names of the volume's cameras."""
    live: UInt
    """Mask of the cameras that had a picture of this instant."""
    fmt: str
    """Keypoint format of the array `keypoints`."""
    wait_ns: UInt = 0
    """From the arrival of the frame that set the instant until it was fused."""

    def cameras_in(
        self, views: UInt32[np.ndarray, "person joint"]
    ) -> Bool[np.ndarray, "person joint camera"]:
        """Return which cameras each joint rests on, from the masks of a pose message."""
        bits = np.arange(len(self.cameras), dtype=np.uint32)
        return np.asarray((views[..., None] >> bits) & 1, bool)

    @property
    def live_cameras(self) -> tuple[str, ...]:
        """Names of the cameras that had a picture of this instant."""
        return tuple(name for bit, name in enumerate(self.cameras) if self.live >> bit & 1)
