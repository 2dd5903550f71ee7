"""Colours of the pictures: blue, green, red from 0 to 255, as in OpenCV.

Orange and blue distinguish left from right for colour-blind readers too.
"""

Colour = tuple[int, int, int]


def colour_from_hex(code: str) -> Colour:
    """Parse a colour such as `#rrggbb`."""
    red, green, blue = (int(code[place : place + 2], 16) for place in (1, 3, 5))
    return blue, green, red


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Mix two colours; `share` runs from 0 (all of the first) to 1 (all of the second)."""
    blue, green, red = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return blue, green, red


PAGE = colour_from_hex("#0e131c")
PANEL = colour_from_hex("#151c28")
WELL = colour_from_hex("#111722")
EDGE = colour_from_hex("#263143")
FLOOR = colour_from_hex("#1e2838")
GRID = colour_from_hex("#5a6c88")
SHADOW = colour_from_hex("#070a10")
GLOSS = colour_from_hex("#ffffff")
INK = colour_from_hex("#f2f4f8")
MUTED = colour_from_hex("#93a1b7")
LEFT = colour_from_hex("#ff8a5c")
RIGHT = colour_from_hex("#4cb8ff")
TRUNK = colour_from_hex("#e9e2d0")
GROUND_TRUTH = colour_from_hex("#7dffb2")
