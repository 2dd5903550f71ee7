"""Sliding window on the CPU: the functions of reference.py, in C++ if the extension was built.

Same names, parameters, shapes and results, bit for bit; the GIL is released. Without the extension
(no compiler at install time, or other sources since) the NumPy functions are used and
HOST_IS_NATIVE is False. The arithmetic is in cpp_ext/sliding_window.cuh, which the CUDA kernels
share.
"""

import numpy as np
from jaxtyping import Float32, Int32, Int64

from langpose_rt.extension import why_no_extension
from langpose_rt.window import reference
from langpose_rt.window.reference import MASKED, Window

HOST_IS_NATIVE = not why_no_extension()
if HOST_IS_NATIVE:
    from langpose_rt import _native as native

__all__ = [
    "HOST_IS_NATIVE",
    "MASKED",
    "Window",
    "feature_at",
    "key_bias",
    "push",
    "reset",
]


def push(  # noqa: PLR0917 - the arrays of one frame
    window: Window,
    slots: Int32[np.ndarray, " person"],
    keys: Float32[np.ndarray, "person block channel"],
    values: Float32[np.ndarray, "person block channel"],
    features: Float32[np.ndarray, "person channel_f"],
    time_ns: Int64[np.ndarray, " person"],
) -> None:
    """Push new frames, see reference.push."""
    if not HOST_IS_NATIVE:
        return reference.push(window, slots, keys, values, features, time_ns)
    native.push(
        window.keys,
        window.values,
        window.features,
        window.time_ns,
        window.head,
        window.fill,
        np.ascontiguousarray(slots),
        np.ascontiguousarray(keys),
        np.ascontiguousarray(values),
        np.ascontiguousarray(features),
        np.ascontiguousarray(time_ns),
    )
    return None


def key_bias(
    window: Window,
    slots: Int32[np.ndarray, " person"],
    time_ns: Int64[np.ndarray, " person"],
    max_age_ns: int,
) -> Float32[np.ndarray, "person frame"]:
    """Compute the attention mask, see reference.key_bias."""
    if not HOST_IS_NATIVE:
        return reference.key_bias(window, slots, time_ns, max_age_ns)
    bias = np.empty((len(slots), window.frames), np.float32)
    native.key_bias(
        window.time_ns,
        window.fill,
        np.ascontiguousarray(slots),
        np.ascontiguousarray(time_ns),
        bias,
        max_age_ns,
    )
    return bias


def feature_at(
    window: Window,
    slots: Int32[np.ndarray, " person"],
    frames_back: Int32[np.ndarray, " person"],
) -> Float32[np.ndarray, "person channel_f"]:
    """Read features, see reference.feature_at."""
    if not HOST_IS_NATIVE:
        return reference.feature_at(window, slots, frames_back)
    out = np.empty((len(slots), window.features.shape[2]), np.float32)
    native.feature_at(
        window.features,
        window.head,
        window.fill,
        np.ascontiguousarray(slots),
        np.ascontiguousarray(frames_back),
        out,
    )
    return out


def reset(window: Window, slots: Int32[np.ndarray, " person"]) -> None:
    """Reset slots, see reference.reset; only cells written since the last reset are cleared."""
    if not HOST_IS_NATIVE:
        return reference.reset(window, slots)
    native.reset(
        window.keys,
        window.values,
        window.features,
        window.time_ns,
        window.head,
        window.fill,
        np.ascontiguousarray(slots),
    )
    return None
