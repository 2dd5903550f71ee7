"""Picture of a capture volume: what every camera saw, beside the fused people on the floor."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from langpose_rt.formats.clip import Clip
from langpose_rt.visualization import palette
from langpose_rt.visualization.canvas import Canvas
from langpose_rt.visualization.image_panel import draw_image_panel
from langpose_rt.visualization.picture import HEIGHT_PX, WIDTH_PX, save_picture
from langpose_rt.visualization.scene import Person, Scene
from langpose_rt.visualization.stage import floor_below
from langpose_rt.visualization.world_panel import Side, World, draw_world_panel

LEVEL_FROM_WORLD = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""World axes with z up to level axes: x right, y down, z away."""

_MARGIN, _GAP, _TOP, _HIGH = 36.0, 12.0, 88.0, 690.0
_COLUMNS, _WIDEST = 2, 320.0


@dataclass(frozen=True, kw_only=True, eq=False)
class FusedScene:
    """One instant of a capture volume.

    Attributes:
        clips: By camera name.
        frames: Frame of each clip at that instant.
        joints_world: Fused people, z up, metres; NaN where unknown.
        sigma_m: Standard deviation of every joint.
        tracks_world: Earlier joints of each person, the current ones last.
        title: Title of the picture.
        facts: Results, name to short value.
        notes: Footnotes.
    """

    clips: Mapping[str, Clip]
    frames: Mapping[str, int]
    joints_world: Float[np.ndarray, "person 17 3"]
    sigma_m: Float[np.ndarray, "person 17"]
    tracks_world: tuple[np.ndarray, ...]
    title: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def save_fused_picture(path: Path, scene: FusedScene) -> None:
    """Draw an instant and save the picture.

    Raises:
        ConfigError: If the file cannot be written.
    """
    save_picture(path, draw_fused(scene))


def draw_fused(scene: FusedScene) -> UInt8[np.ndarray, "height width 3"]:
    """Draw the cameras' views in two columns, and the people in world axes beside them.

    Returns:
        A new image, blue green red, WIDTH_PX by HEIGHT_PX.
    """
    page = Canvas.blank(WIDTH_PX, HEIGHT_PX, palette.PAGE)
    page.text(scene.title, (_MARGIN, 56.0), 28.0, palette.INK, weight=600)
    rows = -(-len(scene.clips) // _COLUMNS)
    high = (_HIGH - _GAP * (rows - 1)) / rows
    shapes = [clip.size[0] / clip.size[1] for clip in scene.clips.values()]
    wide = min(high * max(shapes), _WIDEST)
    for place, (name, clip) in enumerate(scene.clips.items()):
        row, column = divmod(place, _COLUMNS)
        left, top = _MARGIN + column * (wide + _GAP), _TOP + row * (high + _GAP)
        _draw_view(page.part(left, top, wide, high), name, clip, scene.frames[name])
    left = _MARGIN + _COLUMNS * (wide + _GAP)
    panel = page.part(left, _TOP, WIDTH_PX - _MARGIN - left, _HIGH)
    panel.fill(palette.PANEL)
    world = world_of(scene)
    side = Side(name="fused", azimuth_deg=-35.0, axis=0, label="in")
    draw_world_panel(panel, world, side)
    panel.text(side.heading(world), (20.0, 35.0), 19.0, palette.INK, weight=600)
    panel.round_corners(14.0, palette.PAGE)
    _draw_caption(page, scene)
    return page.image()


def world_of(scene: FusedScene) -> World:
    """Return the people in level axes, on a floor below their lowest foot."""
    turn = LEVEL_FROM_WORLD.T
    people = tuple(joints @ turn for joints in scene.joints_world)
    tracks = tuple(np.asarray(track @ turn) for track in scene.tracks_world)
    joints = np.concatenate([*(p for p in people), np.empty((0, 3))])
    known = joints[np.isfinite(joints).all(-1)]
    covered = np.concatenate([known, *(track.reshape(-1, 3) for track in tracks)])
    covered = covered[np.isfinite(covered).all(-1)]
    if not len(known):
        known = covered = np.array([[-1.0, 0.0, -1.0], [1.0, 0.0, 1.0]])
    return World(
        people=people,
        sigmas_m=tuple(scene.sigma_m),
        truths=(),
        tracks=tracks,
        floor=floor_below(known, covered),
        origin="the world of the calibration",
    )


def _draw_view(panel: Canvas, name: str, clip: Clip, frame: int) -> None:
    """Draw what one camera saw, in the middle of its panel."""
    panel.fill(palette.PANEL)
    width, height = clip.size
    zoom = min(panel.width_px / width, panel.height_px / height)
    left, top = (panel.width_px - zoom * width) / 2, (panel.height_px - zoom * height) / 2
    people = tuple(
        Person(pose_camera=np.full((17, 3), np.nan), keypoints_px=one)
        for one in clip.keypoints[frame][clip.present[frame]]
    )
    view = Scene(people=people, size_px=clip.size, skeleton=clip.skeleton)
    draw_image_panel(panel.part(left, top, zoom * width, zoom * height), view)
    panel.text(name, (12.0, 24.0), 16.0, palette.INK, weight=600)
    panel.round_corners(10.0, palette.PAGE)


def _draw_caption(page: Canvas, scene: FusedScene) -> None:
    """Draw the facts from the left and the notes from the right."""
    left, top = _MARGIN, _TOP + _HIGH
    for name, value in scene.facts.items():
        width = page.text(value, (left, top + 54), 28.0, palette.INK, weight=600)
        left += max(width, page.text(name, (left, top + 80), 15.0, palette.MUTED)) + 40
    line = top + 66 - 10.5 * (len(scene.notes) - 1)
    for place, note in enumerate(scene.notes):
        page.text(note, (WIDTH_PX - _MARGIN, line + 21 * place), 14.0, palette.MUTED, align=1.0)
