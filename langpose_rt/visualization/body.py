"""Drawing of persons in perspective: shaded limbs, sigma discs, ground truth and motion trails.

Joints are in level axes (see `observer.py`), NaN where there is nothing to draw.
"""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from langpose_rt.geometry.skeleton import BONES, JOINTS
from langpose_rt.visualization import palette
from langpose_rt.visualization.canvas import Canvas
from langpose_rt.visualization.observer import NEAREST_M, Observer
from langpose_rt.visualization.palette import Colour, mix
from langpose_rt.visualization.scene import is_drawable

HEAD_RADIUS_M = 0.085
TRAIL_POSE_RADIUS_M = 0.014

TRAIL_STEP_M = 0.22
"""Mean joint distance between two earlier poses that are drawn."""

TRAIL_JOINTS = (13, 16, 0)
"""Wrists and hip: the joints with a trail."""

MAX_SIGMA_M = 1.0
"""Greater standard deviations are drawn as this one."""

_RADIUS_M = {
    "Hip": 0.036,
    "Spine": 0.036,
    "Thorax": 0.032,
    "Nose": 0.022,
    "Head": 0.022,
    "Shoulder": 0.030,
    "Elbow": 0.025,
    "Wrist": 0.019,
    "Knee": 0.031,
    "Ankle": 0.021,
}
_RADII_M = tuple(_RADIUS_M[joint.removeprefix("L").removeprefix("R")] for joint in JOINTS)
_OUTLINE_PX = 1.2
_TONES = tuple(
    (float(share), 0.5 * float(np.cos(np.pi * share))) for share in np.linspace(1.0, 0.12, 9)
)
"""Share of the radius and brightness of the layers of a tube, rim first, highlight last."""
_LIGHT = np.array([-0.35, -0.55])
_FOG_PER_M = 0.5
_FOG_MIDDLE, _FOG_MOST = 0.15, 0.5

Stroke = tuple[float, Callable[[Canvas], None]]
"""A depth in metres and a function that draws the part at that depth."""


def colour_of(joint: int) -> Colour:
    """Return the colour of a joint, and of the bone that ends in it."""
    side = JOINTS[joint][0]
    return {"L": palette.LEFT, "R": palette.RIGHT}.get(side, palette.TRUNK)


def draw_body(canvas: Canvas, view: Observer, joints_level: Float[np.ndarray, "17 3"]) -> None:
    """Draw one person, far parts first."""
    strokes = [*_bones(view, joints_level), *_head(view, joints_level)]
    for _, paint in sorted(strokes, key=lambda stroke: -stroke[0]):
        paint(canvas)


def draw_sigma(
    canvas: Canvas,
    view: Observer,
    joints_level: Float[np.ndarray, "17 3"],
    sigma_m: Float[np.ndarray, "17"],
) -> None:
    """Draw a translucent disc of one standard deviation around every joint."""
    at_px, depth_m = view.pixels(joints_level), view.depth_m(joints_level)
    for joint in np.flatnonzero(np.isfinite(at_px).all(-1) & np.isfinite(sigma_m)).tolist():
        sigma = float(np.clip(sigma_m[joint], 0, MAX_SIGMA_M))
        radius_px = view.size_px(sigma, float(depth_m[joint]))
        canvas.disc(at_px[joint], radius_px, colour_of(joint), alpha=0.16)
        canvas.ring(at_px[joint], radius_px, 1.0, colour_of(joint), alpha=0.55)


def draw_ground_truth(
    canvas: Canvas, view: Observer, joints_level: Float[np.ndarray, "17 3"]
) -> None:
    """Draw the ground truth as a thin bright skeleton over everything."""
    bones = [_in_front(view, joints_level[list(bone)]) for bone in BONES]
    for width_px, colour, alpha in ((3.4, palette.SHADOW, 0.35), (1.6, palette.GROUND_TRUTH, 0.95)):
        for ends in bones:
            if ends is not None:
                canvas.stroke(view.pixels(ends), width_px, colour, alpha=alpha)


def draw_trail(
    canvas: Canvas, view: Observer, track_level: Float[np.ndarray, "frame 17 3"]
) -> None:
    """Draw earlier poses faintly, and fading trails of wrists and hip.

    Args:
        track_level: The joints over time, the current ones last.
    """
    frames = trail_frames(track_level)
    for rank, frame in enumerate(frames):
        overlay = canvas.overlay()
        _draw_trail_pose(overlay, view, track_level[frame])
        canvas.merge(overlay, 0.08 + 0.16 * (rank + 1) / len(frames))
    recency = (np.arange(len(track_level)) + 1.0) / max(len(track_level), 1)
    for joint in TRAIL_JOINTS:
        mask = canvas.mask()
        canvas.trace(mask, view.pixels(track_level[:, joint]), 0.75 * recency**1.5, 2.0)
        canvas.blend(mask / 255.0, colour_of(joint))


