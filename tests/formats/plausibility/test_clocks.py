"""Capture clocks in another unit or at another speed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from langpose_rt.formats.plausibility.clocks import clock_finding, clock_speed_finding
from tests.formats.plausibility.findings import REAL, impossible, odd


def test_real_clips_are_believed() -> None:
    assert [clock_finding(clip.t_ns) for clip in REAL] == [None, None]


@given(
    rate_hz=st.floats(5, 900),
    unit=st.sampled_from([("microseconds", 1e6), ("milliseconds", 1e3), ("ticks of 100 ns", 1e7)]),
    start=st.integers(0, 10**15),
)
def test_a_clock_in_another_unit_is_named(
    rate_hz: float, unit: tuple[str, float], start: int
) -> None:
    name, per_s = unit
    if name != "milliseconds":  # a clock in one of these is as likely ten times as fast in another
        rate_hz = min(max(rate_hz, 20), 120)
    t = start + np.rint(np.arange(40) * per_s / rate_hz).astype(np.int64)
    if (np.diff(t) == 1).all():
        name = "frame numbers"
    detail = impossible(clock_finding(t))
    assert f"they look like {name}; expected nanoseconds" in detail


@given(rate_hz=st.floats(1, 1000))
def test_a_clock_in_nanoseconds_is_believed(rate_hz: float) -> None:
    assert clock_finding(np.rint(np.arange(40) * 1e9 / rate_hz).astype(np.int64)) is None


def test_frame_numbers_and_slow_clocks() -> None:
    assert "frame numbers" in impossible(clock_finding(np.arange(10)))
    assert "frames are 500 ns apart; they look like milliseconds" in impossible(
        clock_finding(np.arange(10) * 500)
    )
    assert "frames are 10 s apart" in odd(clock_finding(np.arange(10) * 10**10))
    assert clock_finding(np.zeros(1, np.int64)) is None


def test_a_slow_clock_may_be_a_video_whose_detector_is_slow() -> None:
    said = odd(clock_speed_finding(10**9, 8 * 10**9))
    assert said.startswith("capture times run 0.125 times as fast as the frames arrive; expected")
    assert said.endswith("a detector is slower than its video")
    assert clock_speed_finding(10**9, 2 * 10**9) is None
