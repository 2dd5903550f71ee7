"""Panel with the camera image and its keypoints as skeletons."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from langpose_rt.geometry.skeleton import Skeleton
from langpose_rt.visualization import palette
from langpose_rt.visualization.canvas import Canvas
from langpose_rt.visualization.palette import Colour, mix
from langpose_rt.visualization.scene import Scene

_BACKDROP_SHARE = 0.5
_HALF_LIMB_PX = 2.1
_DOT_PX, _DOT_SCORE_PX = 2.2, 3.4


def draw_image_panel(canvas: Canvas, scene: Scene) -> None:
    """Draw the keypoints, and the camera image where there is one, over the whole canvas.

    The canvas has the shape of the camera's image. A keypoint is the larger and brighter the higher
    its score; one with score 0, or with a number that is not finite, is missing.

    """
    if scene.backdrop is not None:
        _draw_backdrop(canvas, scene.backdrop)
    colours = keypoint_colours(scene.skeleton)
    for person in scene.people:
        if person.keypoints_px is not None:
            at = person.keypoints_px.astype(np.float64)
            at[:, :2] *= np.array([canvas.width_px, canvas.height_px]) / scene.size_px
            _draw_keypoints(canvas, at, scene.skeleton.edges, colours)


def keypoint_colours(skeleton: Skeleton) -> list[Colour]:
    """Return the colour of every keypoint of a format, by the side of the body."""
    colours = [palette.TRUNK] * len(skeleton.joints)
    for left, right in skeleton.pairs:
        colours[left], colours[right] = palette.LEFT, palette.RIGHT
    return colours


def _draw_backdrop(canvas: Canvas, backdrop: UInt8[np.ndarray, "height width 3"]) -> None:
    """Draw the camera image, dimmed, and darker at the top where the panel's title goes."""
    size = (canvas.pixels.shape[1], canvas.pixels.shape[0])
    canvas.pixels[:] = cv2.resize(backdrop, size, interpolation=cv2.INTER_AREA)
    fall = np.linspace(0, 1, canvas.pixels.shape[0])[:, None]
    share = 1 - _BACKDROP_SHARE * np.clip(0.15 + 6 * fall, 0, 1)
    canvas.blend(np.broadcast_to(share, canvas.pixels.shape[:2]), palette.PAGE)


def _draw_keypoints(
    canvas: Canvas,
    keypoints: Float[np.ndarray, "keypoint 3"],
    edges: tuple[tuple[int, int], ...],
    colours: list[Colour],
) -> None:
    """Draw one person whose keypoints are in pixels of the canvas."""
    at, score = keypoints[:, :2], np.clip(keypoints[:, 2], 0, 1)
    seen = np.isfinite(keypoints).all(-1) & (keypoints[:, 2] > 0)
    for start, end in edges:
        if seen[start] and seen[end]:
            colour = colours[start] if colours[end] == palette.TRUNK else colours[end]
            alpha = 0.25 + 0.65 * float(min(score[start], score[end]))
            canvas.capsule(at[[start, end]], (_HALF_LIMB_PX, _HALF_LIMB_PX), colour, alpha=alpha)
    for joint in np.flatnonzero(seen).tolist():
        radius_px = _DOT_PX + _DOT_SCORE_PX * float(score[joint])
        pale = 0.65 * (1 - float(score[joint]))
        canvas.disc(at[joint], radius_px + 1.4, palette.SHADOW, alpha=0.9)
        canvas.disc(at[joint], radius_px, mix(colours[joint], palette.PAGE, pale))
