"""The arithmetic that CUDA kernels and C++ twin share, against NumPy and plain integers."""

import ctypes

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langpose_rt.window.reference import HALF_MAX

TIMES = st.integers(-(2**63), 2**63 - 1)


def halves(library: ctypes.CDLL, numbers: np.ndarray) -> np.ndarray:
    """What half_from_float makes of float32 numbers."""
    out = np.empty(numbers.size, np.uint16)
    library.halves_from_floats(
        out.ctypes.data_as(ctypes.c_void_p),
        numbers.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_int(numbers.size),
    )
    return out


def numpy_halves(numbers: np.ndarray) -> np.ndarray:
    return np.clip(numbers, -HALF_MAX, HALF_MAX).astype(np.float16).view(np.uint16)


def test_every_half_and_every_tie_between_halves_rounds_as_numpy_rounds(
    on_cpu: ctypes.CDLL,
) -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    exact = np.sort(every[np.isfinite(every)].astype(np.float32))
    ties = (exact[1:] + exact[:-1]) / 2
    beside = [np.nextafter(ties, np.float32(towards)) for towards in (-np.inf, np.inf)]
    numbers = np.concatenate([every[np.isfinite(every)].astype(np.float32), ties, *beside])
    np.testing.assert_array_equal(halves(on_cpu, numbers), numpy_halves(numbers))


def test_a_million_floats_of_every_size_round_as_numpy_rounds(on_cpu: ctypes.CDLL) -> None:
    bits = np.random.default_rng(0).integers(0, 2**32, 1_000_000, dtype=np.uint32)
    numbers = bits.view(np.float32)
    numbers = numbers[~np.isnan(numbers)]
    np.testing.assert_array_equal(halves(on_cpu, numbers), numpy_halves(numbers))


def test_what_is_too_large_is_the_largest_half_and_nan_stays_nan(on_cpu: ctypes.CDLL) -> None:
    numbers = np.array([65519.9, 65520, 3e38, np.inf, -np.inf, np.nan, -np.nan], np.float32)
    got = halves(on_cpu, numbers).view(np.float16)
    most = HALF_MAX
    np.testing.assert_array_equal(got, [most, most, most, most, -most, np.nan, np.nan])


@given(now=TIMES, then=TIMES, max_age=st.integers(0, 2**63 - 1))
@example(now=2**63 - 1, then=-(2**63), max_age=2**63 - 1)
@example(now=-(2**63), then=2**63 - 1, max_age=2**63 - 1)
@example(now=5, then=3, max_age=2)
def test_ages_are_those_of_integers_without_limits(
    on_cpu: ctypes.CDLL, now: int, then: int, max_age: int
) -> None:
    got = on_cpu.is_seen(*(ctypes.c_longlong(value) for value in (now, then, max_age)))
    assert bool(got) == (0 <= now - then <= max_age)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_cells_are_those_of_a_ring(on_cpu: ctypes.CDLL, frames: int) -> None:
    for head in range(frames):
        assert on_cpu.next_cell(head, frames) == (head + 1) % frames
        for back in range(frames):
            assert on_cpu.cell_back(head, back, frames) == (head - 1 - back) % frames
