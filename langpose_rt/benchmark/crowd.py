"""Synthetic crowd: one real clip, played at a different time and place for every person."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from langpose_rt.config import NS_PER_S
from langpose_rt.formats.clip import DEMO_CLIP, Clip
from langpose_rt.formats.readers import read_clip
from langpose_rt.pipeline.offline import rig_camera_of_clip
from langpose_rt.protocol.frames import empty_frame, frame_with_people
from langpose_rt.protocol.messages import KeypointMessage

_MOMENTS_APART = 7
_PX_APART = 9.0


class Crowd:
    """Endless frames of tracked people, from the detections of the demo clip.

    Args:
        persons: People in every frame.
        rate_hz: Frame rate of the capture times.
        first_ns: Capture time of frame 0.
    """

    def __init__(self, persons: int, *, rate_hz: float, first_ns: int) -> None:
        self.clip: Clip = read_clip(DEMO_CLIP)
        self._ids = np.arange(persons)
        self._step_ns = NS_PER_S / rate_hz
        self._first_ns = first_ns

    def keypoints(self, frame: int) -> Float[np.ndarray, "person joint 3"]:
        """Return the keypoints [person, joint, 3] of one frame; the clip plays forward and back."""
        frames = len(self.clip.t_ns)
        moments = (frame + _MOMENTS_APART * self._ids) % (2 * frames - 2)
        people = self.clip.keypoints[np.minimum(moments, 2 * frames - 2 - moments), 0].copy()
        people[..., 0] += np.where(people[..., 2] > 0, _PX_APART * self._ids[:, None], 0)
        return np.asarray(people)

    def t_ns(self, frame: int) -> int:
        """Return the capture time of one frame."""
        return self._first_ns + round(frame * self._step_ns)

    def messages(self, frames: int) -> Iterator[KeypointMessage]:
        """Iterate over the first frames as keypoint messages of a rig."""
        empty = empty_frame(
            "bench",
            "cam0",
            epoch=1,
            skeleton=self.clip.skeleton.name,
            size=self.clip.size,
            intrinsics=rig_camera_of_clip(self.clip),
        )
        for frame in range(frames):
            people, t_ns = self.keypoints(frame), self.t_ns(frame)
            yield frame_with_people(empty, people, self._ids, seq=frame, t_ns=t_ns)
