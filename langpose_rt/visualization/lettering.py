"""Text on an image, with the fonts of OpenCV 4 and 5.

OpenCV 5 has a typeface; OpenCV 4 has Hershey (line-drawn) fonts without signs beyond ASCII, so that
the few signs captions use are replaced there.
"""

from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from langpose_rt.visualization.palette import Colour

_ASCII = {
    "\N{MIDDLE DOT}": "-",
    "\N{BULLET}": "-",
    "\N{EN DASH}": "-",
    "\N{MINUS SIGN}": "-",
    "\N{EM DASH}": "-",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{GREEK SMALL LETTER SIGMA}": " sigma",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{DEGREE SIGN}": " deg",
    "\N{MICRO SIGN}": "u",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
}
_FACE_CLASS = getattr(cv2, "FontFace", None)
_FACE: Any = _FACE_CLASS("sans") if _FACE_CLASS else None
_HERSHEY_PX = 30.0
_BOLD = 550


def draw_text(
    pixels: UInt8[np.ndarray, "height width 3"],
    text: str,
    at_px: tuple[float, float],
    size_px: float,
    *,
    colour: Colour,
    weight: int = 400,
) -> None:
    """Write one line into `pixels`, in place.

    Args:
        text: The line.
        at_px: Left end of the baseline.
        size_px: Height of the typeface.
        weight: 400 is regular, 600 semibold; Hershey fonts have only those two.
    """
    left, base = round(at_px[0]), round(at_px[1])
    if _FACE is not None:
        cv2.putText(pixels, text, (left, base), colour, _FACE, round(size_px), weight)
        return
    face, scale, thickness = _hershey(size_px, weight)
    cv2.putText(pixels, _to_ascii(text), (left, base), face, scale, colour, thickness, cv2.LINE_AA)


def text_width_px(text: str, size_px: float, weight: int = 400) -> float:
    """Return the advance width of `draw_text`."""
    if not text:
        return 0.0
    if _FACE is not None:
        box: Any = cv2.getTextSize((0, 0), text, (0, 0), _FACE, round(size_px), weight)
        return float(box[0] + box[2])
    (width, _), _ = cv2.getTextSize(_to_ascii(text), *_hershey(size_px, weight))
    return float(width)


def _hershey(size_px: float, weight: int) -> tuple[int, float, int]:
    bold = weight >= _BOLD
    face = cv2.FONT_HERSHEY_DUPLEX if bold else cv2.FONT_HERSHEY_SIMPLEX
    return face, size_px * 0.82 / _HERSHEY_PX, max(1, round(size_px / (14 if bold else 18)))


def _to_ascii(text: str) -> str:
    ascii_text = "".join(_ASCII.get(sign, sign) for sign in text)
    return ascii_text.encode("ascii", "replace").decode("ascii")
