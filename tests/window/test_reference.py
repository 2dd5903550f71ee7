"""The definition against hand-written cases and a model made of Python lists."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from langpose_rt.errors import ConfigError
from langpose_rt.window.reference import (
    HALF_MAX,
    MASKED,
    Window,
    feature_at,
    key_bias,
    push,
    reset,
)
from tests.window.walk import Sizes, assert_same_state, walk

NOW_NS = 1_800_000_000_000_000_000
INT64 = np.iinfo(np.int64)


def int32(values: ArrayLike) -> np.ndarray:
    return np.asarray(values, np.int32)


def int64(values: ArrayLike) -> np.ndarray:
    return np.asarray(values, np.int64)


def push_numbers(window: Window, slots: list[int], numbers: list[float], times: list[int]) -> None:
    """Push frames all of whose keys, values and features are one number."""
    number = np.asarray(numbers, np.float32)
    block = np.broadcast_to(number[:, None, None], (len(slots), *window.keys.shape[1::2]))
    row = np.broadcast_to(number[:, None], (len(slots), window.features.shape[2]))
    push(window, int32(slots), block, -block, row, int64(times))


def window_of(numbers: list[float], *, frames: int = 3) -> Window:
    """A window whose slot 1 got one frame per number, one nanosecond apart."""
    window = Window.empty(2, 2, frames, 4, 1)
    for index, number in enumerate(numbers):
        push_numbers(window, [1], [number], [NOW_NS + index])
    return window


def test_a_push_writes_one_cell_and_touches_no_other_slot() -> None:
    window = window_of([7.0])
    assert (window.keys[1, :, 0] == 7).all()
    assert (window.values[1, :, 0] == -7).all()
    assert not window.keys[1, :, 1:].any()
    assert window.time_ns[1].tolist() == [NOW_NS, 0, 0]
    assert (window.head[1], window.fill[1]) == (1, 1)
    assert not window.keys[0].any()
    assert not window.fill[0]


def test_the_newest_frame_replaces_the_oldest_once_the_ring_is_full() -> None:
    window = window_of([1, 2, 3, 4])
    assert window.keys[1, 0, :, 0].tolist() == [4, 2, 3]
    assert (window.head[1], window.fill[1]) == (1, 3)


def test_nothing_that_is_in_a_ring_moves() -> None:
    window = window_of([1, 2])
    address, before = window.keys.ctypes.data, window.keys[1, :, :2].copy()
    push_numbers(window, [1], [3], [NOW_NS + 9])
    assert window.keys.ctypes.data == address
    np.testing.assert_array_equal(window.keys[1, :, :2], before)


def test_one_call_serves_persons_whose_rings_stand_at_different_cells() -> None:
    window = window_of([1, 2])
    push_numbers(window, [1, 0], [3, 4], [NOW_NS, NOW_NS])
    assert window.head.tolist() == [1, 0]  # three frames in slot 1, one in slot 0
    assert window.features[:, :, 0].tolist() == [[4, 0, 0], [1, 2, 3]]


def test_a_key_is_seen_from_its_own_time_until_exactly_the_age_limit() -> None:
    window = window_of([1])
    ages = [-1, 0, 1, 99, 100, 101]
    slots = int32([1] * len(ages))
    bias = key_bias(window, slots, int64([NOW_NS + age for age in ages]), 100)
    assert (bias[:, 0] == 0).tolist() == [False, True, True, True, True, False]
    assert (bias[:, 1:] == MASKED).all()


def test_a_cell_without_a_frame_is_not_seen_even_where_the_clock_starts_at_zero() -> None:
    window = Window.empty(1, 0, 2, 0, 0)
    assert key_bias(window, int32([0]), int64([0]), 10).tolist() == [[MASKED, MASKED]]
    push_numbers(window, [0], [1], [0])
    assert key_bias(window, int32([0]), int64([0]), 10).tolist() == [[0, MASKED]]


def test_an_age_limit_of_zero_sees_only_the_same_instant() -> None:
    window = window_of([1, 2])
    assert key_bias(window, int32([1]), int64([NOW_NS + 1]), 0).tolist() == [[MASKED, 0, MASKED]]


def test_ages_are_right_at_both_ends_of_the_clock() -> None:
    window = Window.empty(2, 0, 1, 0, 0)
    push_numbers(window, [0, 1], [0, 0], [INT64.min, INT64.max])
    now = int64([INT64.max, INT64.min])
    assert (key_bias(window, int32([0, 1]), now, INT64.max) == MASKED).all()
    same = int64([INT64.min, INT64.max])
    assert (key_bias(window, int32([0, 1]), same, INT64.max) == 0).all()


def test_the_mask_is_finite_in_half_and_leaves_no_weight() -> None:
    assert np.isfinite(np.float16(MASKED))
    assert np.exp(np.float32(MASKED)) == 0


def test_a_reset_slot_equals_a_fresh_one_bit_for_bit() -> None:
    window = window_of([1, np.nan, np.inf, 4])
    reset(window, int32([1, 1]))
    assert_same_state(window, Window.empty(2, 2, 3, 4, 1))


def test_a_reset_forgets_nobody_else() -> None:
    window, untouched = window_of([1, 2]), window_of([1, 2])
    reset(window, int32([0]))
    assert_same_state(window, untouched)


def test_a_feature_is_found_by_how_many_pushes_ago_it_came() -> None:
    window = window_of([1, 2, 3, 4])
    back = feature_at(window, int32([1, 1, 1]), int32([0, 1, 2]))
    assert back[:, 0].tolist() == [4, 3, 2]


@pytest.mark.parametrize("frames_back", [-1, 2, 3])
def test_a_frame_that_is_not_held_is_an_error(frames_back: int) -> None:
    with pytest.raises(IndexError, match=f"holds 2 frames, the frame {frames_back} back"):
        feature_at(window_of([1, 2]), int32([1]), int32([frames_back]))


def test_half_rounds_to_nearest_even_and_never_stores_infinity() -> None:
    window = Window.empty(1, 1, 6, 1, 1, dtype=np.float16)
    numbers = [1 + 2**-11, 1 + 3 * 2**-11, 65519.0, 1e9, -np.inf, np.nan]
    for number in numbers:
        push_numbers(window, [0], [number], [0])
    expected = [1, 1 + 2**-9, HALF_MAX, HALF_MAX, -HALF_MAX, np.nan]
    np.testing.assert_array_equal(window.keys[0, 0, :, 0], expected)
    assert window.features.dtype == np.float32


@pytest.mark.parametrize("slot", [-1, 2])
def test_a_slot_outside_the_window_is_an_error_everywhere(slot: int) -> None:
    window, slots, now = window_of([1]), int32([0, slot]), int64([0, 0])
    for call in (
        lambda: push_numbers(window, [0, slot], [0, 0], [0, 0]),
        lambda: key_bias(window, slots, now, 1),
        lambda: feature_at(window, slots, int32([0, 0])),
        lambda: reset(window, slots),
    ):
        with pytest.raises(IndexError, match=f"slot {slot} is outside the window of 2 slots"):
            call()


def test_one_push_takes_one_frame_of_a_person() -> None:
    window = window_of([1])
    with pytest.raises(ValueError, match="given twice"):
        push_numbers(window, [1, 1], [2, 3], [0, 0])
    assert_same_state(window, window_of([1]))


def test_a_negative_age_limit_is_an_error() -> None:
    with pytest.raises(ValueError, match="got -1"):
        key_bias(window_of([1]), int32([1]), int64([0]), -1)


@pytest.mark.parametrize("sizes", [(0, 1, 1, 1, 1), (1, 1, 0, 1, 1), (1, -1, 1, 1, 1)])
def test_a_window_without_slots_or_frames_is_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="needs a slot and a frame"):
        Window.empty(*sizes)


@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(0, 60_000_000))
def test_rings_hold_what_lists_of_the_latest_frames_hold(
    seed: int, frames: int, max_age_ns: int
) -> None:
    sizes = Sizes(frames=frames)
    window = sizes.empty()
    lists: list[list[tuple[int, np.ndarray, np.ndarray]]] = [[] for _ in range(sizes.slots)]
    for step in walk(sizes, steps=12, seed=seed):
        reset(window, step.leaving)
        push(window, step.slots, step.keys, step.values, step.features, step.time_ns)
        for slot in step.leaving:
            lists[slot].clear()
        for i, slot in enumerate(step.slots):
            lists[slot].append((int(step.time_ns[i]), step.features[i], step.keys[i]))
            del lists[slot][:-frames]
    here = int32([slot for slot in range(sizes.slots) if lists[slot]])
    now = int64([lists[slot][-1][0] + 1 for slot in here])
    bias = key_bias(window, here, now, max_age_ns)
    for i, slot in enumerate(here):
        latest = lists[slot]
        ages = [int(now[i]) - time_ns for time_ns, _, _ in latest]
        assert (bias[i] == 0).sum() == sum(age <= max_age_ns for age in ages)
        for back, (_, feature, key) in enumerate(reversed(latest)):
            got = feature_at(window, here[i : i + 1], int32([back]))
            np.testing.assert_array_equal(got[0], feature)
            cell = (window.head[slot] - 1 - back) % frames
            np.testing.assert_array_equal(window.keys[slot, :, cell], key)
