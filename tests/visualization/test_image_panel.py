import numpy as np
import pytest

from langpose_rt.geometry.skeleton import SKELETONS
from langpose_rt.visualization import palette
from langpose_rt.visualization.canvas import Canvas
from langpose_rt.visualization.image_panel import draw_image_panel, keypoint_colours
from langpose_rt.visualization.scene import Scene
from tests.visualization.people import SIZE_PX, person, scene

COCO = SKELETONS["coco17"]


def panel(shown: Scene) -> np.ndarray:
    canvas = Canvas.blank(320, 240, (0, 0, 0))  # half the size of the camera's image
    draw_image_panel(canvas, shown)
    return canvas.image()


def dot(x_px: float, y_px: float, score: float) -> Scene:
    keypoints = np.zeros((17, 3), np.float32)
    keypoints[3] = x_px, y_px, score
    return scene(person(keypoints_px=keypoints))


def test_keypoints_are_where_they_were_in_the_image() -> None:
    rows, columns = np.nonzero(panel(dot(400, 100, 1.0)).any(-1))
    assert columns.mean() == pytest.approx(200, abs=1)
    assert rows.mean() == pytest.approx(50, abs=1)


def test_a_doubtful_keypoint_is_smaller_and_paler() -> None:
    sure, doubtful = panel(dot(320, 240, 1.0)), panel(dot(320, 240, 0.2))
    assert doubtful.any(-1).sum() < 0.6 * sure.any(-1).sum()
    assert doubtful.max() < 0.8 * sure.max()


@pytest.mark.parametrize(
    "missing", [(320, 240, 0), (np.nan, 240, 1), (320, np.inf, 1), (320, 240, np.nan)]
)
def test_a_missing_keypoint_is_not_drawn(missing: tuple[float, float, float]) -> None:
    assert not panel(dot(*missing)).any()


def test_edges_need_both_ends() -> None:
    whole, lost = person(), person()
    assert whole.keypoints_px is not None
    assert lost.keypoints_px is not None
    lost.keypoints_px[12, 2] = 0  # left elbow: both bones of the arm go
    middle = whole.keypoints_px[[11, 12], :2].mean(0) / 2
    column, row = np.rint(middle).astype(int)
    assert panel(scene(whole))[row, column].any()
    assert not panel(scene(lost))[row, column].any()


def test_the_format_of_the_rig_is_drawn_with_its_own_edges() -> None:
    keypoints = np.zeros((17, 3), np.float32)
    keypoints[5] = 100, 240, 1  # left shoulder and hip of COCO, joined by an edge
    keypoints[11] = 500, 240, 1
    drawn = panel(scene(person(keypoints_px=keypoints), skeleton=COCO))
    assert drawn[120, 150].any()
    assert not panel(scene(person(keypoints_px=keypoints)))[120, 150].any()


def test_sides_are_told_by_the_pairs_of_the_format() -> None:
    colours = keypoint_colours(COCO)
    assert colours[COCO.joints.index("left_wrist")] == palette.LEFT
    assert colours[COCO.joints.index("right_ankle")] == palette.RIGHT
    assert colours[COCO.joints.index("nose")] == palette.TRUNK


def test_the_backdrop_is_shown_subdued() -> None:
    backdrop = np.zeros((48, 64, 3), np.uint8)
    backdrop[:, 32:] = 255
    drawn = panel(scene(person(keypoints_px=None), backdrop=backdrop))
    assert drawn[200, 80].max() < 40
    assert 120 < drawn[200, 240].min() < 200
    assert drawn[3, 240].max() < 80  # dark where the panel's name goes


def test_keypoints_far_outside_of_the_image_do_no_harm() -> None:
    keypoints = np.ones((17, 3), np.float32)
    keypoints[:, :2] = np.random.default_rng(0).uniform(-1e30, 1e30, (17, 2))
    assert panel(scene(person(keypoints_px=keypoints))).shape == (240, 320, 3)


def test_without_keypoints_the_panel_stays_empty() -> None:
    assert not panel(scene(person(keypoints_px=None))).any()
    assert SIZE_PX[0] / SIZE_PX[1] == 320 / 240
