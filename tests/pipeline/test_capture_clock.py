"""The capture clock as tables of (capture, receive) in milliseconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langpose_rt.pipeline.capture_clock import STEP_NS, CaptureClock, Stamp, stamp_with_sync
from langpose_rt.protocol.keypoints import ClockSync

MS = 1_000_000
HOUR_MS = 3_600_000.0
DELAY_NS, OFFSET_NS = 7 * MS, 37_000 * MS


def stamps(*frames: tuple[float, float]) -> list[Stamp]:
    """What the clock says of (capture, receive) pairs in ms."""
    pairs = [(round(t * MS), round(now * MS)) for t, now in frames]
    clock = CaptureClock(*pairs[0])
    return [clock.stamp(*pair) for pair in pairs]


def times_ms(*frames: tuple[float, float]) -> list[float]:
    return [round(stamp.time_ns / MS, 3) for stamp in stamps(*frames)]


@pytest.mark.parametrize("offset_ms", [0.0, 37_000.0, -HOUR_MS * 24 * 365 * 50])
def test_a_constant_offset_of_any_size_is_no_step(offset_ms: float) -> None:
    frames = [(offset_ms + 20 * i, 20 * i + 3.0) for i in range(100)]
    assert times_ms(*frames) == [20.0 * i for i in range(100)]
    found = stamps(*frames)
    assert not any(stamp.stepped for stamp in found)
    assert found[-1].t_srv_ns == frames[-1][1] * MS
    assert found[-1].t_unc_ns == 0


def test_capture_times_are_used_although_the_network_jitters() -> None:
    delays = [5, 30, 1, 12, 25, 2, 7]
    frames = [(20.0 * i, 20.0 * i + delay) for i, delay in enumerate(delays)]
    assert times_ms(*frames) == [20.0 * i for i in range(len(delays))]
    last = stamps(*frames)[-1]
    assert last.t_srv_ns == (20 * 6 + 1) * MS  # the shortest delay is the offset
    assert 0 < last.t_unc_ns < 30 * MS


@pytest.mark.parametrize("jump_ms", [HOUR_MS, -HOUR_MS, 1100.0, -1100.0])
def test_a_step_is_flagged_once_and_time_goes_on_by_the_receive_clock(jump_ms: float) -> None:
    before = [(20.0 * i, 20.0 * i) for i in range(5)]
    after = [(jump_ms + 20.0 * i, 20.0 * i) for i in range(5, 10)]
    found = stamps(*before, *after)
    assert [stamp.stepped for stamp in found] == [i == 5 for i in range(10)]
    assert times_ms(*before, *after) == [20.0 * i for i in range(10)]
    assert found[-1].t_srv_ns == 180 * MS


def test_less_than_a_second_ahead_is_no_step() -> None:
    found = stamps((0, 0), (20, 20), (940, 40), (960, 60))
    assert not any(stamp.stepped for stamp in found)


@pytest.mark.parametrize("back_ms", [1.0, 19.0, 100.0, 700.0, 990.0])
def test_a_clock_set_back_is_a_step_of_any_size_if_it_passes_a_frame(back_ms: float) -> None:
    before = [(20.0 * i, 20.0 * i) for i in range(5)]
    after = [(20.0 * i - 20.0 - back_ms, 20.0 * i) for i in range(5, 100)]
    found = stamps(*before, *after)
    assert [stamp.stepped for stamp in found] == [i == 5 for i in range(100)]
    assert times_ms(*before, *after) == [20.0 * i for i in range(100)]
    assert found[-1].t_srv_ns == 99 * 20 * MS


def test_stamps_that_repeat_are_no_step_and_cost_no_time() -> None:
    frames = [(40.0 * (i // 2), 20.0 * i) for i in range(50)]
    assert times_ms(*frames) == [20.0 * i for i in range(50)]
    assert not any(stamp.stepped for stamp in stamps(*frames))


def test_a_clock_that_stood_still_for_less_than_a_second_goes_on_at_its_rate() -> None:
    stood = [(20.0 * max(i - 40, min(i, 5)), 20.0 * i) for i in range(100)]
    found = times_ms(*stood)
    assert found == [20.0 * i for i in range(100)]
    assert sum(stamp.stepped for stamp in stamps(*stood)) == 1


def test_a_stalled_network_is_no_step_and_costs_no_time() -> None:
    burst = [(20.0 * i, max(20.0 * i, 3000.0)) for i in range(200)]
    assert times_ms(*burst) == [20.0 * i for i in range(200)]
    assert not any(stamp.stepped for stamp in stamps(*burst))


def test_a_clock_that_stands_still_is_replaced_by_the_receive_clock() -> None:
    found = stamps(*[(0.0, 20.0 * i) for i in range(200)])
    assert [stamp.time_ns for stamp in found[1:]] == [i * 20 * MS for i in range(1, 200)]
    assert 2 <= sum(stamp.stepped for stamp in found) <= 4


def test_a_clock_that_runs_slowly_away_is_followed_and_never_flagged() -> None:
    frames = [(20.0 * i, 20.0 * i * 1.001) for i in range(100_000)]  # two seconds in all
    found = stamps(*frames)
    assert not any(stamp.stepped for stamp in found)
    assert abs(found[-1].t_srv_ns - frames[-1][1] * MS) < 61 * MS


LARGEST = (1 << 62) - 1


@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(-LARGEST, LARGEST), st.sampled_from([0, -1, LARGEST, -LARGEST])),
            st.integers(-5 * 10**9, 10**12),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_time_rises_by_what_is_possible_whatever_the_clocks_say(
    frames: list[tuple[int, int]],
) -> None:
    now_ns, last_ns = 0, -1
    clock = CaptureClock(frames[0][0], now_ns)
    for t_ns, elapsed_ns in frames:
        now_ns += elapsed_ns  # the server's clock may be set back too
        stamp = clock.stamp(t_ns, now_ns)
        assert last_ns < stamp.time_ns < 1 << 62
        assert stamp.t_unc_ns >= 0
        last_ns = stamp.time_ns


def estimated(t_ns: int) -> Stamp:
    """The one-way estimate over a way that takes at least DELAY_NS, after some frames."""
    clock = CaptureClock(0, OFFSET_NS + DELAY_NS)
    for frame_ns in range(0, t_ns + 1, 20 * MS):
        stamp = clock.stamp(frame_ns, frame_ns + OFFSET_NS + DELAY_NS)
    return stamp


def test_one_way_the_least_delay_cannot_be_seen_and_a_probe_sees_it() -> None:
    t_ns = 1000 * MS
    stamp = estimated(t_ns)
    assert stamp.t_srv_ns == t_ns + OFFSET_NS + DELAY_NS
    assert stamp.t_unc_ns == 0, "it says only how the delay varies"
    better = stamp_with_sync(stamp, ClockSync(OFFSET_NS, 2 * MS), t_ns)
    assert (better.t_srv_ns, better.t_unc_ns) == (t_ns + OFFSET_NS, 2 * MS)
    assert better.time_ns == stamp.time_ns, "the model's time is the rig's alone"
    assert stamp_with_sync(stamp, None, t_ns) == stamp


@pytest.mark.parametrize(
    ("error_ns", "believed"),
    [
        (DELAY_NS + 2 * MS, True),
        (DELAY_NS + 2 * MS + 1, False),
        (DELAY_NS - STEP_NS, True),
        (DELAY_NS - STEP_NS - 1, False),
    ],
)
def test_a_claim_that_cannot_be_true_is_out_of_date(error_ns: int, believed: bool) -> None:
    stamp = estimated(1000 * MS)
    found = stamp_with_sync(stamp, ClockSync(OFFSET_NS + error_ns, 2 * MS), 1000 * MS)
    assert (found.t_unc_ns == 2 * MS) is believed
    assert (found == stamp) is not believed


def test_nothing_is_claimed_of_a_clock_that_has_just_stepped() -> None:
    stepped = Stamp(0, 100, 5, stepped=True)
    assert stamp_with_sync(stepped, ClockSync(0, 1000), 100) == stepped
