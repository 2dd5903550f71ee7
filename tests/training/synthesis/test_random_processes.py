"""Statistics of the two random processes, at any frame rate."""

import numpy as np
import pytest

from training.synthesis.random_processes import bursts, drift, steps_s

Rng = np.random.Generator


def steady(clips: int, frames: int, hz: float) -> np.ndarray:
    time_ns = np.tile(np.round(np.arange(frames) * 1e9 / hz).astype(np.int64), (clips, 1))
    return steps_s(time_ns)


def test_steps_are_seconds_and_begin_with_zero() -> None:
    dt_s = steps_s(np.array([[5_000_000_000, 5_020_000_000, 5_100_000_000]]))
    np.testing.assert_allclose(dt_s, [[0, 0.02, 0.08]], atol=1e-9)


@pytest.mark.parametrize("hz", [25.0, 120.0])
def test_drift_has_unit_variance_and_forgets_with_time_not_with_frames(rng: Rng, hz: float) -> None:
    noise = drift(rng, steady(400, 200, hz), np.full(400, 0.1), (2,))
    assert noise.std() == pytest.approx(1, abs=0.03)
    lag_1 = (noise[:, 1:] * noise[:, :-1]).mean()
    assert lag_1 == pytest.approx(np.exp(-1 / hz / 0.1), abs=0.03)


@pytest.mark.parametrize("hz", [25.0, 120.0])
@pytest.mark.parametrize("share", [0.02, 0.3])
def test_bursts_cover_their_share_in_pieces_of_their_length(
    rng: Rng, hz: float, share: float
) -> None:
    dt_s = steady(300, 600, hz)
    signal = bursts(rng, dt_s, np.full((300, 3), share), np.full(300, 0.2))
    assert signal.mean() == pytest.approx(share, rel=0.1)
    beginnings = (signal[:, 1:] & ~signal[:, :-1]).sum()
    mean_s = signal.sum() / hz / beginnings
    decay = np.exp(-1 / hz / (0.2 * (1 - share)))
    assert mean_s == pytest.approx(1 / hz / ((1 - share) * (1 - decay)), rel=0.1)


def test_no_share_means_no_burst(rng: Rng) -> None:
    assert not bursts(rng, steady(50, 100, 50), np.zeros((50, 2)), np.full(50, 0.2)).any()
