"""Reader of MPI-INF-3DHP as P-STMO stores it: data_train_3dhp.npz and data_test_3dhp.npz.

    train   data: {"S1 Seq1": [{"0".."8": {"data_2d": (F,17,2) px, "data_3d": (F,17,3) mm}}, fps]}
    test    data: {"TS1".."TS6": {"data_2d", "data_3d", "valid": (F,) of 0 and 1}}

Joints come in the file's own order (head top, neck, right arm, left arm, right leg, left leg,
pelvis, spine, head) and are returned in Human3.6M order; 3D is absolute in camera axes, mm.

Source: P-STMO (Shan et al. 2022), public code; the order of joints as MotionAGFormer maps it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float32

from langpose_rt.config import NUM_JOINTS
from langpose_rt.errors import ConfigError
from training.data.plain_pickle import read_npz_object

H36M_FROM_MPI = (14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4)
"""Index in the file of every Human3.6M joint."""

_TRAIN_SIZE_PX = (2048, 2048)
_TEST_SIZES_PX = dict.fromkeys(("TS1", "TS2", "TS3", "TS4"), (2048, 2048)) | dict.fromkeys(
    ("TS5", "TS6"), (1920, 1080)
)


@dataclass(frozen=True, kw_only=True)
class Sequence3dhp:
    """Sequence of one camera.

    Attributes:
        name: "TS1", or "S1 Seq1 0" with the camera.
        fps: Frame rate; None if the file has none.
        size_px: Width and height of the image.
        joints_px: True projections.
        pose_mm: Absolute pose in camera axes.
        valid: True for frames that are scored.
    """

    name: str
    fps: float | None
    size_px: tuple[int, int]
    joints_px: Float32[np.ndarray, "frame 17 2"]
    pose_mm: Float32[np.ndarray, "frame 17 3"]
    valid: Bool[np.ndarray, " frame"]


def read_3dhp(path: Path, split: Literal["train", "test"]) -> list[Sequence3dhp]:
    """Read every sequence of a file.

    Raises:
        ConfigError: If the file is missing, damaged, or has an unexpected layout.
    """
    expected = f'data_{split}_3dhp.npz of P-STMO with "data"'
    data = read_npz_object(path, "data", expected)
    if not isinstance(data, Mapping):
        raise ConfigError(f"{path} holds no sequences; expected {expected}")
    read = _train_sequences if split == "train" else _test_sequences
    return list(read(path, data))


def _train_sequences(path: Path, data: Mapping[str, Any]) -> Iterator[Sequence3dhp]:
    for name, stored in data.items():
        try:
            cameras, fps = stored[0], float(stored[1])
            pairs = sorted(cameras.items())
        except (TypeError, KeyError, IndexError, ValueError, AttributeError):
            raise ConfigError(f'{path}: "{name}" is not [cameras, fps] as P-STMO has it') from None
        for camera, joints in pairs:
            yield _sequence(path, f"{name} {camera}", joints, fps=fps, size_px=_TRAIN_SIZE_PX)


def _test_sequences(path: Path, data: Mapping[str, Any]) -> Iterator[Sequence3dhp]:
    for name, joints in sorted(data.items()):
        if name not in _TEST_SIZES_PX:
            raise ConfigError(f'{path} has a sequence "{name}"; expected TS1 to TS6')
        yield _sequence(path, name, joints, fps=None, size_px=_TEST_SIZES_PX[name])


def _sequence(
    path: Path, name: str, joints: Any, *, fps: float | None, size_px: tuple[int, int]
) -> Sequence3dhp:
    try:
        joints_px = np.asarray(joints["data_2d"], np.float32)
        pose_mm = np.asarray(joints["data_3d"], np.float32)
        valid = np.asarray(joints.get("valid", np.ones(len(pose_mm)))).reshape(-1).astype(bool)
    except (TypeError, KeyError, ValueError, AttributeError):
        raise ConfigError(f'{path}: "{name}" has no numbers in data_2d and data_3d') from None
    frames = len(pose_mm)
    shapes = (joints_px.shape, pose_mm.shape, valid.shape)
    if shapes != ((frames, NUM_JOINTS, 2), (frames, NUM_JOINTS, 3), (frames,)):
        raise ConfigError(
            f'{path}: data_2d, data_3d and valid of "{name}" have shapes '
            f"{', '.join(map(str, shapes))}; expected (F,17,2), (F,17,3) and (F,)"
        )
    order = list(H36M_FROM_MPI)
    return Sequence3dhp(
        name=name, fps=fps, size_px=size_px, joints_px=joints_px[:, order],
        pose_mm=pose_mm[:, order], valid=valid,
    )  # fmt: skip
