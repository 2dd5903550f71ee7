"""Floor of a 3D panel: its position, grid, labels and the shadows on it."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from langpose_rt.geometry.skeleton import BONES
from langpose_rt.visualization import palette
from langpose_rt.visualization.canvas import SUPERSAMPLING, Canvas, capsule_outline
from langpose_rt.visualization.observer import Observer
from langpose_rt.visualization.scene import is_drawable

SOLE_M = 0.06
"""Distance of the floor below the lowest joint: the height of an ankle."""

_STEPS_M = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_MOST_CELLS = 12
_ROOM_M = 0.9
_FADE_M = 1.4
_SEGMENTS = 4
_LIMB_SHADOW_M = 0.045
_SHADOW = 0.8
_SHADOW_LAYERS = ((-np.inf, 0.4, 0.015), (0.4, np.inf, 0.05))
_LABEL_PX, _LABEL_ROOM_PX = 13.0, 80.0
_LIGHT_SHRINK, _SHADOW_SHRINK = 8, 4


@dataclass(frozen=True, kw_only=True)
class Floor:
    """A level plane with a grid, lit around the people.

    Args:
        y_m: Its height in level axes (y down).
        low_m, high_m: Least and greatest (x, z) of the people.
        step_m: Distance between grid lines.
    """

    y_m: float
    low_m: tuple[float, float]
    high_m: tuple[float, float]
    step_m: float

    def points(
        self, x_m: Float[np.ndarray, "point"], z_m: Float[np.ndarray, "point"]
    ) -> Float[np.ndarray, "point 3"]:
        """Return points on the floor in level axes."""
        return np.stack([x_m, np.full(len(x_m), self.y_m), z_m], -1)

    def lines(self, axis: int) -> Float[np.ndarray, "line"]:
        """Return the positions of the grid lines across x (0) or z (1), within the lit area."""
        room = self.step_m * round((_ROOM_M + _FADE_M) / 0.5)
        first = np.ceil((self.low_m[axis] - room) / self.step_m)
        last = np.floor((self.high_m[axis] + room) / self.step_m)
        return np.arange(first, last + 1) * self.step_m

    def light(
        self, x_m: Float[np.ndarray, "*grid"], z_m: Float[np.ndarray, "*grid"]
    ) -> Float[np.ndarray, "*grid"]:
        """Return the brightness of the floor: 1 among the people, 0 far away."""
        scale = self.step_m / 0.5
        beyond_x = np.maximum(np.maximum(self.low_m[0] - x_m, x_m - self.high_m[0]), 0)
        beyond_z = np.maximum(np.maximum(self.low_m[1] - z_m, z_m - self.high_m[1]), 0)
        share = np.clip((_ROOM_M + _FADE_M) - np.hypot(beyond_x, beyond_z) / scale, 0, _FADE_M)
        smooth = share / _FADE_M
        return np.asarray(smooth * smooth * (3 - 2 * smooth))

    def front_m(self, axis: int, toward: float) -> float:
        """Return the first grid line beyond the people, on the side of the sign of `toward`."""
        bound = self.low_m[axis] if toward < 0 else self.high_m[axis]
        away = np.floor if toward < 0 else np.ceil
        return float(away(bound / self.step_m) * self.step_m)


def floor_below(
    joints_level: Float[np.ndarray, "point 3"], covered_level: Float[np.ndarray, "more 3"]
) -> Floor:
    """Return the floor under the lowest of the joints, as wide as the covered points."""
    low, high = covered_level.min(0), covered_level.max(0)
    span = max(high[0] - low[0], high[2] - low[2])
    step = next((step for step in _STEPS_M if span / step <= _MOST_CELLS), _STEPS_M[-1])
    return Floor(
        y_m=float(joints_level[:, 1].max()) + SOLE_M,
        low_m=(float(low[0]), float(low[2])),
        high_m=(float(high[0]), float(high[2])),
        step_m=step,
    )


def draw_floor(canvas: Canvas, view: Observer, floor: Floor) -> None:
    """Draw the lit plane and its grid; whole metres are brighter than halves."""
    _light_plane(canvas, view, floor)
    mask = canvas.mask()
    for whole, strength in ((False, 0.4), (True, 0.85)):
        for axis in (0, 1):
            along = floor.lines(1 - axis)
            fine = np.linspace(along[0], along[-1], (len(along) - 1) * _SEGMENTS + 1)
            for value in floor.lines(axis):
                if _is_whole(value / max(1.0, floor.step_m)) == whole:
                    same = np.full(len(fine), value)
                    x, z = (same, fine) if axis == 0 else (fine, same)
                    path = view.pixels(floor.points(x, z))
                    canvas.trace(mask, path, strength * floor.light(x, z))
    canvas.blend(mask / 255.0, palette.GRID)


def draw_shadow(
    canvas: Canvas, view: Observer, floor: Floor, joints_level: Float[np.ndarray, "17 3"]
) -> None:
    """Darken the floor vertically below the bones; the higher a bone, the softer."""
    if not is_drawable(joints_level).any():
        return
    depth = float(np.nanmean(view.depth_m(joints_level)))
    darkest = canvas.mask() / 255.0
    for above_m, below_m, blur_m in _SHADOW_LAYERS:
        layer = canvas.mask()
        for bone in BONES:
            ends = joints_level[list(bone)]
            if above_m <= floor.y_m - float(ends[:, 1].mean()) < below_m:
                _darken(layer, view, ends * (1, 0, 1) + (0, floor.y_m, 0))
        blur_px = view.size_px(blur_m, depth) * SUPERSAMPLING
        darkest = np.maximum(darkest, _softened(layer, min(max(blur_px, 2.0), 60.0)) / 255.0)
    canvas.blend(_SHADOW * darkest, palette.SHADOW)


def draw_labels(canvas: Canvas, view: Observer, floor: Floor, axis: int) -> None:
    """Label the metres of x (0) or z (1) along the grid line in front of the people."""
    values = floor.lines(axis)
    other = 1 - axis
    front = np.full(len(values), floor.front_m(other, -view.rotation[2, 2 * other]))
    x, z = (values, front) if axis == 0 else (front, values)
    points = floor.points(x, z)
    at_px, depth_m = view.pixels(points), float(np.median(view.depth_m(points)))
    crowded = view.size_px(floor.step_m, depth_m) < _LABEL_ROOM_PX
    for value, at, light in zip(values, at_px, floor.light(x, z), strict=True):
        if crowded and not _is_whole(value / (2 * floor.step_m)):
            continue
        inside = 20 <= at[0] <= canvas.width_px - 20 and at[1] <= canvas.height_px - 24
        if light > 0.5 and inside:
            text = f"{value:g} m".replace("-", "\N{MINUS SIGN}")
            sign = at + np.array([(-14.0, 15.0), (14.0, 15.0)])
            canvas.capsule(sign, (9.0, 9.0), palette.FLOOR)
            canvas.text(text, (at[0], at[1] + 19.5), _LABEL_PX, palette.MUTED, align=0.5)


def _light_plane(canvas: Canvas, view: Observer, floor: Floor) -> None:
    """Blend in the colour of the floor at every pixel whose ray meets it, by its brightness."""
    rows, columns = (max(side // _LIGHT_SHRINK, 2) for side in canvas.pixels.shape[:2])
    across = (np.arange(columns) + 0.5) / columns * canvas.width_px - view.centre_px[0]
    down = (np.arange(rows) + 0.5) / rows * canvas.height_px - view.centre_px[1]
    x, y = np.meshgrid(across / view.focal_px, down / view.focal_px)
    sight = np.stack([x, y, np.ones_like(x)], -1) @ view.rotation
    reach = (floor.y_m - view.eye_level[1]) / np.maximum(sight[..., 1], 1e-6)
    at = view.eye_level + sight * reach[..., None]
    share = np.where(sight[..., 1] > 1e-6, floor.light(at[..., 0], at[..., 2]), 0.0)
    size = canvas.pixels.shape[1::-1]
    smooth = cv2.resize(share.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    canvas.blend(smooth, palette.FLOOR)


def _softened(
    layer: UInt8[np.ndarray, "height width"], blur_px: float
) -> UInt8[np.ndarray, "height width"]:
    """Return a blurred copy, computed at a lower resolution."""
    size = (layer.shape[1], layer.shape[0])
    small = (max(size[0] // _SHADOW_SHRINK, 1), max(size[1] // _SHADOW_SHRINK, 1))
    shrunk = cv2.resize(layer, small, interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(shrunk, (0, 0), blur_px / _SHADOW_SHRINK)
    return np.asarray(cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _is_whole(value: float) -> bool:
    return bool(abs(value - round(value)) < 1e-6)


def _darken(
    layer: UInt8[np.ndarray, "height width"],
    view: Observer,
    ends_floor: Float[np.ndarray, "2 3"],
) -> None:
    ends_px = view.pixels(ends_floor)
    if not np.isfinite(ends_px).all():
        return
    first, second = (view.size_px(_LIMB_SHADOW_M, float(d)) for d in view.depth_m(ends_floor))
    outline = np.clip(capsule_outline(ends_px, (first, second)) * SUPERSAMPLING, -16000, 16000)
    cv2.fillConvexPoly(layer, np.rint(outline).astype(np.int32), (255,))
