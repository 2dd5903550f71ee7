import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from langpose_rt.fusion.calibration.world_axes import ANKLE_HEIGHT_M, world_axes
from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M
from tests.fusion.rigs import body
from tests.fusion.walks import walk

WALK = walk(np.linspace(0, 8, 120)) + np.array([0.0, 0.0, ANKLE_HEIGHT_M])


def test_the_world_stands_on_its_feet_in_metres() -> None:
    tilt = Rotation.from_rotvec([0.7, -0.4, 0.2]).as_matrix()
    seen = (WALK @ tilt.T + [3.0, -1.0, 2.0]) / 1.7
    camera = (np.array([4.0, 1.0, 1.5]) @ tilt.T + [3.0, -1.0, 2.0]) / 1.7
    leaning = tilt @ np.array([0.3, 0.2, 0.9])
    axes = world_axes(seen, leaning, camera, REFERENCE_STATURE_M, 1.7)
    back = axes.scale * seen @ axes.R.T + axes.t
    np.testing.assert_allclose(back[..., 2], WALK[..., 2], atol=0.02)
    at = axes.scale * axes.R @ camera + axes.t
    assert at[1] == pytest.approx(0.0, abs=0.01)
    assert at[0] > 3.0
    assert axes.walked_m == pytest.approx(2.2, abs=0.2)


def test_whoever_leans_does_not_tilt_the_floor() -> None:
    t_s = np.linspace(0, 30, 200)
    places = 1.5 * np.sin(2 * np.pi * t_s / 15), 0.6 * np.sin(2 * np.pi * t_s / 11)
    joints = np.stack([body(x, y) for x, y in zip(*places, strict=True)])
    joints[..., 2] += ANKLE_HEIGHT_M
    joints[..., :2] += 0.08 * joints[..., 2:] * [1.0, -1.0]
    for ankle, sign in ((3, 1.0), (6, -1.0)):
        raised = np.maximum(sign * np.sin(2 * np.pi * t_s), 0)
        joints[:, ankle, 2] = ANKLE_HEIGHT_M + 0.12 * raised
    camera = np.array([4.0, 0.0, 1.0])
    axes = world_axes(joints, np.array([0.0, 0.0, 1.0]), camera, REFERENCE_STATURE_M, 1.0)
    assert np.degrees(np.arccos(axes.R[2, 2])) < 0.3
    floor = axes.R @ np.zeros(3) + axes.t
    assert floor[2] == pytest.approx(0.0, abs=0.02)


def test_on_one_line_the_body_says_what_is_up_across_it() -> None:
    line = WALK.copy()
    line[..., 1] -= line[:, :1, 1]
    axes = world_axes(
        line, np.array([0.0, 0.0, 1.0]), np.array([4.0, 0, 1]), REFERENCE_STATURE_M, 1.0
    )
    assert np.degrees(np.arccos(axes.R[2, 2])) < 5.0
