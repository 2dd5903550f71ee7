"""Video of a lifted clip: the camera's image with keypoints beside the 3D poses from two sides.

Floor, scale and viewpoints are those of the whole clip, so that only people move.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError
from langpose_rt.formats.clip import Clip
from langpose_rt.formats.lifted_npz import PoseSequence
from langpose_rt.visualization import palette
from langpose_rt.visualization.body import draw_body, draw_sigma
from langpose_rt.visualization.canvas import Canvas
from langpose_rt.visualization.image_panel import draw_image_panel
from langpose_rt.visualization.observer import Observer, level_from_camera
from langpose_rt.visualization.scene import Person, Scene, is_drawable
from langpose_rt.visualization.stage import draw_floor, draw_labels, draw_shadow, floor_below
from langpose_rt.visualization.world_panel import SIDES, Side, World, observer_of, world_from_scene

HEIGHT_PX = 720
WORLD_WIDTH_PX = 540

_WIDEST_IMAGE_PX = 1280
_COMMON_PERCENT = (2.0, 98.0)
"""People whose hip is outside of this range of all hips do not widen the view."""

_LOWEST_PERCENT = 98.0
"""The floor is below this share of the frames' lowest joints."""


def save_lifted_video(
    path: str | Path,
    pictures: Iterable[UInt8[np.ndarray, "height width 3"]],
    clip: Clip,
    lifted: PoseSequence,
    *,
    on_frame: Callable[[int], None] = lambda _: None,
) -> int:
    """Write the video and return its number of frames.

    Args:
        path: File to write, .mp4.
        pictures: The images of the clip, one per frame, blue green red.
        clip: Keypoints of the same frames.
        lifted: Poses of the same frames.
        on_frame: Called with the number of frames written.

    Raises:
        ConfigError: If nobody was lifted, or the file cannot be written.
    """
    panels = [_WorldPanel(side, clip, lifted) for side in SIDES]
    width = min(_WIDEST_IMAGE_PX, round(HEIGHT_PX * clip.size[0] / clip.size[1] / 2) * 2)
    size = (width + len(panels) * WORLD_WIDTH_PX, HEIGHT_PX)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate_hz(clip), size)
    if not writer.isOpened():
        raise ConfigError(f"{path} cannot be written as a video; name it .mp4 in another folder")
    frame = -1
    try:
        for frame, picture in zip(range(len(clip.t_ns)), pictures, strict=False):
            scene = scene_of_frame(clip, lifted, frame, picture)
            image = Canvas.blank(width, HEIGHT_PX, palette.WELL)
            draw_image_panel(image, scene)
            writer.write(np.hstack([image.image(), *(panel.draw(scene) for panel in panels)]))
            on_frame(frame + 1)
    finally:
        writer.release()
    return frame + 1


def rate_hz(clip: Clip) -> float:
    """Return the mean frame rate of a clip."""
    span_s = float(clip.t_ns[-1] - clip.t_ns[0]) / NS_PER_S
    return float(np.clip((len(clip.t_ns) - 1) / span_s, 1, 240)) if span_s > 0 else 30.0


def scene_of_frame(
    clip: Clip,
    lifted: PoseSequence,
    frame: int,
    picture: UInt8[np.ndarray, "height width 3"] | None,
) -> Scene:
    """Return one frame as a scene: all keypoints, and all poses."""
    seen = [
        Person(pose_camera=np.full((17, 3), np.nan), keypoints_px=keypoints)
        for keypoints in clip.keypoints[frame, clip.present[frame]]
    ]
    posed = [
        Person(
            pose_camera=lifted.pose[frame, column],
            root_camera=lifted.root[frame, column],
            sigma_m=lifted.sigma_m[frame, column],
        )
        for column in np.flatnonzero(lifted.ids[frame] >= 0).tolist()
    ]
    return Scene(
        people=(*seen, *posed),
        size_px=clip.size,
        skeleton=clip.skeleton,
        gravity_camera=_gravity(lifted),
        backdrop=picture,
    )


class _WorldPanel:
    """3D panel with a fixed floor and viewpoint, drawn once; people are drawn over a copy.

    Raises:
        ConfigError: If nobody was lifted.
    """

    def __init__(self, side: Side, clip: Clip, lifted: PoseSequence) -> None:
        world = _world_of_clip(clip, lifted)
        self._stage = Canvas.blank(WORLD_WIDTH_PX, HEIGHT_PX, palette.PANEL)
        size_px = (self._stage.width_px, self._stage.height_px)
        self._view: Observer = observer_of(world, side, size_px)
        self._floor = world.floor
        draw_floor(self._stage, self._view, world.floor)
        draw_labels(self._stage, self._view, world.floor, side.axis // 2)
        self._stage.text(side.heading(world), (20.0, 35.0), 16.0, palette.MUTED)

    def draw(self, scene: Scene) -> UInt8[np.ndarray, "height width 3"]:
        """Return the panel with the people of a scene."""
        canvas, view = Canvas(self._stage.pixels.copy()), self._view
        world = world_from_scene(scene)
        for joints in world.people:
            draw_shadow(canvas, view, self._floor, joints)
        for joints, sigma_m in zip(world.people, world.sigmas_m, strict=True):
            if sigma_m is not None:  # people of the image alone have no pose
                draw_body(canvas, view, joints)
                draw_sigma(canvas, view, joints, sigma_m)
        return canvas.image()


def _world_of_clip(clip: Clip, lifted: PoseSequence) -> World:
    """Return the world that fits all frames: its outline, and the floor below the feet."""
    posed = lifted.ids >= 0
    if not posed.any():
        raise ConfigError("nobody was lifted, so there is nothing to draw; is a person in view?")
    upright = level_from_camera(_gravity(lifted)).T
    joints = (lifted.pose[posed] + lifted.root[posed][:, None]).astype(np.float64) @ upright
    joints = joints[is_drawable(joints).all(-1)]
    usual = joints[_common(joints[:, 0])]
    lowest = usual[..., 1].max(-1)
    standing = usual[lowest <= np.percentile(lowest, _LOWEST_PERCENT)].reshape(-1, 3)
    empty = world_from_scene(Scene(people=(), size_px=clip.size))
    floor = floor_below(standing, usual.reshape(-1, 3))
    return replace(empty, tracks=(usual,), floor=floor, origin="the camera")


def _gravity(lifted: PoseSequence) -> Float[np.ndarray, "3"] | None:
    """Return the gravity of the poses, given or estimated; None where the camera is level."""
    return None if lifted.gravity is None else np.array(lifted.gravity)


def _common(hips: Float[np.ndarray, "pose 3"]) -> Bool[np.ndarray, " pose"]:
    """Return which hips are in the common range along every axis."""
    low, high = np.percentile(hips, _COMMON_PERCENT, axis=0)
    return np.asarray(((hips >= low - 1e-6) & (hips <= high + 1e-6)).all(-1))
