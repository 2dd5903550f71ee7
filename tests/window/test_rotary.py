"""Continuous-time rotary angles: exact for any uptime."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from langpose_rt.window.rotary import rotary_periods_ns, rotary_table

PERIODS_NS = rotary_periods_ns(16)


def test_periods_run_from_a_tenth_of_a_second_to_ten_seconds() -> None:
    assert PERIODS_NS[0] == 100_000_000
    assert PERIODS_NS[-1] == 10_000_000_000
    assert (np.diff(PERIODS_NS) > 0).all()


@given(st.integers(0, 2**62))
def test_the_angle_is_the_one_of_exact_integer_arithmetic(time_ns: int) -> None:
    cos, sin = rotary_table(np.array([time_ns]), PERIODS_NS)
    exact = [2 * np.pi * (time_ns % int(period)) / int(period) for period in PERIODS_NS]
    np.testing.assert_allclose(cos[0], np.cos(exact), atol=1e-6)
    np.testing.assert_allclose(sin[0], np.sin(exact), atol=1e-6)


def test_a_year_of_uptime_changes_no_difference_of_angles() -> None:
    gap_ns, year_ns = 16_666_667, 365 * 86_400 * 10**9

    def turn(start_ns: int) -> np.ndarray:
        cos, sin = rotary_table(np.array([start_ns, start_ns + gap_ns]), PERIODS_NS)
        return cos[0] * cos[1] + sin[0] * sin[1]

    np.testing.assert_allclose(turn(0), turn(year_ns), atol=1e-6)


def test_times_before_the_origin_are_legal() -> None:
    cos, sin = rotary_table(np.array([-1]), PERIODS_NS)
    np.testing.assert_allclose(cos**2 + sin**2, 1, atol=1e-6)
    assert (sin < 0).all()
