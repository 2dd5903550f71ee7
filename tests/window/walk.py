"""Random lives of many desynchronised persons, for comparing the twins of the sliding window."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from langpose_rt.window.reference import Window

FIELDS = ("keys", "values", "features", "time_ns", "head", "fill")
"""Everything a window remembers."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of the window a walk runs on."""

    slots: int = 6
    blocks: int = 2
    frames: int = 5
    channels: int = 8
    feature_channels: int = 4

    def empty(self, dtype: type[np.float32] | type[np.float16] = np.float32) -> Window:
        """A fresh window of these sizes."""
        return Window.empty(
            self.slots, self.blocks, self.frames, self.channels, self.feature_channels, dtype=dtype
        )


@dataclass(frozen=True)
class Step:
    """What happens at once: some persons leave, then some get a frame."""

    leaving: np.ndarray
    slots: np.ndarray
    keys: np.ndarray
    values: np.ndarray
    features: np.ndarray
    time_ns: np.ndarray


def walk(sizes: Sizes, *, steps: int, seed: int) -> Iterator[Step]:
    """Steps in which any subset of slots moves, in any order, at times that never go back.

    Every other slot's clock starts at zero, the others' is that of nanoseconds since 1970; some
    numbers are too large for half.
    """
    random = np.random.default_rng(seed)
    clock = 1_800_000_000_000_000_000 * (np.arange(sizes.slots) % 2)
    for _ in range(steps):
        order = random.permutation(sizes.slots).astype(np.int32)
        slots = order[: random.integers(0, sizes.slots + 1)]
        clock[slots] += random.integers(0, 40_000_000, slots.size)
        scale = 10.0 ** random.integers(-9, 6)

        def numbers(*shape: int, scale: float = scale) -> np.ndarray:
            return (scale * random.standard_normal(shape)).astype(np.float32)

        yield Step(
            order[: random.integers(0, 2)] if random.random() < 0.2 else order[:0],
            slots,
            numbers(slots.size, sizes.blocks, sizes.channels),
            numbers(slots.size, sizes.blocks, sizes.channels),
            numbers(slots.size, sizes.feature_channels),
            clock[slots].copy(),
        )


def assert_same_state(got: Window, expected: Window) -> None:
    """Every array equal, bit for bit."""
    for name in FIELDS:
        mine, theirs = getattr(got, name), getattr(expected, name)
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
        assert mine.tobytes() == theirs.tobytes(), f"{name} differs in the sign of a zero"
