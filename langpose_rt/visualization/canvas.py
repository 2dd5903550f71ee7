"""Canvas: antialiased shapes on a part of an image.

Everything is drawn at SUPERSAMPLING times the size of the page and shrunk once at the end.
Coordinates are page pixels from the top left of the canvas; any finite value is legal.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from langpose_rt.visualization.lettering import draw_text, text_width_px
from langpose_rt.visualization.palette import Colour

SUPERSAMPLING = 2
_SHIFT = 4
_FARTHEST_PX = 8000.0
_ARC_SAG_PX = 0.01
"""Largest distance of a drawn arc from its circle; it is below what antialiasing shows."""
_MOST_ARC_CORNERS = 160


@dataclass(frozen=True)
class Canvas:
    """A rectangle of an image to draw on; shapes are clipped to it.

    Args:
        pixels: The rectangle at SUPERSAMPLING times its size on the page; drawn on in place.
    """

    pixels: UInt8[np.ndarray, "height width 3"]

    @property
    def width_px(self) -> float:
        """Width on the page."""
        return float(self.pixels.shape[1] / SUPERSAMPLING)

    @property
    def height_px(self) -> float:
        """Height on the page."""
        return float(self.pixels.shape[0] / SUPERSAMPLING)

    @classmethod
    def blank(cls, width_px: int, height_px: int, colour: Colour) -> "Canvas":
        """Return a new page of one colour."""
        shape = (height_px * SUPERSAMPLING, width_px * SUPERSAMPLING, 3)
        return cls(np.full(shape, colour, np.uint8))

    def part(self, left_px: float, top_px: float, width_px: float, height_px: float) -> "Canvas":
        """Return a rectangle of this canvas that shares its pixels."""
        left, top, right, bottom = (
            max(0, round(value * SUPERSAMPLING))
            for value in (left_px, top_px, left_px + width_px, top_px + height_px)
        )
        return Canvas(self.pixels[top:bottom, left:right])

    def fill(self, colour: Colour) -> None:
        """Fill the whole canvas."""
        self.pixels[:] = colour

    def image(self) -> UInt8[np.ndarray, "height width 3"]:
        """Return the finished page at its own size, as a new array."""
        size = (round(self.width_px), round(self.height_px))
        return np.asarray(cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA), np.uint8)

    def polygon(
        self, corners_px: Float[np.ndarray, "corner 2"], colour: Colour, *, alpha: float = 1.0
    ) -> None:
        """Fill a convex polygon."""
        corners = _clamped(corners_px)
        box = self._box(corners)
        if box is None or alpha <= 0:
            return
        left, top, right, bottom = box
        target = self.pixels[top:bottom, left:right]
        fixed = np.rint((corners * SUPERSAMPLING - (left, top)) * (1 << _SHIFT)).astype(np.int32)
        layer = target if alpha >= 1 else target.copy()
        cv2.fillConvexPoly(layer, fixed, colour, cv2.LINE_AA, _SHIFT)
        if alpha < 1:
            target[:] = cv2.addWeighted(layer, alpha, target, 1 - alpha, 0)

    def capsule(
        self,
        ends_px: Float[np.ndarray, "2 2"],
        radii_px: tuple[float, float],
        colour: Colour,
        *,
        alpha: float = 1.0,
    ) -> None:
        """Fill a line with round ends that may differ in radius."""
        self.polygon(capsule_outline(ends_px, radii_px), colour, alpha=alpha)

    def disc(
        self,
        centre_px: Float[np.ndarray, "2"],
        radius_px: float,
        colour: Colour,
        *,
        alpha: float = 1.0,
    ) -> None:
        """Fill a circle."""
        self.capsule(np.stack([centre_px, centre_px]), (radius_px, radius_px), colour, alpha=alpha)

    def ring(
        self,
        centre_px: Float[np.ndarray, "2"],
        radius_px: float,
        width_px: float,
        colour: Colour,
        *,
        alpha: float = 1.0,
    ) -> None:
        """Outline a circle."""
        turn = np.linspace(0, 2 * np.pi, 65)
        circle = centre_px + radius_px * np.stack([np.cos(turn), np.sin(turn)], -1)
        self.stroke(circle, width_px, colour, alpha=alpha)

    def stroke(
        self,
        path_px: Float[np.ndarray, "point 2"],
        width_px: float,
        colour: Colour,
        *,
        alpha: float = 1.0,
    ) -> None:
        """Draw a path of one width; translucent strokes do not darken where they cross."""
        path = _clamped(path_px)
        box = self._box(path, width_px)
        if box is None or alpha <= 0:
            return
        left, top, right, bottom = box
        target = self.pixels[top:bottom, left:right]
        fixed = np.rint((path * SUPERSAMPLING - (left, top)) * (1 << _SHIFT)).astype(np.int32)
        thickness = max(1, round(width_px * SUPERSAMPLING))
        layer = target.copy()
        cv2.polylines(layer, [fixed], False, colour, thickness, cv2.LINE_AA, _SHIFT)
        target[:] = cv2.addWeighted(layer, alpha, target, 1 - alpha, 0)

    def trace(
        self,
        mask: UInt8[np.ndarray, "height width"],
        path_px: Float[np.ndarray, "point 2"],
        strength: Float[np.ndarray, "point"],
        width_px: float = 1.0,
    ) -> None:
        """Draw a path into a mask of this canvas, with a strength at each point (0 to 1).

        Points that are not finite interrupt the path. Later paths cover earlier ones.
        """
        fixed = _clamped(path_px) * SUPERSAMPLING * (1 << _SHIFT)
        thickness = max(1, round(width_px * SUPERSAMPLING))
        for place in range(len(path_px) - 1):
            shade = 255 * 0.5 * float(strength[place] + strength[place + 1])
            if shade >= 1 and np.isfinite(fixed[place : place + 2]).all():
                start, end = np.rint(fixed[place : place + 2]).astype(int).tolist()
                cv2.line(mask, start, end, (shade,), thickness, cv2.LINE_AA, _SHIFT)

    def mask(self) -> UInt8[np.ndarray, "height width"]:
        """Return an empty mask to trace paths into, for `blend`."""
        return np.zeros(self.pixels.shape[:2], np.uint8)

    def blend(self, share: Float[np.ndarray, "height width"], colour: Colour) -> None:
        """Blend every pixel with a colour, by its share from 0 to 1."""
        rows, columns = (np.flatnonzero(share.any(axis)) for axis in (1, 0))
        if not len(rows):
            return
        touched = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        weight = share[touched].astype(np.float32)[..., None]
        mixed = self.pixels[touched] * (1 - weight) + np.array(colour, np.float32) * weight
        self.pixels[touched] = np.rint(mixed).astype(np.uint8)

    def overlay(self) -> "Canvas":
        """Return a copy to draw on and then `merge`, so that overlapping shapes do not add up."""
        return Canvas(self.pixels.copy())

    def merge(self, overlay: "Canvas", alpha: float) -> None:
        """Blend every pixel with the overlay's."""
        self.pixels[:] = cv2.addWeighted(overlay.pixels, alpha, self.pixels, 1 - alpha, 0)

    def text(
        self,
        text: str,
        at_px: tuple[float, float],
        size_px: float,
        colour: Colour,
        *,
        weight: int = 400,
        align: float = 0.0,
    ) -> float:
        """Write one line and return its width in page pixels.

        Args:
            at_px: Point of the baseline that `align` names: 0 its left end, 0.5 its middle,
                1 its right end.
        """
        size = size_px * SUPERSAMPLING
        width = text_width_px(text, size, weight)
        at = (at_px[0] * SUPERSAMPLING - align * width, at_px[1] * SUPERSAMPLING)
        draw_text(self.pixels, text, at, size, colour=colour, weight=weight)
        return width / SUPERSAMPLING

    def round_corners(self, radius_px: float, colour: Colour) -> None:
        """Fill the area outside a rectangle with round corners."""
        height, width = self.pixels.shape[:2]
        radius = min(radius_px * SUPERSAMPLING, width / 2, height / 2)
        reach = np.ceil(radius).astype(int)
        off = radius - (np.arange(reach) + 0.5)
        outside = np.clip(np.hypot(off[:, None], off[None, :]) - radius + 0.5, 0, 1)[..., None]
        for rows in (slice(None, reach), slice(None, -reach - 1, -1)):
            for columns in (slice(None, reach), slice(None, -reach - 1, -1)):
                corner = self.pixels[rows, columns]
                corner[:] = np.rint(corner * (1 - outside) + np.array(colour) * outside)

    def _box(
        self, points_px: Float[np.ndarray, "point 2"], margin_px: float = 0.0
    ) -> tuple[int, int, int, int] | None:
        low = np.floor((points_px.min(0) - margin_px) * SUPERSAMPLING).astype(int) - 2
        high = np.ceil((points_px.max(0) + margin_px) * SUPERSAMPLING).astype(int) + 3
        left, top = np.maximum(low, 0).tolist()
        right, bottom = np.minimum(high, self.pixels.shape[1::-1]).tolist()
        return (left, top, right, bottom) if right > left and bottom > top else None


