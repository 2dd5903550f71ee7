"""Validation during training: errors in mm on one fixed batch of validation motion.

The benchmark is in benchmark.py.
"""

import numpy as np
import torch
from jaxtyping import Float32

from langpose_rt.config import NUM_JOINTS
from langpose_rt.evaluation.metrics import mpjpe_mm, p_mpjpe_mm
from langpose_rt.geometry.skeleton import REFERENCE_STATURE_M
from langpose_rt.model.langpose import LangPose
from training.data.mocap import Mocap
from training.synthesis.batches import Batch, DataConfig, batch_from_seed

VALIDATION_SEED = 987_654
_CLIPS_AT_ONCE = 64


def validation_batch(
    mocap: Mocap, *, clips: int = 192, frames: int = 64, screen: bool = False
) -> Batch:
    """Make a fixed batch of the recorded validation motion, on the recorded bodies.

    Conditions are the defaults of training, so that runs with different options are comparable.
    """
    config = DataConfig(
        clips=clips,
        frames=frames,
        screen=screen,
        reboned=0.0,
        posed=0.0,
        mixed=0.0,
        recombined=0.0,
        swung=0.0,
        lengths_known=0.0,
    )
    return batch_from_seed(mocap, config, VALIDATION_SEED, 0)


@torch.no_grad()
def predict(
    model: LangPose, batch: Batch, frames_back: int = 0
) -> Float32[np.ndarray, "clip answered 17 3"]:
    """Predict poses in body units in the person frame, for all clips."""
    device = next(model.parameters()).device
    parts = []
    for start in range(0, len(batch.rows), _CLIPS_AT_ONCE):
        piece = slice(start, start + _CLIPS_AT_ONCE)
        arrays = (batch.rows, batch.extras, batch.time_ns)
        inputs = (torch.from_numpy(array[piece]).to(device) for array in arrays)
        parts.append(model(*inputs, frames_back)[0].cpu().numpy())
    return np.concatenate(parts)


def validation_mm(model: LangPose, batch: Batch) -> dict[str, float]:
    """Compute MPJPE and P-MPJPE in mm at lag 0 with true stature, macro-averaged over sources."""
    metres = (batch.stature_m / REFERENCE_STATURE_M)[:, None, None, None]
    found, true = predict(model, batch) * metres, batch.pose * metres
    errors = []
    for source in np.unique(batch.source):
        chosen = batch.source == source
        errors.append(
            [
                measure(
                    found[chosen].reshape(-1, NUM_JOINTS, 3),
                    true[chosen].reshape(-1, NUM_JOINTS, 3),
                )
                for measure in (mpjpe_mm, p_mpjpe_mm)
            ]
        )
    mpjpe, p_mpjpe = np.mean(errors, axis=0)
    return {"val_mpjpe_mm": float(mpjpe), "val_p_mpjpe_mm": float(p_mpjpe)}
