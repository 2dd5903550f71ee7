import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from langpose_rt.visualization import palette
from langpose_rt.visualization.canvas import Canvas
from langpose_rt.visualization.observer import Observer
from langpose_rt.visualization.scene import Scene
from langpose_rt.visualization.world_panel import (
    SIDES,
    draw_world_panel,
    observer_of,
    world_from_scene,
)
from tests.visualization.people import person, scene, standing

FROM_CAMERA, FROM_SIDE = SIDES
SIZE_PX = (200, 220)
SIZE = (200.0, 220.0)
any_pose = hnp.arrays(np.float32, (17, 3), elements=st.floats(width=32, allow_nan=True))
any_root = hnp.arrays(np.float32, 3, elements=st.floats(width=32, allow_nan=True))
body_pose = hnp.arrays(np.float32, (17, 3), elements=st.floats(-1.5, 1.5, width=32))
near_root = hnp.arrays(np.float32, 3, elements=st.floats(-10, 10, width=32))


def views(shown: Scene) -> tuple[Observer, Observer]:
    world = world_from_scene(shown)
    return observer_of(world, FROM_CAMERA, SIZE), observer_of(world, FROM_SIDE, SIZE)


def panel(shown: Scene, side: int = 0) -> np.ndarray:
    canvas = Canvas.blank(*SIZE_PX, palette.PANEL)
    draw_world_panel(canvas, world_from_scene(shown), SIDES[side])
    return canvas.image()


def orange_columns(image: np.ndarray) -> float:
    red_over_blue = image[..., 2].astype(int) - image[..., 0]
    return float(np.argwhere(red_over_blue > 60)[:, 1].mean())


def one_arm(offset: tuple[float, float, float]) -> Scene:
    """Somebody with the left forearm moved."""
    pose = standing()
    pose[[12, 13]] += np.array(offset, np.float32)
    return scene(person(pose_camera=pose))


def test_a_joint_moved_right_appears_farther_right_from_the_camera() -> None:
    before = world_from_scene(one_arm((0, 0, 0)))
    after = world_from_scene(one_arm((0.1, 0, 0)))
    view = observer_of(before, FROM_CAMERA, SIZE)
    moved = view.pixels(after.people[0]) - view.pixels(before.people[0])
    assert moved[13, 0] > 3
    assert abs(moved[13, 1]) < 1
    np.testing.assert_allclose(moved[:12], 0, atol=1e-6)


def test_a_joint_moved_away_appears_farther_right_from_the_side() -> None:
    before = world_from_scene(one_arm((0, 0, 0)))
    after = world_from_scene(one_arm((0, 0, 0.1)))
    view = observer_of(before, FROM_SIDE, SIZE)
    moved = view.pixels(after.people[0]) - view.pixels(before.people[0])
    assert moved[13, 0] > 3


def test_an_arm_moved_right_is_painted_farther_right() -> None:
    assert orange_columns(panel(one_arm((0.12, 0, 0)))) > orange_columns(panel(one_arm((0, 0, 0))))


def test_what_must_be_seen_is_in_the_middle_of_its_room() -> None:
    aside = person(root_camera=np.array([3, 0, 9], np.float32))
    world = world_from_scene(scene(person(), aside))
    for side in SIDES:
        seen = observer_of(world, side, (400.0, 400.0)).pixels(world.outline())
        low, high = seen.min(0), seen.max(0)
        assert low[0] == pytest.approx(400 - high[0], abs=1e-6)
        assert low[1] - 76 == pytest.approx(400 - 56 - high[1], abs=1e-6)


def test_both_sides_have_the_same_scale() -> None:
    front, side = views(scene())
    target = world_from_scene(scene()).outline().mean(0)
    assert front.focal_px == side.focal_px
    assert front.depth_m(target) == pytest.approx(float(side.depth_m(target)), rel=0.05)


