import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.fusion.calibration.walker_size import walker_size
from tests.fusion.walks import walk

WALK = walk(np.linspace(0, 8, 120))
EXACT = np.zeros((17, 17))
QUIET = np.zeros((120, 17))


def test_the_reference_body_has_size_one() -> None:
    assert walker_size(WALK, QUIET, EXACT) == pytest.approx(1.0, rel=0.01)
    assert walker_size(1.1 * WALK, QUIET, EXACT) == pytest.approx(1.1, rel=0.01)


def test_noise_does_not_make_the_walker_tall() -> None:
    rng = np.random.default_rng(0)
    noisy = WALK + rng.normal(0, 0.03, WALK.shape)
    size = walker_size(noisy, np.full((120, 17), 0.03**2), EXACT)
    assert size == pytest.approx(1.0, rel=0.012)
    assert walker_size(noisy, QUIET, EXACT) > 1.008 * size


def test_a_head_that_the_detector_may_have_too_high_counts_for_less() -> None:
    high = WALK.copy()
    high[:, 10, 2] += 0.06
    doubtful = EXACT.copy()
    doubtful[10, 10] = 0.05**2
    exact = walker_size(high, QUIET, EXACT)
    assert exact > 1.03
    assert abs(walker_size(high, QUIET, doubtful) - 1) < 0.5 * (exact - 1)


def test_a_joint_that_was_never_seen_leaves_the_other_bones() -> None:
    partial = WALK.copy()
    partial[:, [3, 10]] = np.nan
    assert walker_size(1.1 * partial, QUIET, EXACT) == pytest.approx(1.1, rel=0.03)
    with pytest.raises(ConfigError, match="who is in view from head to foot"):
        walker_size(np.where(np.arange(17)[:, None] < 11, np.nan, WALK), QUIET, EXACT)
