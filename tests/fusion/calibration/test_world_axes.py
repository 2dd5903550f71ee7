import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from langpose_rt.fusion.calibration.world_axes import ANKLE_HEIGHT_M, walker_height, world_axes
from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M
from tests.fusion.walks import walk

WALK = walk(np.linspace(0, 8, 120)) + np.array([0.0, 0.0, ANKLE_HEIGHT_M])
QUIET = np.zeros(17)


def test_the_world_stands_on_its_feet_in_metres() -> None:
    tilt = Rotation.from_rotvec([0.7, -0.4, 0.2]).as_matrix()
    seen = (WALK @ tilt.T + [3.0, -1.0, 2.0]) / 1.7
    camera = (np.array([4.0, 1.0, 1.5]) @ tilt.T + [3.0, -1.0, 2.0]) / 1.7
    leaning = tilt @ np.array([0.3, 0.2, 0.9])
    axes = world_axes(seen, leaning, camera, REFERENCE_STATURE_M, QUIET)
    back = axes.scale * seen @ axes.R.T + axes.t
    np.testing.assert_allclose(back[..., 2], WALK[..., 2], atol=0.02)
    assert axes.scale == pytest.approx(1.7, rel=0.01)
    at = axes.scale * axes.R @ camera + axes.t
    assert at[1] == pytest.approx(0.0, abs=0.01)
    assert at[0] > 3.0
    assert axes.walked_m == pytest.approx(2.2, abs=0.2)


def test_noise_does_not_make_the_walker_tall() -> None:
    rng = np.random.default_rng(0)
    noisy = WALK + rng.normal(0, 0.03, WALK.shape)
    noise = np.full(17, 0.03 * np.sqrt(2))  # two of the three axes lengthen a bone
    assert walker_height(noisy, noise) == pytest.approx(REFERENCE_STATURE_M, rel=0.012)
    assert walker_height(noisy, QUIET) > 1.008 * walker_height(noisy, noise)


def test_on_one_line_the_body_says_what_is_up_across_it() -> None:
    line = WALK.copy()
    line[..., 1] -= line[:, :1, 1]
    axes = world_axes(
        line, np.array([0.0, 0.0, 1.0]), np.array([4.0, 0, 1]), REFERENCE_STATURE_M, QUIET
    )
    assert np.degrees(np.arccos(axes.R[2, 2])) < 5.0
