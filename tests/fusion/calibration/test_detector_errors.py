import numpy as np
import pytest

from langpose_rt.fusion.calibration.detector_errors import offset_precision


def test_hips_are_off_together_and_hands_on_their_own() -> None:
    covariance = np.linalg.inv(offset_precision())
    spread = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(spread, spread)
    assert correlation[0, 1] > 0.5
    assert correlation[1, 4] > 0.5
    assert correlation[13, 16] == pytest.approx(0.0, abs=1e-9)
    assert 0.006 < spread.min() <= spread.max() < 0.03
