"""Lifts of virtual scenes by the model that ships, as a server that fuses has them."""

from dataclasses import replace

import numpy as np

from langpose_rt.config import NS_PER_S
from langpose_rt.formats.clip import Clip
from langpose_rt.fusion.detections import MonocularLifts
from langpose_rt.geometry.camera import Camera
from langpose_rt.geometry.skeleton import SKELETONS, bone_lengths
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.pipeline.offline import lift_clip
from langpose_rt.runtime.backend import Backend
from tests.benchmarks.fusion_scenes import SIZE_PX, Scene, SceneFrame


def lifted_by(backend: Backend, scene: Scene, *, bones_known: bool = False) -> Scene:
    """The scene with a lift of everybody in every frame, camera by camera.

    Args:
        backend: Lifts.
        scene: With or without lifts.
        bones_known: Whether the rigs know everybody's bone lengths.
    """
    bones_m = _true_bones_m(scene) if bones_known else None
    frames = list(scene.frames)
    for name, camera in scene.cameras.items():
        places = [place for place, frame in enumerate(frames) if frame.camera == name]
        own = [frames[place] for place in places]
        for place, lifts in zip(
            places, _lifts(backend, camera, own, len(scene.people), bones_m), strict=True
        ):
            frames[place] = replace(frames[place], lifts=lifts)
    return replace(scene, frames=frames)


def _true_bones_m(scene: Scene) -> np.ndarray:
    """Mean bone lengths of everybody [person, 16]."""
    times = np.linspace(0, max(frame.t_ns for frame in scene.frames) / NS_PER_S, 20)
    return np.nanmean(bone_lengths(scene.truth(times)), axis=1).astype(np.float32)


def _lifts(
    backend: Backend,
    camera: Camera,
    frames: list[SceneFrame],
    people: int,
    bones_m: np.ndarray | None,
) -> list[MonocularLifts]:
    keypoints = np.zeros((len(frames), people, 17, 3), np.float32)
    ids = np.full((len(frames), people), -1)
    for index, frame in enumerate(frames):
        keypoints[index, frame.who], ids[index, frame.who] = frame.keypoints, frame.who
    # a server refuses a camera most of whose keypoints lie outside of its picture
    outside = (keypoints[..., :2] < 0) | (keypoints[..., :2] > SIZE_PX)
    keypoints[outside.any(-1)] = 0.0
    clip = Clip(
        keypoints=keypoints,
        skeleton=SKELETONS["h36m17"],
        size=SIZE_PX,
        t_ns=np.array([frame.stamp_ns for frame in frames]),
        ids=ids,
        intrinsics=camera.intrinsics,
        gravity=camera.gravity,
        bones_m=bones_m,
    )
    found = lift_clip(clip, backend, PipelineConfig())
    T = camera.T_world_camera
    assert T is not None
    pose, root = found.pose @ T[:3, :3].T, found.root @ T[:3, :3].T + T[:3, 3]
    return [
        MonocularLifts(
            pose=pose[index, frame.who],
            sigma_m=found.sigma_m[index, frame.who].astype(np.float64),
            root=root[index, frame.who],
        )
        for index, frame in enumerate(frames)
    ]
