"""Score a checkpoint on real detections with 3D ground truth that were not trained on.

Scores the network alone at lag 0, without output filter and tracking. `langpose-rt evaluate` scores
the whole pipeline.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from langpose_rt.errors import ConfigError
from langpose_rt.evaluation.clip_scores import scores_of_poses
from langpose_rt.formats.clip import Clip
from langpose_rt.formats.readers import read_clip
from langpose_rt.geometry.camera import ASSUMED_FOV_DEG, Intrinsics, pixel_to_ray
from langpose_rt.geometry.skeleton import BONES, REFERENCE_STATURE_M, to_h36m17
from langpose_rt.model.langpose import LangPose
from training.evaluation.scores import Point
from training.evaluation.validation import predict
from training.synthesis.batches import Footage, anchor_clips


def real_curves(model: LangPose, paths: Sequence[Path]) -> Iterator[tuple[str, list[Point]]]:
    """Yield the errors on all clips as one curve, like `curves.curves`; nothing without clips.

    Args:
        model: Causal model with person-centred input.
        paths: Paths of clips with pose3d of the person in column 0.

    Raises:
        ConfigError: If a clip cannot be read or has no 3D, or the model takes screen input.
    """
    if paths and (model.config.input != "anchored" or not model.config.causal):
        raise ConfigError("--clips asks causal models with anchored input; leave it out for others")
    if paths:
        yield "real clip", list(_points(model, paths))


def _points(model: LangPose, paths: Sequence[Path]) -> Iterator[Point]:
    for path in paths:
        clip = read_clip(path)
        try:
            found = scores_of_poses(lift_clip(model, clip), clip).to_dict()
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        yield str(path), {name: float("nan") if v is None else v for name, v in found.items()}


def lift_clip(model: LangPose, clip: Clip) -> Float[np.ndarray, "frame 17 3"]:
    """Lift the person in column 0; return root-relative metres in camera axes."""
    joints = to_h36m17(clip.keypoints[:, 0], clip.skeleton)[None]
    intrinsics = clip.intrinsics or Intrinsics.from_fov(*clip.size, ASSUMED_FOV_DEG)
    gravity = np.full(3, np.nan) if clip.gravity is None else clip.gravity
    stature_m = clip.person_height_m or REFERENCE_STATURE_M
    footage = Footage(
        rays=pixel_to_ray(joints[..., :2], intrinsics).astype(np.float32),
        scores=joints[..., 2].astype(np.float32),
        time_ns=(clip.t_ns - clip.t_ns[0])[None],
        gravity=gravity[None].astype(np.float32),
        bones_m=np.full((1, len(BONES)), np.nan, np.float32),
        pose_camera_m=np.zeros(joints.shape, np.float32),
        stature_m=np.array([stature_m], np.float32),
        source=np.zeros(1, np.int64),
        screen=np.zeros((*joints.shape[:-1], 2), np.float32),
    )
    batch = anchor_clips(footage)
    pose = predict(model, batch)[0] * (stature_m / REFERENCE_STATURE_M)
    return np.asarray(pose @ batch.rotation[0])
