"""The C++ extension; called by langpose_rt.window.native and langpose_rt.runtime.native alone."""

from collections.abc import Mapping

from numpy import ndarray

INSTRUCTION_SETS: dict[str, bool]
"""What the step can use on this processor, the best first, and whether it reads weights in half."""

class FrameStep:
    def __init__(
        self,
        instruction_set: str,
        sizes: Mapping[str, int],
        max_age_ns: int,
        arrays: Mapping[str, ndarray],
    ) -> None: ...
    def encode(
        self,
        window_keys: ndarray,
        window_values: ndarray,
        window_features: ndarray,
        window_time_ns: ndarray,
        window_head: ndarray,
        window_fill: ndarray,
        rows: ndarray,
        extras: ndarray,
        slots: ndarray,
        time_ns: ndarray,
        embeddings: ndarray,
    ) -> None: ...
    def lift(
        self,
        window_features: ndarray,
        window_head: ndarray,
        window_fill: ndarray,
        slots: ndarray,
        frames_back: ndarray,
        lag_s: ndarray,
        poses: ndarray,
        sigmas: ndarray,
    ) -> None: ...

def push(
    window_keys: ndarray,
    window_values: ndarray,
    window_features: ndarray,
    window_time_ns: ndarray,
    window_head: ndarray,
    window_fill: ndarray,
    slots: ndarray,
    keys: ndarray,
    values: ndarray,
    features: ndarray,
    time_ns: ndarray,
) -> None: ...
def key_bias(
    window_time_ns: ndarray,
    window_fill: ndarray,
    slots: ndarray,
    time_ns: ndarray,
    bias: ndarray,
    max_age_ns: int,
) -> None: ...
def feature_at(
    window_features: ndarray,
    window_head: ndarray,
    window_fill: ndarray,
    slots: ndarray,
    frames_back: ndarray,
    out: ndarray,
) -> None: ...
def reset(
    window_keys: ndarray,
    window_values: ndarray,
    window_features: ndarray,
    window_time_ns: ndarray,
    window_head: ndarray,
    window_fill: ndarray,
    slots: ndarray,
) -> None: ...
