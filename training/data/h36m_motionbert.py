"""Reader of MotionBERT's Human3.6M pickle, h36m_sh_conf_cam_source_final.pkl.

    {"train": {...}, "test": {...}} with, over all frames of a split one after the other,
    joint_2d        (N,17,2) detections in pixels      joint3d_image   (N,17,3) x, y px and depth px
    confidence      (N,17) or (N,17,1), may be absent  camera_name     list of N
    source          list of N, as s_09_act_05_subact_02_ca_01
    action, 2.5d_factor (mm per pixel), joints_2.5d_image (mm): test only

Targets are normalised pixels, so this file and VideoPose3D's must never be mixed.

Source: MotionBERT (Zhu et al. 2023), public code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32

from langpose_rt.config import NUM_JOINTS
from langpose_rt.errors import ConfigError
from training.data.h36m_cameras import SIZES_PX
from training.data.plain_pickle import read_pickle

_EXPECTED = "h36m_sh_conf_cam_source_final.pkl of MotionBERT: a dict with train and test"


@dataclass(frozen=True, kw_only=True)
class ImageVideo:
    """Video of one camera, in image coordinates.

    Attributes:
        source: Name in the file.
        action: Action in the file; empty in the training split.
        size_px: Width and height of the image.
        joints_px: Detections.
        scores: Confidence of the detections; 1 if the file has none.
        pose_image_px: x, y and root-relative depth, in pixels.
        pose_mm: The same in mm, root-relative; test split only.
        mm_per_px: Converts predictions in pixels to mm; test split only.
    """

    source: str
    action: str
    size_px: tuple[int, int]
    joints_px: Float32[np.ndarray, "frame 17 2"]
    scores: Float32[np.ndarray, "frame 17"]
    pose_image_px: Float32[np.ndarray, "frame 17 3"]
    pose_mm: Float32[np.ndarray, "frame 17 3"] | None
    mm_per_px: Float32[np.ndarray, " frame"] | None


def read_h36m_motionbert(path: Path, split: Literal["train", "test"]) -> list[ImageVideo]:
    """Read every video of a split, in the file's order.

    Raises:
        ConfigError: If the file is missing, damaged, or has an unexpected layout.
    """
    whole = read_pickle(path, _EXPECTED)
    if not isinstance(whole, Mapping) or not isinstance(whole.get(split), Mapping):
        raise ConfigError(f'{path} has no "{split}"; expected {_EXPECTED}')
    data = whole[split]
    frames = _arrays(path, split, data)
    places = range(len(frames["scores"]))
    groups = groupby(places, key=lambda place: (data["source"][place], data["camera_name"][place]))
    return [_video(path, split, data, frames, list(group)) for _, group in groups]


def _arrays(path: Path, split: str, data: Mapping[str, Any]) -> dict[str, np.ndarray]:
    shapes: dict[str, tuple[int, ...]] = {
        "joint_2d": (NUM_JOINTS, 2),
        "joint3d_image": (NUM_JOINTS, 3),
    }
    if split == "test":
        shapes |= {"joints_2.5d_image": (NUM_JOINTS, 3), "2.5d_factor": ()}
    missing = [key for key in (*shapes, "source", "camera_name") if key not in data]
    if missing:
        raise ConfigError(f'{path} has no "{missing[0]}" in "{split}"; expected {_EXPECTED}')
    count = len(data["source"])
    arrays = {key: np.asarray(data[key], np.float32) for key in shapes}
    for key, shape in shapes.items():
        if arrays[key].shape != (count, *shape):
            raise ConfigError(
                f'{path}: "{key}" of "{split}" has shape {arrays[key].shape}, '
                f"expected {(count, *shape)}"
            )
    scores = np.asarray(data.get("confidence", np.ones((count, NUM_JOINTS))), np.float32)
    if scores.size != count * NUM_JOINTS:
        raise ConfigError(
            f'{path}: "confidence" of "{split}" has shape {scores.shape}, expected {(count, 17)}'
        )
    return arrays | {"scores": scores.reshape(count, NUM_JOINTS)}


def _video(
    path: Path,
    split: str,
    data: Mapping[str, Any],
    frames: Mapping[str, np.ndarray],
    places: list[int],
) -> ImageVideo:
    first, rows = places[0], slice(places[0], places[-1] + 1)
    camera = str(data["camera_name"][first])
    if camera not in SIZES_PX:
        raise ConfigError(f'{path} names camera "{camera}"; expected one of {", ".join(SIZES_PX)}')
    test = split == "test"
    return ImageVideo(
        source=str(data["source"][first]),
        action=str(data["action"][first]) if test and "action" in data else "",
        size_px=SIZES_PX[camera],
        joints_px=frames["joint_2d"][rows],
        scores=frames["scores"][rows],
        pose_image_px=frames["joint3d_image"][rows],
        pose_mm=frames["joints_2.5d_image"][rows] if test else None,
        mm_per_px=frames["2.5d_factor"][rows] if test else None,
    )
