"""3D panel: people in metres on one floor, seen from one side; all panels share floor and scale."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from langpose_rt.visualization.body import draw_body, draw_ground_truth, draw_sigma, draw_trail
from langpose_rt.visualization.canvas import Canvas
from langpose_rt.visualization.observer import (
    Observer,
    distance_to_fit,
    level_from_camera,
    rotation_from_angles,
)
from langpose_rt.visualization.scene import Scene, is_drawable
from langpose_rt.visualization.stage import Floor, draw_floor, draw_labels, draw_shadow, floor_below


@dataclass(frozen=True, kw_only=True)
class Side:
    """Viewing direction of a panel.

    Args:
        name: Title of the panel.
        azimuth_deg: Viewing direction: 0 along the camera's, positive to its right.
        axis: The coordinate that runs across the panel, and is labelled: 0 for x, 2 for z.
        label: Meaning of that coordinate, before "the camera".
    """

    name: str
    azimuth_deg: float
    axis: int
    label: str

    def heading(self, world: "World") -> str:
        """Return the subtitle of the panel."""
        return f"{self.name}, metres {self.label} {world.origin}"


SIDES = (
    Side(name="from the camera", azimuth_deg=0.0, axis=0, label="right of"),
    Side(name="from the side", azimuth_deg=-90.0, axis=2, label="from"),
)
"""The two panels: along the camera's optical axis, and across it with the camera on the left."""

_ELEVATION_DEG = 11.0
_FOCAL_PER_HEIGHT = 2.3
_LEAST_HEIGHT_M = 1.25
_EMPTY_SCENE = np.array([[-0.5, 1.5, 2.5], [0.5, 1.5, 3.5]])
_ROOM_PX = (44.0, 76.0, 44.0, 56.0)
"""Margins at the left, top, right and bottom of a panel."""


@dataclass(frozen=True, kw_only=True)
class World:
    """A scene in level axes; NaN where a joint cannot be drawn.

    Args:
        people: Current joints of each person.
        sigmas_m: Standard deviations of each person's joints; None where unknown.
        truths: Ground truth joints of each person.
        tracks: Joints of each person over time, the current ones last.
        floor: The floor.
        origin: Name of the origin of the metres.
    """

    people: tuple[Float[np.ndarray, "17 3"], ...]
    sigmas_m: tuple[Float[np.ndarray, "17"] | None, ...]
    truths: tuple[Float[np.ndarray, "17 3"], ...]
    tracks: tuple[Float[np.ndarray, "_frame 17 3"], ...]
    floor: Floor
    origin: str

    def outline(self) -> Float[np.ndarray, "point 3"]:
        """Return points that must be visible: joints, their shadows on the floor, a body height."""
        floor = self.floor
        joints = _drawable_of(*self.truths, *self.tracks)
        x, z = (0.5 * (low + high) for low, high in zip(floor.low_m, floor.high_m, strict=True))
        front = np.array(
            [[x, floor.y_m, floor.front_m(1, -1.0)], [floor.front_m(0, 1.0), floor.y_m, z]]
        )
        pole = np.array([[x, floor.y_m, z], [x, floor.y_m - _LEAST_HEIGHT_M, z]])
        return np.concatenate([joints, joints * (1, 0, 1) + (0, floor.y_m, 0), pole, front])


def world_from_scene(scene: Scene) -> World:
    """Rotate a scene to level axes, and place a floor below its lowest foot."""
    upright = level_from_camera(scene.gravity_camera).T
    people = tuple(person.joints_camera @ upright for person in scene.people)
    truths = tuple(person.truth_in_place @ upright for person in scene.people)
    tracks = tuple(person.track_camera @ upright for person in scene.people)
    now = _drawable_of(*people)
    covered = np.concatenate([now, _drawable_of(*truths, *tracks)])
    placed = all(person.root_camera is not None for person in scene.people)
    return World(
        people=people,
        sigmas_m=tuple(person.sigma_m for person in scene.people),
        truths=truths,
        tracks=tracks,
        floor=floor_below(now, covered) if len(now) else floor_below(_EMPTY_SCENE, _EMPTY_SCENE),
        origin="the camera" if placed else "the hip",
    )


def draw_world_panel(canvas: Canvas, world: World, side: Side) -> None:
    """Draw the world seen from one side over the whole canvas."""
    view = observer_of(world, side, (canvas.width_px, canvas.height_px))
    draw_floor(canvas, view, world.floor)
    for joints in world.people:
        draw_shadow(canvas, view, world.floor, joints)
    draw_labels(canvas, view, world.floor, side.axis // 2)
    for track in world.tracks:
        draw_trail(canvas, view, track)
    for one in sorted(range(len(world.people)), key=lambda one: -_depth(view, world.people[one])):
        draw_body(canvas, view, world.people[one])
        sigma_m = world.sigmas_m[one]
        if sigma_m is not None:
            draw_sigma(canvas, view, world.people[one], sigma_m)
    for truth in world.truths:
        draw_ground_truth(canvas, view, truth)


def observer_of(world: World, side: Side, size_px: tuple[float, float]) -> Observer:
    """Return an observer that sees everything as large as fits, equally far on every side."""
    points = world.outline()
    target = (points.min(0) + points.max(0)) / 2
    left, top, right, bottom = _ROOM_PX
    half = ((size_px[0] - left - right) / 2, (size_px[1] - top - bottom) / 2)
    focal = _FOCAL_PER_HEIGHT * size_px[1]
    distance = max(
        distance_to_fit(
            points, target, rotation_from_angles(one.azimuth_deg, _ELEVATION_DEG), half, focal
        )
        for one in SIDES
    )
    rotation = rotation_from_angles(side.azimuth_deg, _ELEVATION_DEG)
    eye = target - distance * rotation[2]
    straight = Observer(rotation=rotation, eye_level=eye, focal_px=focal, centre_px=(0.0, 0.0))
    seen = straight.pixels(points)
    middle = (seen.min(0) + seen.max(0)) / 2
    centre = (left + half[0] - float(middle[0]), top + half[1] - float(middle[1]))
    return replace(straight, centre_px=centre)


def _drawable_of(*groups: Float[np.ndarray, "... 3"]) -> Float[np.ndarray, "point 3"]:
    joints = [np.zeros((0, 3)), *(group.reshape(-1, 3) for group in groups)]
    together = np.concatenate(joints)
    return np.asarray(together[is_drawable(together)])


def _depth(view: Observer, joints: Float[np.ndarray, "17 3"]) -> float:
    seen = joints[is_drawable(joints)]
    return float(view.depth_m(seen).mean()) if len(seen) else 0.0
