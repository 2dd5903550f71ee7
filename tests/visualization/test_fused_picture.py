"""Picture of a capture volume: every camera's view, and everybody once on the floor."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from langpose_rt.visualization.fused_picture import (
    LEVEL_FROM_WORLD,
    FusedScene,
    draw_fused,
    save_fused_picture,
    world_of,
)
from langpose_rt.visualization.picture import HEIGHT_PX, WIDTH_PX
from tests.fusion.rigs import body
from tests.fusion.walks import clips_of_walk


def scene(people: int = 2) -> FusedScene:
    clips = clips_of_walk()
    joints = np.stack([body(1.5 * n, 0.0) for n in range(people)] or [np.full((17, 3), np.nan)])
    return FusedScene(
        clips=clips,
        frames=dict.fromkeys(clips, 3),
        joints_world=joints,
        sigma_m=np.full(joints.shape[:2], 0.02),
        tracks_world=tuple(joints[:, None]),
        title="two people",
        facts={"people": str(people)},
        notes=("a note",),
    )


def test_views_are_on_the_left_and_people_on_the_right() -> None:
    image = draw_fused(scene())
    assert image.shape == (HEIGHT_PX, WIDTH_PX, 3)
    empty = draw_fused(replace(scene(), joints_world=np.full((2, 17, 3), np.nan)))
    assert (image[100:780, 800:] != empty[100:780, 800:]).any()
    unseen = {
        name: replace(clip, keypoints=0 * clip.keypoints) for name, clip in scene().clips.items()
    }
    blind = draw_fused(replace(scene(), clips=unseen))
    assert (image[100:780, :600] != blind[100:780, :600]).any()
    np.testing.assert_array_equal(image[100:780, 800:], blind[100:780, 800:])


def test_the_floor_is_under_the_feet_and_up_is_up() -> None:
    world = world_of(scene())
    head, foot = world.people[0][10], world.people[0][3]
    assert head[1] < foot[1] < world.floor.y_m
    assert np.linalg.det(LEVEL_FROM_WORLD) == 1


def test_nobody_is_an_empty_floor(tmp_path: Path) -> None:
    save_fused_picture(tmp_path / "nobody.png", scene(0))
    assert cv2.imread(str(tmp_path / "nobody.png")) is not None
