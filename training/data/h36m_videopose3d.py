"""Reader of Human3.6M as VideoPose3D stores it: one file of 3D, one of 2D.

    data_3d_h36m.npz        positions_3d: {subject: {action: (T,32,3) metres, world}}
    data_2d_h36m_*.npz      positions_2d: {subject: {action: [four cameras of (T',J,2) pixels]}}
                            metadata: {num_joints, keypoints_symmetry, layout_name}

The 2D may be the true projections (gt), CPN (17 joints in Human3.6M order) or Detectron (17 joints
in COCO order, which become Human3.6M's here). T' may exceed T; the rest is cut.

Source: VideoPose3D (Pavllo et al. 2019), layout of its public files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from langpose_rt.config import NUM_JOINTS
from langpose_rt.errors import ConfigError
from langpose_rt.geometry.skeleton import SKELETONS, to_h36m17
from training.data.h36m_cameras import H36mCamera, cameras_of_subject
from training.data.plain_pickle import read_npz_object

JOINTS_17 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""Indices of the 17 joints among the 32 joints of Human3.6M."""

FPS = 50.0
TRAIN_SUBJECTS = ("S1", "S5", "S6", "S7", "S8")
TEST_SUBJECTS = ("S9", "S11")

_EXPECTED_3D = 'data_3d_h36m.npz of VideoPose3D with "positions_3d"'
_EXPECTED_2D = 'data_2d_h36m_*.npz of VideoPose3D with "positions_2d" and "metadata"'


@dataclass(frozen=True, kw_only=True)
class CameraVideo:
    """Recording of one camera.

    Attributes:
        subject, action: Such as "S9" and "Walking 1".
        camera: Calibrated camera.
        joints_px: Detections, or the true projection.
        pose_camera_m: Absolute pose in camera axes.
    """

    subject: str
    action: str
    camera: H36mCamera
    joints_px: Float32[np.ndarray, "frame 17 2"]
    pose_camera_m: Float32[np.ndarray, "frame 17 3"]


def read_h36m_videopose3d(
    path_3d: Path, path_2d: Path, subjects: tuple[str, ...]
) -> list[CameraVideo]:
    """Read every camera of every recording of some subjects.

    Raises:
        ConfigError: If a file is missing or damaged, has an unexpected layout, or lacks a subject.
    """
    positions_3d = read_npz_object(path_3d, "positions_3d", _EXPECTED_3D)
    positions_2d = read_npz_object(path_2d, "positions_2d", _EXPECTED_2D)
    metadata = read_npz_object(path_2d, "metadata", _EXPECTED_2D)
    skeleton = _skeleton(path_2d, metadata)
    videos = []
    for subject in subjects:
        for path, positions in ((path_3d, positions_3d), (path_2d, positions_2d)):
            if not isinstance(positions, Mapping) or subject not in positions:
                raise ConfigError(f"{path} has no subject {subject}; expected {subjects} in it")
        for action, joints_m in positions_3d[subject].items():
            seen = positions_2d[subject].get(action)
            if seen is None:
                raise ConfigError(f'{path_2d} has no "{action}" of {subject}; {path_3d} has')
            names = f'"{action}" of {subject}'
            for camera, pose_m, joints_px in _views(path_3d, names, subject, joints_m, seen):
                videos.append(
                    CameraVideo(
                        subject=subject,
                        action=action,
                        camera=camera,
                        joints_px=_to_h36m(path_2d, names, joints_px, skeleton)[: len(pose_m)],
                        pose_camera_m=pose_m,
                    )
                )
    return videos


def _skeleton(path: Path, metadata: Any) -> str:
    """Return the name of the keypoint format; files without a layout use Human3.6M's order."""
    layout = metadata.get("layout_name", "h36m") if isinstance(metadata, Mapping) else None
    skeletons = {"h36m": "h36m17", "coco": "coco17"}
    if layout not in skeletons:
        raise ConfigError(f"{path} is of layout {layout!r}; expected h36m or coco")
    return skeletons[layout]


def _views(
    path: Path, names: str, subject: str, joints_m: Any, seen: Any
) -> Iterator[tuple[H36mCamera, Float32[np.ndarray, "frame 17 3"], np.ndarray]]:
    world_m = np.asarray(joints_m, np.float64)
    if world_m.ndim != 3 or world_m.shape[1:] not in ((32, 3), (NUM_JOINTS, 3)):
        raise ConfigError(f"{path}: {names} has shape {world_m.shape}; expected (T,32,3)")
    if world_m.shape[1] == 32:
        world_m = world_m[:, JOINTS_17]
    cameras = cameras_of_subject(subject)
    if len(seen) != len(cameras):
        raise ConfigError(f"{path}: {names} is seen by {len(seen)} cameras; expected 4")
    for camera, joints_px in zip(cameras, seen, strict=True):
        if len(joints_px) < len(world_m):
            raise ConfigError(
                f"{path}: {names} has {len(world_m)} frames in 3D and {len(joints_px)} in 2D; "
                "the 2D may be longer, not shorter"
            )
        yield camera, camera.to_camera(world_m).astype(np.float32), np.asarray(joints_px)


def _to_h36m(
    path: Path, names: str, joints_px: np.ndarray, skeleton: str
) -> Float32[np.ndarray, "frame 17 2"]:
    if joints_px.ndim != 3 or joints_px.shape[1:] != (NUM_JOINTS, 2):
        raise ConfigError(f"{path}: {names} has shape {joints_px.shape}; expected (T,17,2)")
    if skeleton == "h36m17":
        return joints_px.astype(np.float32)
    scored = np.concatenate([joints_px, np.ones((*joints_px.shape[:2], 1))], -1)
    return to_h36m17(scored.astype(np.float32), SKELETONS[skeleton])[..., :2]
