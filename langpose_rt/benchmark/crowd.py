"""Synthetic crowd: one real clip, played at a different time and place for every person."""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from langpose_rt.config import NS_PER_S
from langpose_rt.formats.clip import DEMO_CLIP, Clip
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.level_axes import CAMERA_DOWN, level_from_camera
from langpose_rt.pipeline.offline import rig_camera_of_clip
from langpose_rt.protocol.frames import empty_frame, frame_with_people
from langpose_rt.protocol.messages import KeypointMessage

_MOMENTS_APART = 7
_CLIP_DISTANCE_M = 2.7
"""From the camera of the demo clip to its person, level, whose joints are taken to be at one."""
_FRONT_M = 5.0
"""Least distance of the front row: the picture of a level camera holds a whole body."""
_APART_M = 1.3
"""From one place to the next: as far as the arms reach."""


class Crowd:
    """Endless frames of tracked people, from the detections of the demo clip.

    They stand on one floor before a level camera, in as many rows as there are people in a row; the
    more there are the further away, so that the picture holds them all.

    Args:
        persons: People in every frame.
        rate_hz: Frame rate of the capture times.
        first_ns: Capture time of frame 0.

    Attributes:
        clip: One person of the crowd, seen by the level camera.
    """

    def __init__(self, persons: int, *, rate_hz: float, first_ns: int) -> None:
        self.clip: Clip = _seen_level(read_clip(DEMO_CLIP))
        self._ids = np.arange(persons)
        self._moves_m = _moves_m(persons, self.clip)
        self._step_ns = NS_PER_S / rate_hz
        self._first_ns = first_ns

    def keypoints(self, frame: int) -> Float[np.ndarray, "person joint 3"]:
        """Return the keypoints [person, joint, 3] of one frame; the clip plays forward and back."""
        frames = len(self.clip.t_ns)
        moments = (frame + _MOMENTS_APART * self._ids) % (2 * frames - 2)
        people = self.clip.keypoints[np.minimum(moments, 2 * frames - 2 - moments), 0].copy()
        focal, centre = _pinhole(self.clip)
        seen = people[..., 2] > 0
        at_m = _CLIP_DISTANCE_M * (people[..., :2] - centre) / focal
        at_m[..., 0] += self._moves_m[:, None, 0]
        depth_m = _CLIP_DISTANCE_M + self._moves_m[:, None, 1:]
        people[seen, :2] = (centre + focal * at_m / depth_m)[seen]
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


def _moves_m(persons: int, clip: Clip) -> Float[np.ndarray, "person 2"]:
    """Return how far everybody stands to the right of the clip's person, and further away."""
    columns = max(math.ceil(math.sqrt(persons)), 1)
    row, column = np.divmod(np.arange(persons), columns)
    half_width = clip.size[0] / 2 / _pinhole(clip)[0][0]
    front_m = max(_FRONT_M, columns * _APART_M / 2 / half_width)
    right_m = _APART_M * (column - (columns - 1) / 2)
    return np.stack([right_m, front_m + _APART_M * row - _CLIP_DISTANCE_M], -1)


def _seen_level(clip: Clip) -> Clip:
    """Return the clip as a level camera at the same place would see it."""
    assert clip.gravity is not None
    x, y, z = clip.gravity.tolist()
    turn = level_from_camera(None).T @ level_from_camera((x, y, z))
    focal, centre = _pinhole(clip)
    keypoints = clip.keypoints.copy()
    rays = np.ones(keypoints.shape)
    rays[..., :2] = (keypoints[..., :2] - centre) / focal
    rays @= turn.T
    seen = keypoints[..., 2] > 0
    keypoints[seen, :2] = (centre + focal * rays[..., :2] / rays[..., 2:])[seen]
    return replace(clip, keypoints=keypoints, gravity=np.array(CAMERA_DOWN))


def _pinhole(clip: Clip) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """Return focal lengths and principal point of the clip's camera, without its distortion."""
    lens = clip.intrinsics
    assert lens is not None
    return np.array([lens.fx_px, lens.fy_px]), np.array([lens.cx_px, lens.cy_px])
