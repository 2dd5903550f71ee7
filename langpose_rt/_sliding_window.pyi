"""The C++ extension of cpp_ext/host.cpp; only langpose_rt.window.native calls it."""

from numpy import ndarray

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
    /,
) -> None: ...
def key_bias(
    window_time_ns: ndarray,
    window_fill: ndarray,
    slots: ndarray,
    time_ns: ndarray,
    bias: ndarray,
    max_age_ns: int,
    /,
) -> None: ...
def feature_at(
    window_features: ndarray,
    window_head: ndarray,
    window_fill: ndarray,
    slots: ndarray,
    frames_back: ndarray,
    out: ndarray,
    /,
) -> None: ...
def gather(
    window_features: ndarray,
    window_head: ndarray,
    window_fill: ndarray,
    slots: ndarray,
    out: ndarray,
    /,
) -> None: ...
def reset(
    window_keys: ndarray,
    window_values: ndarray,
    window_features: ndarray,
    window_time_ns: ndarray,
    window_head: ndarray,
    window_fill: ndarray,
    slots: ndarray,
    /,
) -> None: ...
