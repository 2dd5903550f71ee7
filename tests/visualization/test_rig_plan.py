import numpy as np

from langpose_rt.visualization import palette
from langpose_rt.visualization.rig_plan import SIDE_PX, draw_plan
from tests.fusion.rigs import ring


def test_cameras_and_the_way_are_drawn() -> None:
    turn = np.linspace(0, 6, 50)
    path = np.stack([np.cos(turn), np.sin(turn), 0 * turn], -1)
    path[10] = np.nan
    cameras = ring(3)
    image = draw_plan(cameras, {"cam0": 2.5}, path)
    assert image.shape == (SIDE_PX, SIDE_PX, 3)
    bare = draw_plan(cameras, {"cam0": 2.5}, np.full((2, 3), np.nan))
    way = (image != bare).any(-1)
    assert 500 < way.sum() < 20_000
    greener = image[way].astype(int) - bare[way]
    assert np.median(greener[:, 1]) > np.median(greener[:, 2]) > 0
    assert (np.abs(image.astype(int) - palette.RIGHT).sum(-1) < 60).sum() > 3 * 100


def test_a_rig_whose_cameras_have_no_place_is_an_empty_plan() -> None:
    from dataclasses import replace

    cameras = {"a": replace(ring(1)["cam0"], T_world_camera=None)}
    path = np.zeros((1, 3))
    assert draw_plan(cameras, {}, path).shape == (SIDE_PX, SIDE_PX, 3)
