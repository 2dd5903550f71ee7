"""Cameras around the origin, a body made of the reference bones, and exact views of it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from langpose_rt.fusion.camera_array import CameraArray
from langpose_rt.fusion.detections import CameraFrame, Detections, MonocularLifts
from langpose_rt.fusion.joint_layout import JointLayout
from langpose_rt.geometry.camera import Camera, Intrinsics
from langpose_rt.geometry.skeleton import SKELETONS
from tests.fakes import POSE

TWO_PEOPLE = Path(__file__).parents[1] / "data" / "pose2sim_two_people.npz"
SIZE = (1280, 720)
H36M = SKELETONS["h36m17"]
LAYOUT = JointLayout.of_skeleton(H36M)
MS = 1_000_000
WORLD_FROM_CAMERA = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""Camera axes to axes with z up."""


def camera_at(name: str, centre: Sequence[float], lens: Intrinsics | None = None) -> Camera:
    """A level camera that looks at (0, 0, 1)."""
    place = np.array(centre, np.float64)
    forward = np.array([0.0, 0.0, 1.0]) - place
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :3] = np.stack([right, np.cross(forward, right), forward], 1)
    T[:3, 3] = place
    lens = lens or Intrinsics.from_fov(*SIZE, 70.0)
    return Camera(
        name=name, intrinsics=lens, T_world_camera=T, gravity=T[:3, :3].T @ [0.0, 0.0, -1.0]
    )


def ring(count: int, radius_m: float = 4.0) -> dict[str, Camera]:
    """Cameras all around, not quite evenly, at different heights; two stand at a right angle."""
    angles = np.arange(count) * 2 * np.pi / max(count, 4) + 0.3 + 0.05 * np.arange(count) ** 2
    places = [
        (radius_m * np.cos(a), radius_m * np.sin(a), 1.2 + 0.3 * n) for n, a in enumerate(angles)
    ]
    return {f"cam{n}": camera_at(f"cam{n}", place) for n, place in enumerate(places)}


def body(x_m: float = 0.0, y_m: float = 0.0, *, turned: float = 0.0) -> np.ndarray:
    """Somebody who stands on a spot of the floor [17, 3], world axes."""
    upright = POSE.astype(np.float64) @ WORLD_FROM_CAMERA.T
    cos, sin = np.cos(turned), np.sin(turned)
    upright = upright @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]).T
    return upright + np.array([x_m, y_m, -float(upright[:, 2].min())])


def seen_by(camera: Camera, joints: np.ndarray, score: float = 0.9) -> np.ndarray:
    """Exact keypoints [..., 17, 3] without distortion."""
    T, lens = camera.T_world_camera, camera.intrinsics
    assert T is not None
    local = (joints - T[:3, 3]) @ T[:3, :3]
    px = local[..., :2] / local[..., 2:] * [lens.fx_px, lens.fy_px] + [lens.cx_px, lens.cy_px]
    return np.concatenate([px, np.full((*px.shape[:-1], 1), score)], -1)


def detections_of(
    cameras: CameraArray, people: Sequence[np.ndarray], views: Sequence[Sequence[int]]
) -> Detections:
    """What cameras see of people: views says which people each camera sees, in that order."""
    frames = {}
    rays, _ = cameras.project(np.stack(people))
    for camera, who in enumerate(views):
        chosen = rays[camera, list(who)].reshape(-1, 17, 2)
        frames[camera] = CameraFrame(
            t_ns=0,
            track=np.arange(len(who)),
            rays=chosen,
            scores=np.full(chosen.shape[:2], 0.9),
            lifts=MonocularLifts.missing(len(who)),
        )
    return Detections.of_frames(frames, 17)


def pair_in_one_plane(cameras: CameraArray) -> tuple[np.ndarray, np.ndarray]:
    """Two people of whom the first two cameras see one each where they would see somebody small.

    Each stands behind the middle of the room as its camera looks, so that the rays meet there too.
    """
    behind = 0.3 * (np.zeros(3) - cameras.centres[:2])
    first, second = behind[:, :2].tolist()
    return body(*first), body(*second)
