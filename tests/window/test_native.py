"""The C++ twin against the definition: state and results, bit for bit."""

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langpose_rt.window import native as host
from langpose_rt.window import reference
from tests.window.walk import Sizes, assert_same_state, walk

native = pytest.mark.skipif(not host.HOST_IS_NATIVE, reason="the C++ extension was not built")

SIZES = st.builds(
    Sizes,
    slots=st.integers(1, 6),
    blocks=st.integers(0, 3),
    frames=st.integers(1, 6),
    channels=st.integers(0, 9),
    feature_channels=st.integers(0, 9),
)
STORED = st.sampled_from([np.float32, np.float16])


def host_without_extension(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A second copy of the module, imported where the extension cannot be."""
    monkeypatch.setitem(sys.modules, "langpose_rt._native", None)
    monkeypatch.delattr("langpose_rt._native", raising=False)
    spec = importlib.util.spec_from_file_location("host_without_extension", host.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_equal_lives(twin: ModuleType, sizes: Sizes, dtype: type, seed: int, age_ns: int) -> None:
    """Let both live through the same steps and compare everything after each."""
    mine, theirs = sizes.empty(dtype), sizes.empty(dtype)
    random = np.random.default_rng(seed)
    for step in walk(sizes, steps=10, seed=seed):
        for module, window in ((twin, mine), (reference, theirs)):
            module.reset(window, step.leaving)
            module.push(window, step.slots, step.keys, step.values, step.features, step.time_ns)
        assert_same_state(mine, theirs)
        now = step.time_ns + random.integers(-1, 40_000_000, step.slots.size)
        here = np.flatnonzero(theirs.fill).astype(np.int32)
        back = random.integers(0, theirs.fill[here], dtype=np.int32)
        for name, *arguments in (
            ("key_bias", step.slots, now, age_ns),
            ("feature_at", here, back),
        ):
            got = getattr(twin, name)(mine, *arguments)
            expected = getattr(reference, name)(theirs, *arguments)
            assert got.dtype == expected.dtype
            np.testing.assert_array_equal(got, expected, err_msg=name)


@native
@given(SIZES, STORED, st.integers(0, 2**32 - 1), st.integers(0, 10**8))
def test_the_twin_lives_through_anything_as_the_definition_does(
    sizes: Sizes, dtype: type, seed: int, age_ns: int
) -> None:
    assert_equal_lives(host, sizes, dtype, seed, age_ns)


def test_without_the_extension_the_definition_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    fallback = host_without_extension(monkeypatch)
    assert not fallback.HOST_IS_NATIVE
    assert_equal_lives(fallback, Sizes(), np.float32, 0, 10**8)


def test_arrays_that_are_not_contiguous_are_taken_as_they_read() -> None:
    sizes = Sizes(slots=4)
    mine, theirs = sizes.empty(), sizes.empty()
    random = np.random.default_rng(0)
    wide = random.standard_normal((sizes.channels, sizes.blocks, 8)).astype(np.float32)
    keys = wide.T[::2]
    features = random.standard_normal((4, 8)).astype(np.float32)[:, ::2]
    slots = np.arange(8, dtype=np.int32)[6::-2] // 2
    for module, window in ((host, mine), (reference, theirs)):
        module.push(window, slots, keys, keys, features, np.arange(8)[::2])
    assert_same_state(mine, theirs)


@pytest.mark.parametrize("slot", [-1, 2])
def test_a_slot_outside_the_window_is_an_error_everywhere(slot: int) -> None:
    window = Sizes(slots=2).empty()
    slots, now = np.array([slot], np.int32), np.zeros(1, np.int64)
    key, feature = np.zeros((1, 2, 8), np.float32), np.zeros((1, 4), np.float32)
    for call in (
        lambda: host.push(window, slots, key, key, feature, now),
        lambda: host.key_bias(window, slots, now, 1),
        lambda: host.feature_at(window, slots, np.zeros(1, np.int32)),
        lambda: host.reset(window, slots),
    ):
        with pytest.raises(IndexError, match=f"slot {slot} is outside the window of 2 slots"):
            call()


def test_a_refused_push_changes_nothing() -> None:
    window = Sizes().empty()
    key, feature = np.ones((2, 2, 8), np.float32), np.ones((2, 4), np.float32)
    with pytest.raises(ValueError, match="given twice"):
        host.push(window, np.array([3, 3], np.int32), key, key, feature, np.zeros(2, np.int64))
    assert_same_state(window, Sizes().empty())


def test_a_frame_that_is_not_held_is_an_error() -> None:
    window, slots = Sizes().empty(), np.array([2], np.int32)
    with pytest.raises(IndexError, match="slot 2 holds 0 frames, the frame -1 back"):
        host.feature_at(window, slots, np.array([-1], np.int32))


def test_a_negative_age_limit_is_an_error() -> None:
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        host.key_bias(Sizes().empty(), np.zeros(1, np.int32), np.zeros(1, np.int64), -1)
