"""One-Euro filter: one person against the published recurrence, many against each other."""

import itertools
import math

import numpy as np
import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.pipeline.one_euro import SMOOTHINGS, SPEED_CUTOFF_HZ, OneEuro, smoothing_named

SECOND = 1_000_000_000


def one_euro_by_the_paper(
    values: np.ndarray, dt_s: float, cutoff: float, rise: float
) -> np.ndarray:
    """Algorithm 1 of Casiez et al. for one point, with the speed between the points themselves."""

    def share(cutoff_hz: float) -> float:
        tau = 1 / (2 * math.pi * cutoff_hz)
        return 1 / (1 + tau / dt_s)

    smooth, velocity, out = values[0], np.zeros(3), [values[0]]
    for before, value in itertools.pairwise(values):
        change = (value - before) / dt_s
        velocity = share(SPEED_CUTOFF_HZ) * change + (1 - share(SPEED_CUTOFF_HZ)) * velocity
        weight = share(cutoff + rise * float(np.linalg.norm(velocity)))
        smooth = weight * value + (1 - weight) * smooth
        out.append(smooth)
    return np.array(out)


def walk(seed: int, frames: int = 50) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(0, 0.02, (frames, 3)), axis=0)


def run(values: np.ndarray, dt_s: float, name: str = "low", slot: int = 0) -> np.ndarray:
    cutoff, rise = SMOOTHINGS[name]
    one_euro = OneEuro(4, [cutoff], [rise])
    out = [
        one_euro.step(
            np.array([slot]),
            value[None, None].astype(np.float32),
            np.array([round(frame * dt_s * SECOND)]),
        )[0, 0]
        for frame, value in enumerate(values)
    ]
    return np.array(out)


@pytest.mark.parametrize("name", ["low", "high"])
def test_one_point_follows_the_published_recurrence(name: str) -> None:
    values = walk(1)
    expected = one_euro_by_the_paper(values, 1 / 60, *SMOOTHINGS[name])
    np.testing.assert_allclose(run(values, 1 / 60, name), expected, atol=1e-5)


def test_the_first_points_of_a_person_come_back_as_they_are() -> None:
    values = walk(2, frames=1)
    np.testing.assert_array_equal(run(values, 0.02), values.astype(np.float32))


def test_persons_do_not_touch_each_other_whatever_shares_their_step() -> None:
    alone = run(walk(3), 0.02, slot=1)
    cutoff, rise = SMOOTHINGS["low"]
    together, out = OneEuro(4, [cutoff], [rise]), []
    for frame, (own, other) in enumerate(zip(walk(3), walk(4), strict=True)):
        slots = [1, 3] if frame % 3 else [3, 1]
        points = {1: own, 3: other}
        batch = np.array([[points[slot]] for slot in slots], np.float32)
        times = np.full(2, round(frame * 0.02 * SECOND))
        out.append(together.step(np.array(slots), batch, times)[slots.index(1), 0])
    np.testing.assert_allclose(np.array(out), alone, atol=1e-7)


def test_turning_the_axes_turns_the_result() -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))
    np.testing.assert_allclose(run(walk(6) @ turn.T, 0.02), run(walk(6), 0.02) @ turn.T, atol=1e-5)


@pytest.mark.parametrize(("name", "delay_s"), [("low", 0.0265), ("high", 0.106)])
def test_the_delay_at_rest_is_the_one_that_is_stated(name: str, delay_s: float) -> None:
    dt_s, slope = 0.001, 1e-6  # so slow that the cutoff is the one at rest
    ramp = np.zeros((3000, 3))
    ramp[:, 0] = slope * np.arange(3000)
    lag = (ramp[-1, 0] - run(ramp, dt_s, name)[-1, 0]) / slope * dt_s
    assert lag == pytest.approx(delay_s, rel=0.02)


def test_the_delay_shrinks_with_speed_as_stated() -> None:
    dt_s, ramp = 0.002, np.zeros((2000, 3))
    ramp[:, 0] = dt_s * np.arange(2000)  # 1 m/s
    assert ramp[-1, 0] - run(ramp, dt_s)[-1, 0] == pytest.approx(0.0024, abs=0.0002)


def test_it_smooths_jitter_and_a_pause_lets_go_of_the_past() -> None:
    noise = np.random.default_rng(7).normal(0, 0.005, (400, 3))
    assert run(noise, 1 / 60, "high")[50:].std() < 0.35 * noise[50:].std()
    cutoff, rise = SMOOTHINGS["low"]
    one_euro, slots = OneEuro(1, [cutoff], [rise]), np.array([0])
    one_euro.step(slots, np.zeros((1, 1, 3), np.float32), np.array([0]))
    far = one_euro.step(slots, np.ones((1, 1, 3), np.float32), np.array([60 * SECOND]))
    np.testing.assert_allclose(far, 1, atol=1e-2)


def test_a_forgotten_person_begins_anew() -> None:
    one_euro, slots = OneEuro(2, [1.0], [0.0]), np.array([1])
    one_euro.step(slots, np.zeros((1, 1, 3), np.float32), np.array([0]))
    one_euro.reset(slots)
    points = np.ones((1, 1, 3), np.float32)
    np.testing.assert_array_equal(one_euro.step(slots, points, np.array([1])), points)


def test_an_unknown_smoothing_is_refused() -> None:
    assert smoothing_named("off") is None
    with pytest.raises(ConfigError, match="off, low, high"):
        smoothing_named("medium")
