"""A rig from above: where its cameras stand, what they look at, and where somebody walked."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, UInt8

from langpose_rt.geometry.camera import Camera
from langpose_rt.visualization import palette
from langpose_rt.visualization.canvas import Canvas

SIDE_PX = 900

_MARGIN_PX = 110.0
_LOOK_M = 1.2
_TURN = np.array([[1.0, 0.0], [0.0, -1.0]])
"""World x to the right, y up the page."""


def draw_plan(
    cameras: Mapping[str, Camera],
    residual_px: Mapping[str, float],
    path_world: Float[np.ndarray, "time 3"],
) -> UInt8[np.ndarray, "height width 3"]:
    """Draw cameras with names and residuals, and a way on the floor; a grid line a metre.

    Args:
        cameras: Placed cameras, z up, metres.
        residual_px: Of every camera.
        path_world: Where the hip of the walker was; NaN breaks the line.

    Returns:
        A new image, blue green red, SIDE_PX by SIDE_PX.
    """
    page = Canvas.blank(SIDE_PX, SIDE_PX, palette.PANEL)
    poses = {n: c.T_world_camera for n, c in cameras.items() if c.T_world_camera is not None}
    known = path_world[np.isfinite(path_world).all(-1), :2]
    points = np.concatenate([*[T[None, :2, 3] for T in poses.values()], known])
    middle = 0.5 * (points.min(0) + points.max(0))
    zoom = (SIDE_PX - 2 * _MARGIN_PX) / max(float(np.ptp(points, axis=0).max()), 1.0)

    def place(xy: Float[np.ndarray, "*n 2"]) -> Float[np.ndarray, "*n 2"]:
        return np.asarray(((xy - middle) * zoom) @ _TURN + SIDE_PX / 2)

    _draw_grid(page, place, middle, SIDE_PX / zoom)
    if len(known) > 1:
        page.stroke(place(known), 3.0, palette.GROUND_TRUTH, alpha=0.8)
    for name, T in poses.items():
        lens = cameras[name].intrinsics
        half = 0.5 * float(lens.width_px) / float(lens.fx_px)
        corners = np.array([[-half, 0, 1], [half, 0, 1]]) * _LOOK_M
        fan = np.stack([T[:2, 3], *(corners @ T[:3, :3].T + T[:3, 3])[:, :2]])
        page.polygon(place(fan), palette.RIGHT, alpha=0.25)
        at = place(T[:2, 3])
        page.disc(at, 7.0, palette.RIGHT)
        words = f"{name}  {residual_px.get(name, float('nan')):.1f} px"
        below = at[1] + (28.0 if at[1] > SIDE_PX / 2 else -18.0)
        page.text(words, (float(at[0]), float(below)), 18.0, palette.INK, weight=600, align=0.5)
    page.text("from above, 1 m a square", (24.0, 36.0), 18.0, palette.MUTED)
    return page.image()


def _draw_grid(
    page: Canvas,
    place: Callable[[np.ndarray], np.ndarray],
    middle: Float[np.ndarray, "2"],
    span_m: float,
) -> None:
    low, high = np.floor(middle - span_m / 2), np.ceil(middle + span_m / 2)
    for axis in (0, 1):
        for line in np.arange(low[axis], high[axis] + 1):
            ends = np.stack([low, high])
            ends[:, axis] = line
            page.stroke(place(ends), 1.0, palette.GRID, alpha=0.35)
