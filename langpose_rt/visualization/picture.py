"""Layout of a picture: 2D panel, two 3D panels, legend and caption; and saving it."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from langpose_rt.errors import ConfigError
from langpose_rt.visualization import palette
from langpose_rt.visualization.canvas import Canvas
from langpose_rt.visualization.image_panel import draw_image_panel
from langpose_rt.visualization.scene import Scene
from langpose_rt.visualization.world_panel import SIDES, draw_world_panel, world_from_scene

WIDTH_PX, HEIGHT_PX = 1800, 900

_MARGIN, _GAP = 36.0, 18.0
_TOP, _PANEL_HEIGHT = 88.0, 690.0
_NARROWEST_IMAGE, _WIDEST_IMAGE = 300.0, 620.0
_INSET, _HEADING, _CORNER = 20.0, 56.0, 14.0


def draw_scene(scene: Scene) -> UInt8[np.ndarray, "height width 3"]:
    """Draw a scene: the camera's view, and the same people in metres from two sides.

    Args:
        scene: The scene. Missing joints are left out; a scene without people shows the floor.

    Returns:
        A new image, blue green red, WIDTH_PX by HEIGHT_PX.
    """
    page = Canvas.blank(WIDTH_PX, HEIGHT_PX, palette.PAGE)
    page.text(scene.title, (_MARGIN, 56.0), 28.0, palette.INK, weight=600)
    _draw_legend(page, scene)
    shape = scene.size_px[0] / scene.size_px[1]
    image_width = float(np.clip(_PANEL_HEIGHT * shape, _NARROWEST_IMAGE, _WIDEST_IMAGE))
    _draw_image(page.part(_MARGIN, _TOP, image_width, _PANEL_HEIGHT), scene)
    world = world_from_scene(scene)
    width = (WIDTH_PX - 2 * _MARGIN - image_width) / len(SIDES) - _GAP
    for place, side in enumerate(SIDES):
        left = _MARGIN + image_width + _GAP + place * (width + _GAP)
        panel = page.part(left, _TOP, width, _PANEL_HEIGHT)
        panel.fill(palette.PANEL)
        draw_world_panel(panel, world, side)
        _finish_panel(panel, "3D", side.heading(world))
    _draw_caption(page, scene)
    return page.image()


def save_picture(path: str | Path, image: UInt8[np.ndarray, "height width 3"]) -> None:
    """Write an image in the format of its suffix, such as .png or .jpg.

    Raises:
        ConfigError: If there is no such format or the file cannot be written.
    """
    path = Path(path)
    try:
        encodable, encoded = cv2.imencode(path.suffix, image)
    except cv2.error:
        encodable = False
    if not encodable:
        raise ConfigError(f'picture "{path}" has no format that OpenCV writes; name it .png')
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise ConfigError(f'picture "{path}" cannot be written: {error.strerror}') from error


def _draw_image(panel: Canvas, scene: Scene) -> None:
    """Draw the 2D panel, letterboxed where the image has another shape than the panel."""
    panel.fill(palette.PANEL)
    width, height = scene.size_px
    frame = panel
    if abs(panel.width_px / panel.height_px - width / height) > 0.01:
        room, top = panel.width_px - 2 * _INSET, panel.height_px - _INSET - _HEADING
        zoom = min(room / width, top / height)
        left, top = (panel.width_px - zoom * width) / 2, (panel.height_px - zoom * height) / 2
        frame = panel.part(left, max(top, _HEADING), zoom * width, zoom * height)
        frame.fill(palette.EDGE)
        frame = frame.part(1.0, 1.0, frame.width_px - 2, frame.height_px - 2)
        frame.fill(palette.WELL)
    draw_image_panel(frame, scene)
    _finish_panel(panel, "2D", f"{width:g} \N{MULTIPLICATION SIGN} {height:g} px")


def _finish_panel(panel: Canvas, name: str, about: str) -> None:
    width = panel.text(name, (20.0, 35.0), 19.0, palette.INK, weight=600)
    panel.text(about, (29.0 + width, 35.0), 16.0, palette.MUTED)
    panel.round_corners(_CORNER, palette.PAGE)


def _draw_legend(page: Canvas, scene: Scene) -> None:
    """Draw the legend of the colours, from the right margin to the left."""
    right, middle = WIDTH_PX - _MARGIN, 48.5
    if any(person.truth_camera is not None for person in scene.people):
        right -= page.text("ground truth", (right, 54.0), 16.0, palette.MUTED, align=1.0) + 12
        page.stroke(np.array([(right - 22, middle), (right, middle)]), 2.4, palette.GROUND_TRUTH)
        right -= 46
    if any(person.sigma_m is not None for person in scene.people):
        right -= (
            page.text("uncertainty (1 sigma)", (right, 54.0), 16.0, palette.MUTED, align=1.0) + 18
        )
        page.disc(np.array([right, middle]), 8.0, palette.TRUNK, alpha=0.2)
        page.ring(np.array([right, middle]), 8.0, 1.2, palette.TRUNK, alpha=0.7)
        right -= 32
    for name, colour in (("right", palette.RIGHT), ("left", palette.LEFT)):
        right -= page.text(name, (right, 54.0), 16.0, palette.MUTED, align=1.0) + 16
        page.disc(np.array([right, middle]), 6.0, colour)
        right -= 30


def _draw_caption(page: Canvas, scene: Scene) -> None:
    """Draw the facts from the left and the notes from the right."""
    left, top = _MARGIN, _TOP + _PANEL_HEIGHT
    for name, value in scene.facts.items():
        width = page.text(value, (left, top + 54), 28.0, palette.INK, weight=600)
        left += max(width, page.text(name, (left, top + 80), 15.0, palette.MUTED)) + 40
    line = top + 66 - 10.5 * (len(scene.notes) - 1)
    for place, note in enumerate(scene.notes):
        page.text(note, (WIDTH_PX - _MARGIN, line + 21 * place), 14.0, palette.MUTED, align=1.0)
