import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from langpose_rt.visualization.canvas import Canvas, capsule_outline

BLACK, WHITE, GREY = (0, 0, 0), (255, 255, 255), (128, 128, 128)
any_points = hnp.arrays(np.float64, (2, 2), elements=st.floats(-1e12, 1e12))
near_points = hnp.arrays(np.float64, (2, 2), elements=st.floats(-50, 50))
radii = st.floats(0.5, 30)


def blank() -> Canvas:
    return Canvas.blank(60, 40, BLACK)


def test_a_page_has_its_size() -> None:
    canvas = blank()
    assert (canvas.width_px, canvas.height_px) == (60, 40)
    assert canvas.image().shape == (40, 60, 3)


def test_a_disc_covers_its_area() -> None:
    canvas = blank()
    canvas.disc(np.array([30.0, 20.0]), 10.0, WHITE)
    area = canvas.image()[..., 0].sum() / 255
    assert area == pytest.approx(np.pi * 10.25**2, rel=0.03)  # half a drawn pixel more


def test_a_polygon_covers_its_area() -> None:
    canvas = blank()
    canvas.polygon(np.array([(10.0, 10.0), (40.0, 10.0), (40.0, 30.0)]), WHITE)
    assert canvas.image()[..., 0].sum() / 255 == pytest.approx(300 + 0.25 * 86, rel=0.04)


def test_a_translucent_shape_lets_half_through() -> None:
    canvas = blank()
    canvas.disc(np.array([30.0, 20.0]), 10.0, WHITE, alpha=0.5)
    assert canvas.image()[20, 30, 0] == pytest.approx(128, abs=1)


def test_a_part_shares_pixels_and_cuts_off_what_is_outside() -> None:
    canvas = blank()
    canvas.part(10.0, 5.0, 20.0, 10.0).disc(np.array([10.0, 5.0]), 100.0, WHITE)
    lit = canvas.image()[..., 0] == 255
    assert lit[5:15, 10:30].all()
    assert lit.sum() == 200


def test_a_ring_is_empty_inside() -> None:
    canvas = blank()
    canvas.ring(np.array([30.0, 20.0]), 10.0, 2.0, WHITE)
    image = canvas.image()[..., 0]
    assert image[20, 30] == 0
    assert image[20, 40] == 255


def test_a_translucent_stroke_does_not_add_up_where_it_crosses_itself() -> None:
    canvas = blank()
    cross = np.array([(10.0, 20.0), (50.0, 20.0), (50.0, 35.0), (30.0, 35.0), (30.0, 5.0)])
    canvas.stroke(cross, 4.0, WHITE, alpha=0.5)
    assert canvas.image().max() == pytest.approx(128, abs=1)


def test_a_traced_path_fades_and_is_interrupted_by_nan() -> None:
    canvas = blank()
    mask = canvas.mask()
    path = np.array([(5.0, 20.0), (20.0, 20.0), (np.nan, np.nan), (40.0, 20.0), (55.0, 20.0)])
    canvas.trace(mask, path, np.array([1.0, 1.0, 1.0, 0.4, 0.4]), 2.0)
    canvas.blend(mask / 255.0, WHITE)
    row = canvas.image()[20, :, 0]
    assert row[12] == 255
    assert row[30] == 0
    assert row[48] == pytest.approx(102, abs=2)


def test_an_overlay_is_merged_by_its_alpha() -> None:
    canvas = blank()
    overlay = canvas.overlay()
    overlay.fill(WHITE)
    assert not canvas.pixels.any()
    canvas.merge(overlay, 0.25)
    assert canvas.image()[0, 0, 0] == pytest.approx(64, abs=1)


def test_round_corners_leave_the_middle_of_the_sides() -> None:
    canvas = blank()
    canvas.round_corners(10.0, WHITE)
    image = canvas.image()[..., 0]
    assert image[[0, 0, -1, -1], [0, -1, 0, -1]].min() == 255
    assert image[0, 30] == image[20, 0] == image[20, 30] == 0


@pytest.mark.parametrize(("align", "where"), [(0.0, slice(30, 60)), (1.0, slice(0, 30))])
def test_text_stands_on_the_side_of_its_anchor(align: float, where: slice) -> None:
    canvas = blank()
    width = canvas.text("mm", (30.0, 25.0), 12.0, WHITE, align=align)
    columns = canvas.image()[..., 0].sum(0).astype(float)
    assert 5 < width < 30
    assert columns[where].sum() > 0.95 * columns.sum() > 0


@given(ends=any_points, first=st.floats(0, 1e9), second=st.floats(0, 1e9))
def test_any_finite_shape_can_be_drawn(ends: np.ndarray, first: float, second: float) -> None:
    canvas = Canvas.blank(20, 10, BLACK)
    canvas.capsule(ends, (first, second), WHITE, alpha=0.5)
    canvas.stroke(ends, 2.0, WHITE)
    canvas.trace(canvas.mask(), ends, np.ones(2))
    assert canvas.image().shape == (10, 20, 3)


@given(ends=near_points, first=radii, second=radii)
@example(ends=np.array([[3.0, 0.5], [3.0, 3.0]]), first=3.0, second=0.5)
@example(ends=np.array([[0.0, 0.0], [29.5, 0.0]]), first=30.0, second=0.5)
def test_a_capsule_holds_both_of_its_circles_and_little_else(
    ends: np.ndarray, first: float, second: float
) -> None:
    outline = capsule_outline(ends, (first, second)).astype(np.float32)
    for centre, radius in zip(ends, (first, second), strict=True):
        inside = cv2.pointPolygonTest(outline, centre.tolist(), True)
        assert inside >= radius * 0.97 - 1e-3
    length = float(np.linalg.norm(ends[1] - ends[0]))
    widest = max(first, second)
    assert cv2.contourArea(outline) <= np.pi * widest**2 + 2 * widest * length + 1e-2
