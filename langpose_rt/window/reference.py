"""Sliding window in NumPy: its state, and the definition of push, reset and the reading functions.

This file is the definition; native.py (C++) and cpp_ext/sliding_window.cu (CUDA) must equal it. It
handles arrays and their capture times, independent of models, rotary phases, streams and sockets.

A slot belongs to one person. Its ring has W cells; `head` is the cell the next frame is written to
and `fill` counts the frames it holds. After a reset cells are used from 0 on, so a cell holds a
frame if cell < fill. Frames of one slot are pushed in the order of their capture times (the stream
drops late ones), so ring order is time order. Two threads must not use one window at a time.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64

from langpose_rt.errors import ConfigError

MASKED = -30000.0
"""Added to the logit of a masked key: finite in FP16, and exp() of it is 0."""

HALF_MAX = 65504.0
"""Largest finite FP16 value; larger values are saturated, because 0 x inf is NaN."""

Stored = type[np.float32] | type[np.float16]
"""Storage type of keys and values."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Rings of all slots; every array is changed in place and never replaced or moved.

    Args:
        keys: Rotated keys of every temporal attention block; channel is tokens x width.
        values: Values, in the dtype of the keys.
        features: Motion representation of each frame, which the lifter reads.
        time_ns: Capture time of the frame in each cell.
        head: Cell the next frame is written to.
        fill: Number of cells that hold a frame.
    """

    keys: Float[np.ndarray, "slot block frame channel"]
    values: Float[np.ndarray, "slot block frame channel"]
    features: Float32[np.ndarray, "slot frame channel_f"]
    time_ns: Int64[np.ndarray, "slot frame"]
    head: Int32[np.ndarray, " slot"]
    fill: Int32[np.ndarray, " slot"]

    @classmethod
    def empty(
        cls,
        slots: int,
        blocks: int,
        frames: int,
        channels: int,
        feature_channels: int,
        *,
        dtype: Stored = np.float32,
    ) -> "Window":
        """Return a window of empty slots.

        Args:
            slots: Number of slots, one per person.
            blocks: Temporal attention blocks of the model; 0 for a model without a K/V ring.
            frames: Ring cells per person (W).
            channels: Size of one key (or value) of one block, all tokens together.
            feature_channels: Size of one feature.
            dtype: Storage type of keys and values; features stay float32.

        Raises:
            ConfigError: If there is no slot or no frame, or a size is negative.
        """
        if min(slots, frames) < 1 or min(blocks, channels, feature_channels) < 0:
            raise ConfigError(
                f"a window needs a slot and a frame, got {slots} slots of {frames} frames, "
                f"{blocks} blocks of {channels} channels and {feature_channels} feature channels"
            )
        return cls(
            keys=np.zeros((slots, blocks, frames, channels), dtype),
            values=np.zeros((slots, blocks, frames, channels), dtype),
            features=np.zeros((slots, frames, feature_channels), np.float32),
            time_ns=np.zeros((slots, frames), np.int64),
            head=np.zeros(slots, np.int32),
            fill=np.zeros(slots, np.int32),
        )

    @property
    def slots(self) -> int:
        """Number of slots, one per person."""
        return int(self.head.shape[0])

    @property
    def frames(self) -> int:
        """Ring cells per person."""
        return int(self.time_ns.shape[1])


def push(  # noqa: PLR0917 - the arrays of one frame
    window: Window,
    slots: Int32[np.ndarray, " person"],
    keys: Float32[np.ndarray, "person block channel"],
    values: Float32[np.ndarray, "person block channel"],
    features: Float32[np.ndarray, "person channel_f"],
    time_ns: Int64[np.ndarray, " person"],
) -> None:
    """Write the newest frame of every given person over the oldest one of its ring.

    Args:
        window: Changed in place: one cell per slot, head and fill.
        slots: Slots of the persons; each at most once.
        keys: Stored in the dtype of the ring: float32 unchanged, FP16 rounded to nearest even and
            saturated at HALF_MAX.
        values: Stored like the keys.
        features: Stored unchanged.
        time_ns: Capture time of the frame; not before that of the slot's last frame.

    Raises:
        IndexError: If a slot is outside the window.
        ValueError: If a slot is given twice.
    """
    _check_slots(window, slots)
    if np.unique(slots).size != slots.size:
        raise ValueError("a slot is given twice in one push; a step holds one frame per person")
    cell = window.head[slots]
    window.keys[slots, :, cell] = _stored(keys, window.keys.dtype)
    window.values[slots, :, cell] = _stored(values, window.values.dtype)
    window.features[slots, cell] = features
    window.time_ns[slots, cell] = time_ns
    window.head[slots] = (cell + 1) % window.frames
    window.fill[slots] = np.minimum(window.fill[slots] + 1, window.frames)


def key_bias(
    window: Window,
    slots: Int32[np.ndarray, " person"],
    time_ns: Int64[np.ndarray, " person"],
    max_age_ns: int,
) -> Float32[np.ndarray, "person frame"]:
    """Return the attention mask of the cached keys, to be added to their logits.

    Args:
        window: Read only.
        slots: Slots of the persons; may repeat.
        time_ns: Capture time of the querying frame.
        max_age_ns: Largest visible age, 0 or more.

    Returns:
        A new array: 0 where the cell holds a frame of age 0 to max_age_ns, both included; MASKED
        elsewhere.

    Raises:
        IndexError: If a slot is outside the window.
        ValueError: If max_age_ns is negative.
    """
    _check_slots(window, slots)
    if max_age_ns < 0:
        raise ValueError(f"max_age_ns must not be negative, got {max_age_ns}")
    then, now = window.time_ns[slots], time_ns[:, None]
    # Unsigned, because now - then >= 0 always fits in uint64 but may overflow int64.
    age = now.view(np.uint64) - then.view(np.uint64)
    seen = (then <= now) & (age <= np.uint64(max_age_ns))
    seen &= np.arange(window.frames) < window.fill[slots][:, None]
    return np.where(seen, np.float32(0), np.float32(MASKED))


def feature_at(
    window: Window,
    slots: Int32[np.ndarray, " person"],
    frames_back: Int32[np.ndarray, " person"],
) -> Float32[np.ndarray, "person channel_f"]:
    """Return the feature of the frame `frames_back` pushes before the newest; 0 is the newest.

    Returns:
        A new array.

    Raises:
        IndexError: If a slot is outside the window or does not hold that frame.
    """
    _check_slots(window, slots)
    _check_held(window, slots, frames_back)
    cell = (window.head[slots] - 1 - frames_back) % window.frames
    return np.asarray(window.features[slots, cell])


def reset(window: Window, slots: Int32[np.ndarray, " person"]) -> None:
    """Clear slots: afterwards they equal those of Window.empty, bit for bit.

    A masked key still enters attention as 0 x value, so a value that is not finite must not remain
    for the next person in the slot.

    Args:
        window: Changed in place.
        slots: Slots to clear; may repeat.

    Raises:
        IndexError: If a slot is outside the window.
    """
    _check_slots(window, slots)
    for ring in (window.keys, window.values, window.features, window.time_ns):
        ring[slots] = 0
    window.head[slots] = 0
    window.fill[slots] = 0


def _stored(numbers: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype == np.float16:
        numbers = np.clip(numbers, -HALF_MAX, HALF_MAX)
    return numbers.astype(dtype, copy=False)


def _check_slots(window: Window, slots: np.ndarray) -> None:
    outside = slots[(slots < 0) | (slots >= window.slots)]
    if outside.size:
        raise IndexError(f"slot {outside[0]} is outside the window of {window.slots} slots")


def _check_held(window: Window, slots: np.ndarray, frames_back: np.ndarray) -> None:
    missing = (frames_back < 0) | (frames_back >= window.fill[slots])
    if missing.any():
        slot, back = slots[missing][0], frames_back[missing][0]
        held = window.fill[slot]
        raise IndexError(f"slot {slot} holds {held} frames, the frame {back} back was asked for")