@given(
    pose=body_pose,
    root=near_root,
    down=hnp.arrays(np.float32, 3, elements=st.floats(-1, 1, width=32)),
)
def test_every_joint_is_within_the_panel(
    pose: np.ndarray, root: np.ndarray, down: np.ndarray
) -> None:
    shown = scene(person(pose_camera=pose, root_camera=root), gravity_camera=down)
    world = world_from_scene(shown)
    for side in SIDES:
        seen = observer_of(world, side, SIZE).pixels(world.people[0])
        assert (seen >= 0).all()
        assert (seen <= SIZE).all()
    assert world.people[0][:, 1].max() < world.floor.y_m


@settings(max_examples=15, deadline=None)
@given(pose=any_pose, root=any_root, sigma=any_pose, down=any_root)
def test_any_pose_draws(
    pose: np.ndarray, root: np.ndarray, sigma: np.ndarray, down: np.ndarray
) -> None:
    wild = person(
        pose_camera=pose,
        root_camera=root,
        sigma_m=sigma[:, 0],
        truth_camera=pose[::-1].copy(),
        past_camera=np.stack([pose, pose * np.float32(0.5)]),
    )
    shown = scene(wild, person(), gravity_camera=down)
    for side in (0, 1):
        assert panel(shown, side).shape == (220, 200, 3)


@settings(max_examples=15, deadline=None)
@given(pose=body_pose, root=near_root)
def test_any_finite_body_is_painted(pose: np.ndarray, root: np.ndarray) -> None:
    shown = scene(person(pose_camera=pose, root_camera=root))
    for side in (0, 1):
        assert panel(shown, side).max() > 150


def test_a_pitched_camera_still_gives_an_upright_person() -> None:
    pitch = np.deg2rad(30)
    tilt = np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    )
    leaning = (standing() @ tilt.T).astype(np.float32)
    down = tilt @ [0, 1, 0]
    world = world_from_scene(scene(person(pose_camera=leaning), gravity_camera=down))
    np.testing.assert_allclose(
        world.people[0] - world.people[0][0], standing() - standing()[0], atol=1e-5
    )


def test_several_people_are_all_shown_on_one_floor() -> None:
    left = person(root_camera=np.array([-2, 0, 4], np.float32))
    right = person(root_camera=np.array([2, 0.5, 5], np.float32))
    world = world_from_scene(scene(left, right))
    assert len(world.people) == 2
    assert world.floor.y_m == pytest.approx(world.people[1][:, 1].max() + 0.06)
    view = observer_of(world, FROM_CAMERA, SIZE)
    image = panel(scene(left, right)).astype(int)
    for joints in world.people:
        column, row = np.rint(view.pixels(joints)[8]).astype(int)
        assert image[row - 3 : row + 4, column - 3 : column + 4].max() > 150


def test_somebody_nearer_is_painted_over_somebody_farther() -> None:
    near = person(root_camera=np.array([0, 0, 3], np.float32))
    far = person(root_camera=np.array([0, 0, 5], np.float32), pose_camera=standing() * [-1, 1, 1])
    both, swapped = panel(scene(near, far)), panel(scene(far, near))
    np.testing.assert_array_equal(both, swapped)


def test_a_greater_sigma_changes_more_of_the_panel() -> None:
    plain = panel(scene()).astype(int)
    changed = [
        (panel(scene(person(sigma_m=np.full(17, sigma)))) != plain).any(-1).sum()
        for sigma in (0.02, 0.05, 0.1)
    ]
    assert 0 < changed[0] < changed[1] < changed[2]


def test_metres_are_counted_from_the_camera_or_else_from_the_hip() -> None:
    placed, loose = world_from_scene(scene()), world_from_scene(scene(person(root_camera=None)))
    assert FROM_SIDE.heading(placed) == "from the side, metres from the camera"
    assert FROM_CAMERA.heading(loose) == "from the camera, metres right of the hip"


def test_an_empty_scene_shows_its_floor() -> None:
    image = panel(scene(person(pose_camera=np.full((17, 3), np.nan))))
    np.testing.assert_array_equal(image, panel(scene(people=())))
    assert (image != palette.PANEL).any()
    assert orange_free(image)


def orange_free(image: np.ndarray) -> bool:
    return bool((image[..., 2].astype(int) - image[..., 0]).max() < 30)
