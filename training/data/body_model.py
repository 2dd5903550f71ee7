"""SMPL-H body models: compute Human3.6M joints from shape and joint angles with smplx."""

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from langpose_rt.errors import ConfigError

_FRAMES_AT_ONCE = 512
_KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")


@dataclass(frozen=True, kw_only=True)
class BodyModel:
    """SMPL-H model of one gender in the form smplx takes."""

    template: Float[Tensor, "vertex 3"]
    shapes: Float[Tensor, "vertex 3 shape"]
    poses: Float[Tensor, "bend vertex*3"]
    joint_regressor: Float[Tensor, "joint vertex"]
    weights: Float[Tensor, "vertex joint"]
    parents: Int[Tensor, " joint"]

    @torch.no_grad()
    def joints(
        self,
        poses: Float[np.ndarray, "frame angle"],
        trans_m: Float[np.ndarray, "frame 3"],
        betas: Float[np.ndarray, " shape"],
        regressor: Float[np.ndarray, "17 vertex"],
    ) -> Float32[np.ndarray, "frame 17 3"]:
        """Compute Human3.6M joints in metres, in the axes of the recording.

        Args:
            poses: Axis-angle of every joint of the model, root first.
            trans_m: Translation of the body.
            betas: Shape coefficients; those beyond the model's are ignored.
            regressor: Joint regressor over the vertices.
        """
        from smplx.lbs import lbs

        shapes = min(len(betas), self.shapes.shape[-1])
        shape = torch.from_numpy(np.asarray(betas[:shapes], np.float32))[None]
        to_joints = torch.from_numpy(np.asarray(regressor, np.float32))
        parts = []
        for start in range(0, len(poses), _FRAMES_AT_ONCE):
            pose = torch.from_numpy(np.asarray(poses[start : start + _FRAMES_AT_ONCE], np.float32))
            vertices, _ = lbs(
                shape.expand(len(pose), -1), pose, self.template[None],
                self.shapes[..., :shapes], self.poses, self.joint_regressor, self.parents,
                self.weights,
            )  # fmt: skip
            parts.append((to_joints @ vertices).numpy())
        return np.asarray(np.concatenate(parts) + trans_m[:, None], np.float32)


def read_body_model(path: Path) -> BodyModel:
    """Read a model.npz of SMPL-H.

    Raises:
        ConfigError: If it is missing or has an unexpected layout.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {key: np.asarray(file[key]) for key in _KEYS}
    except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
        raise ConfigError(
            f"cannot read {path}: {error}; expected model.npz of SMPL-H with {', '.join(_KEYS)}"
        ) from error
    bends = arrays["posedirs"].reshape(-1, arrays["posedirs"].shape[-1]).T
    parents = arrays["kintree_table"][0].astype(np.int64)
    parents[0] = -1
    return BodyModel(
        template=_tensor(arrays["v_template"]),
        shapes=_tensor(arrays["shapedirs"]),
        poses=_tensor(bends),
        joint_regressor=_tensor(arrays["J_regressor"]),
        weights=_tensor(arrays["weights"]),
        parents=torch.from_numpy(parents),
    )


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))
