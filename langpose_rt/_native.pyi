"""The C++ extension; called by window.native, runtime.native and pipeline.native_geometry alone."""

from collections.abc import Mapping

from numpy import ndarray

SOURCES: str
"""Digest of the sources it was built from, see extension.py."""

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
def pixel_to_ray(keypoints_px: ndarray, lens: ndarray, rays: ndarray) -> bool: ...
def anchor_step(
    anchor_ray: ndarray,
    seen: ndarray,
    log_size: ndarray,
    weight_s: ndarray,
    slots: ndarray,
    rays: ndarray,
    scores: ndarray,
    dt_s: ndarray,
    gravity: ndarray,
    bones: ndarray,
    bone_lengths_m: ndarray,
    torso_weights: ndarray,
    parameters: ndarray,
    rows: ndarray,
    extras: ndarray,
    rotation: ndarray,
) -> None: ...
def root_from_pose(
    poses: ndarray,
    rays: ndarray,
    weights: ndarray,
    root: ndarray,
    parameters: ndarray,
) -> None: ...
def refine(
    offset_m: ndarray,
    gap_m: ndarray,
    jitter_m: ndarray,
    measured_s: ndarray,
    last_ns: ndarray,
    slots: ndarray,
    rays: ndarray,
    scores: ndarray,
    sigma_m: ndarray,
    time_ns: ndarray,
    parameters: ndarray,
    pose: ndarray,
    root: ndarray,
) -> None: ...
def smooth(
    value: ndarray,
    raw: ndarray,
    velocity: ndarray,
    last_ns: ndarray,
    cutoff_hz: ndarray,
    rise_hz: ndarray,
    speed_cutoff_hz: float,
    slots: ndarray,
    time_ns: ndarray,
    points_m: ndarray,
) -> None: ...
def steady_bones(
    means: ndarray,
    last_ns: ndarray,
    slots: ndarray,
    seen: ndarray,
    time_ns: ndarray,
    bones: ndarray,
    parameters: ndarray,
    pose_m: ndarray,
) -> None: ...
def clean_keypoints(
    keypoints: ndarray,
    width: float,
    height: float,
    fractions: bool,
    most_image_sizes: float,
    clean: ndarray,
) -> int: ...