def capsule_outline(
    ends_px: Float[np.ndarray, "2 2"], radii_px: tuple[float, float]
) -> Float[np.ndarray, "corner 2"]:
    """Return the convex outline of two circles and the belt around them."""
    along = ends_px[1] - ends_px[0]
    length = float(np.hypot(*along))
    first, second = radii_px
    if length <= abs(first - second) + 1e-6:
        centre, radius = (ends_px[0], first) if first >= second else (ends_px[1], second)
        return np.asarray(centre + _arc(radius, 0.0, 2 * np.pi))
    heading = float(np.arctan2(along[1], along[0]))
    lean = float(np.arccos((first - second) / length))
    tail = ends_px[0] + _arc(first, heading + lean, heading + 2 * np.pi - lean)
    tip = ends_px[1] + _arc(second, heading - lean, heading + lean)
    return np.concatenate([tail, tip])


def _arc(radius_px: float, start_rad: float, stop_rad: float) -> Float[np.ndarray, "corner 2"]:
    """Return corners on an arc around the origin, as many as its size needs."""
    step_rad = 2 * np.arccos(1 - min(_ARC_SAG_PX / max(radius_px, _ARC_SAG_PX), 0.5))
    corners = min(int(np.ceil((stop_rad - start_rad) / step_rad)) + 1, _MOST_ARC_CORNERS)
    turn = np.linspace(start_rad, stop_rad, max(corners, 2))
    return radius_px * np.stack([np.cos(turn), np.sin(turn)], -1)


def _clamped(points_px: Float[np.ndarray, "point 2"]) -> Float[np.ndarray, "point 2"]:
    """Return points that OpenCV's fixed-point coordinates can hold."""
    return np.asarray(np.clip(points_px, -_FARTHEST_PX, _FARTHEST_PX), np.float64)
