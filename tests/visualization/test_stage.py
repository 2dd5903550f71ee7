import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from langpose_rt.visualization import palette
from langpose_rt.visualization.canvas import Canvas
from langpose_rt.visualization.observer import Observer, rotation_from_angles
from langpose_rt.visualization.stage import (
    SOLE_M,
    Floor,
    draw_floor,
    draw_labels,
    draw_shadow,
    floor_below,
)
from tests.visualization.people import standing

JOINTS = standing() + np.array([0.0, 0.0, 4.0])
FLOOR = floor_below(JOINTS, JOINTS)


def view(floor: Floor = FLOOR, elevation_deg: float = 15.0) -> Observer:
    rotation = rotation_from_angles(0.0, elevation_deg)
    target = np.array([0.0, floor.y_m - 0.5, 4.0])
    return Observer(
        rotation=rotation,
        eye_level=target - 6 * rotation[2],
        focal_px=600.0,
        centre_px=(200.0, 150.0),
    )


def canvas() -> Canvas:
    return Canvas.blank(400, 300, palette.PANEL)


def test_the_floor_lies_below_the_lowest_foot() -> None:
    assert FLOOR.y_m == pytest.approx(JOINTS[:, 1].max() + SOLE_M)


def test_what_was_earlier_widens_the_floor_but_does_not_lower_it() -> None:
    earlier = JOINTS + np.array([2, 1, 0])
    floor = floor_below(JOINTS, np.concatenate([JOINTS, earlier]))
    assert floor.y_m == FLOOR.y_m
    assert floor.high_m[0] == pytest.approx(FLOOR.high_m[0] + 2)


@given(covered=hnp.arrays(np.float64, (4, 3), elements=st.floats(-200, 200)))
def test_any_floor_has_a_few_lines_at_whole_steps_around_the_people(covered: np.ndarray) -> None:
    floor = floor_below(covered, covered)
    for axis in (0, 1):
        lines = floor.lines(axis)
        assert 8 <= len(lines) <= 24
        np.testing.assert_allclose(lines / floor.step_m, np.rint(lines / floor.step_m), atol=1e-6)
        assert lines[0] <= floor.low_m[axis]
        assert lines[-1] >= floor.high_m[axis]


def test_the_floor_shows_among_the_people_and_fades_away() -> None:
    x = np.array([0.0, 1.5, 2.5, 30.0])
    light = FLOOR.light(x, np.full(4, 4.0))
    assert light[0] == 1
    assert light[-1] == 0
    assert (np.diff(light) <= 0).all()
    assert 0 < light[2] < 1


def test_the_line_in_front_is_the_first_outside_of_the_people() -> None:
    for axis in (0, 1):
        assert FLOOR.low_m[axis] - FLOOR.step_m < FLOOR.front_m(axis, -1.0) <= FLOOR.low_m[axis]
        assert FLOOR.high_m[axis] <= FLOOR.front_m(axis, 1.0) < FLOOR.high_m[axis] + FLOOR.step_m


def test_whole_metres_are_stronger_than_halves_and_stand_where_they_should() -> None:
    drawn = canvas()
    draw_floor(drawn, view(), FLOOR)
    image = drawn.image().astype(int)
    brightness = {}
    for x in (0.0, 0.5):
        at = view().pixels(np.array([x, FLOOR.y_m, 3.75]))
        column, row = np.rint(at).astype(int)
        brightness[x] = image[row - 1 : row + 2, column - 1 : column + 2].max()
    between = np.rint(view().pixels(np.array([0.25, FLOOR.y_m, 3.75]))).astype(int)
    assert brightness[0.0] > brightness[0.5] > image[between[1], between[0]].max()


def test_nothing_is_painted_above_the_horizon() -> None:
    drawn = canvas()
    draw_floor(drawn, view(elevation_deg=0.0), FLOOR)
    image = drawn.image()
    assert (image[:140] == palette.PANEL).all()
    assert (image[160:] != palette.PANEL).any()


def test_the_shadow_falls_straight_below_the_body() -> None:
    drawn = canvas()
    drawn.fill(palette.FLOOR)
    draw_shadow(drawn, view(), FLOOR, JOINTS)
    image = drawn.image().astype(int).sum(-1)
    below = np.rint(view().pixels(np.array([0.0, FLOOR.y_m, 4.0]))).astype(int)
    assert image[below[1], below[0]] < 0.7 * sum(palette.FLOOR)
    assert (image[: below[1] - 60] == sum(palette.FLOOR)).all()


def test_nobody_has_no_shadow() -> None:
    drawn = canvas()
    draw_shadow(drawn, view(), FLOOR, np.full((17, 3), np.nan))
    assert (drawn.image() == palette.PANEL).all()


def test_labels_stand_in_front_of_the_people() -> None:
    drawn = canvas()
    draw_labels(drawn, view(), FLOOR, 0)
    rows = np.flatnonzero((drawn.image() != palette.PANEL).any((1, 2)))
    front = view().pixels(np.array([0.0, FLOOR.y_m, FLOOR.front_m(1, -1.0)]))
    assert front[1] <= rows.min()
    assert rows.max() <= front[1] + 40


def test_where_lines_are_close_every_other_one_has_a_label() -> None:
    written: dict[float, list[str]] = {}

    class Listener(Canvas):
        def text(self, text: str, *_: object, **__: object) -> float:
            written[focal].append(text)
            return 0.0

    for focal in (600.0, 1200.0):
        written[focal] = []
        near = view()
        changed = Observer(
            rotation=near.rotation,
            eye_level=near.eye_level,
            focal_px=focal,
            centre_px=near.centre_px,
        )
        draw_labels(Listener(Canvas.blank(900, 600, palette.PANEL).pixels), changed, FLOOR, 0)
    assert "0.5 m" not in written[600.0]
    assert {"0 m", "1 m", "\N{MINUS SIGN}1 m"} <= set(written[600.0])
    assert "0.5 m" in written[1200.0]