def trail_frames(track_level: Float[np.ndarray, "frame 17 3"]) -> list[int]:
    """Return the earlier frames to draw, oldest first, each TRAIL_STEP_M from the next."""
    chosen: list[int] = []
    newer = len(track_level) - 1
    for frame in range(newer - 1, -1, -1):
        moved_m = np.linalg.norm(track_level[frame] - track_level[newer], axis=-1)
        known = moved_m[np.isfinite(moved_m)]
        if len(known) and float(known.mean()) >= TRAIL_STEP_M:
            chosen.append(frame)
            newer = frame
    return chosen[::-1]


def _draw_trail_pose(canvas: Canvas, view: Observer, joints: Float[np.ndarray, "17 3"]) -> None:
    for start, end in BONES:
        ends = _in_front(view, joints[[start, end]])
        if ends is not None:
            radii_px = _radii_px(view, ends, (TRAIL_POSE_RADIUS_M, TRAIL_POSE_RADIUS_M))
            canvas.capsule(view.pixels(ends), radii_px, colour_of(end))
    middle = _middle_of_head(joints)
    depth_m = float(view.depth_m(middle))
    if depth_m > NEAREST_M:
        canvas.disc(view.pixels(middle), view.size_px(HEAD_RADIUS_M, depth_m), palette.TRUNK)


def _bones(view: Observer, joints: Float[np.ndarray, "17 3"]) -> Iterator[Stroke]:
    known_m = view.depth_m(joints[is_drawable(joints)])
    middle_m = float(known_m.mean()) if len(known_m) else 0.0
    for start, end in BONES:
        ends = _in_front(view, joints[[start, end]])
        if ends is not None:
            depth_m = float(view.depth_m(ends).mean())
            thick = start if colour_of(start) == colour_of(end) else end
            radii_px = _radii_px(view, ends, (_RADII_M[thick], _RADII_M[end]))
            fog = np.clip(_FOG_MIDDLE + _FOG_PER_M * (depth_m - middle_m), 0, _FOG_MOST)
            colour = mix(colour_of(end), palette.PAGE, float(fog))
            yield depth_m, _tube(view.pixels(ends), radii_px, colour)


def _head(view: Observer, joints: Float[np.ndarray, "17 3"]) -> Iterator[Stroke]:
    middle = _middle_of_head(joints)
    depth_m = float(view.depth_m(middle))
    if depth_m > NEAREST_M:
        radius_px = view.size_px(HEAD_RADIUS_M, depth_m)
        at_px = view.pixels(np.stack([middle, middle]))
        yield depth_m, _tube(at_px, (radius_px, radius_px), palette.TRUNK)


def _middle_of_head(joints: Float[np.ndarray, "17 3"]) -> Float[np.ndarray, "3"]:
    """Return a point between crown and nose (or neck, where the nose is missing)."""
    crown, nose, neck = joints[10], joints[9], joints[8]
    if is_drawable(nose):
        return np.asarray(0.55 * crown + 0.45 * nose)
    return np.asarray(0.7 * crown + 0.3 * neck if is_drawable(neck) else crown)


def _tube(
    ends_px: Float[np.ndarray, "2 2"], radii_px: tuple[float, float], colour: Colour
) -> Callable[[Canvas], None]:
    """Return a function that draws a capsule lit from above left, with a dark rim."""
    first, second = radii_px

    def paint(canvas: Canvas) -> None:
        canvas.capsule(ends_px, (first + _OUTLINE_PX, second + _OUTLINE_PX), palette.SHADOW)
        for share, tone in _TONES:
            lit = mix(colour, palette.SHADOW if tone < 0 else palette.GLOSS, abs(tone))
            moved = ends_px + np.array(radii_px)[:, None] * _LIGHT * (1 - share)
            canvas.capsule(moved, (first * share, second * share), lit)

    return paint


def _in_front(view: Observer, ends: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2 3"] | None:
    return view.clip(ends) if bool(is_drawable(ends).all()) else None


def _radii_px(
    view: Observer, ends: Float[np.ndarray, "2 3"], radii_m: tuple[float, float]
) -> tuple[float, float]:
    first, second = view.depth_m(ends).tolist()
    return view.size_px(radii_m[0], first), view.size_px(radii_m[1], second)
