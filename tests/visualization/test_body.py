import numpy as np
import pytest

from langpose_rt.visualization import palette
from langpose_rt.visualization.body import (
    TRAIL_STEP_M,
    colour_of,
    draw_body,
    draw_ground_truth,
    draw_sigma,
    draw_trail,
    trail_frames,
)
from langpose_rt.visualization.canvas import Canvas
from langpose_rt.visualization.observer import Observer
from tests.visualization.people import standing

JOINTS = standing() + np.array([0.0, 0.0, 4.0])
PADDING_SLOT = np.full((17, 3), np.nan)
VIEW = Observer(rotation=np.eye(3), eye_level=np.zeros(3), focal_px=700.0, centre_px=(200.0, 200.0))
BLACK = (0, 0, 0)


def canvas() -> Canvas:
    return Canvas.blank(400, 400, BLACK)


def body(joints: np.ndarray) -> np.ndarray:
    drawn = canvas()
    draw_body(drawn, VIEW, joints)
    return drawn.image()


def likeness(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Where a picture has a hue, however bright."""
    direction = np.array(colour) / np.linalg.norm(colour)
    length = np.linalg.norm(image.astype(float), axis=-1)
    along = image @ direction / np.maximum(length, 1)
    return np.asarray((length > 120) & (along > 0.985))


def test_left_is_orange_right_is_blue_and_the_rest_is_ivory() -> None:
    assert colour_of(13) == colour_of(4) == palette.LEFT
    assert colour_of(16) == colour_of(1) == palette.RIGHT
    assert colour_of(0) == colour_of(10) == palette.TRUNK


def test_somebody_who_faces_the_camera_has_the_left_side_on_the_right() -> None:
    image = body(JOINTS)
    left = np.argwhere(likeness(image, palette.LEFT))[:, 1].mean()
    right = np.argwhere(likeness(image, palette.RIGHT))[:, 1].mean()
    assert right + 25 < 200 < left - 25


def test_every_joint_is_painted() -> None:
    image = body(JOINTS)
    columns, rows = np.rint(VIEW.pixels(JOINTS)).astype(int).T
    assert image[rows, columns].max(-1).min() > 100


def test_a_missing_joint_takes_its_bones_away_and_no_others() -> None:
    joints = JOINTS.copy()
    joints[13] = np.nan
    at = np.rint(VIEW.pixels(JOINTS)).astype(int)
    image = body(joints)
    assert not image[at[13, 1] - 2 : at[13, 1] + 3, at[13, 0] - 2 : at[13, 0] + 3].any()
    assert image[at[16, 1], at[16, 0]].any()
    assert image[at[12, 1], at[12, 0]].any()


def test_nobody_paints_nothing() -> None:
    drawn = canvas()
    draw_body(drawn, VIEW, PADDING_SLOT)
    draw_sigma(drawn, VIEW, PADDING_SLOT, np.full(17, 0.1))
    draw_ground_truth(drawn, VIEW, PADDING_SLOT)
    draw_trail(drawn, VIEW, np.stack([PADDING_SLOT, PADDING_SLOT]))
    assert not drawn.image().any()


def test_without_a_crown_there_is_no_head_and_without_a_nose_there_is() -> None:
    headless, noseless = JOINTS.copy(), JOINTS.copy()
    headless[10] = np.nan
    noseless[9] = np.nan
    top = round(VIEW.pixels(JOINTS)[10, 1]) + 8
    assert not body(headless)[:top].any()
    assert body(noseless)[:top].any()


@pytest.mark.parametrize("nearer", ["left", "right"])
def test_the_nearer_arm_covers_the_farther(nearer: str) -> None:
    """Both elbows and wrists at one place in the picture, at different depths."""
    joints = JOINTS.copy()
    sign = 1 if nearer == "left" else -1
    for left, right in ((11, 14), (12, 15), (13, 16)):
        middle = np.array([0, joints[left, 1] + 0.9, 4])
        joints[left] = middle * (4 - 0.3 * sign) / 4
        joints[right] = middle * (4 + 0.3 * sign) / 4
    at = np.rint(VIEW.pixels(joints)[12]).astype(int)
    image = body(joints)[at[1] - 2 : at[1] + 3, at[0] - 2 : at[0] + 3]
    expected, other = palette.LEFT, palette.RIGHT
    if nearer == "right":
        expected, other = other, expected
    assert likeness(image, expected).mean() > 0.5
    assert likeness(image, other).mean() < 0.1


def test_the_nearer_limb_is_thicker() -> None:
    areas = [(body(JOINTS + np.array([0, 0, away])) > 60).any(-1).sum() for away in (0.0, 2.0, 4.0)]
    assert areas[0] > 1.8 * areas[1] > 2.5 * areas[2]


def test_a_greater_sigma_paints_more() -> None:
    areas = []
    for sigma in (0.02, 0.05, 0.10):
        drawn = canvas()
        draw_sigma(drawn, VIEW, JOINTS, np.full(17, sigma))
        areas.append(int(drawn.image().any(-1).sum()))
    assert areas[0] < areas[1] < areas[2]


def test_a_disc_has_the_radius_of_one_sigma() -> None:
    drawn = canvas()
    sigma = np.full(17, np.nan)
    sigma[3] = 0.08
    draw_sigma(drawn, VIEW, JOINTS, sigma)
    rows, columns = np.nonzero(drawn.image().any(-1))
    radius = 700.0 * 0.08 / JOINTS[3, 2]
    assert (columns.max() - columns.min()) / 2 == pytest.approx(radius, abs=1.5)
    assert (rows.max() + rows.min()) / 2 == pytest.approx(VIEW.pixels(JOINTS)[3, 1], abs=1.5)


def test_the_ground_truth_is_thinner_than_the_body_and_has_its_own_colour() -> None:
    drawn = canvas()
    draw_ground_truth(drawn, VIEW, JOINTS)
    image = drawn.image()
    assert 0 < (image > 60).any(-1).sum() < 0.4 * (body(JOINTS) > 60).any(-1).sum()
    assert likeness(image, palette.GROUND_TRUTH).sum() > 300
    assert likeness(image, palette.LEFT).sum() == 0


def walk(step_m: float, frames: int = 40) -> np.ndarray:
    return JOINTS + np.arange(frames)[:, None, None] * np.array([step_m, 0, 0])


def test_trail_poses_keep_their_distance() -> None:
    step = 0.05
    chosen = [*trail_frames(walk(step)), 39]
    assert (np.diff(chosen) == np.ceil(TRAIL_STEP_M / step)).all()
    assert len(chosen) == 8


def test_somebody_who_stands_still_has_no_trail_pose() -> None:
    assert trail_frames(walk(0.0)) == []
    assert trail_frames(walk(0.1, frames=1)) == []


def test_a_lost_frame_is_no_trail_pose() -> None:
    track = walk(0.3, frames=4)
    track[1] = np.nan
    assert trail_frames(track) == [0, 2]


def test_the_past_is_left_where_it_was_and_fades() -> None:
    drawn = canvas()
    draw_trail(drawn, VIEW, walk(0.01) - [0.4, 0, 0])
    image = drawn.image().astype(int)
    wrist = np.rint(VIEW.pixels(walk(0.01) - [0.4, 0, 0])[:, 16]).astype(int)
    old, new = (image[wrist[place, 1], wrist[place, 0]].max() for place in (8, 36))
    assert 0 < old < new < 255


def test_limbs_that_pass_the_spectator_are_clipped() -> None:
    pose = standing().astype(np.float64)
    joints = np.stack([pose[:, 0], pose[:, 2] + 0.1, -pose[:, 1]], -1)  # lies with the legs behind
    assert 0 < (VIEW.depth_m(joints) < 0).sum() < 17
    assert body(joints).any()
    drawn = canvas()
    draw_ground_truth(drawn, VIEW, joints)
    draw_trail(drawn, VIEW, np.stack([joints + 0.5, joints]))
    draw_sigma(drawn, VIEW, joints, np.full(17, 0.1))
    assert drawn.image().any()
