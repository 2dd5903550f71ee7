"""The quick look during training."""

import numpy as np
import pytest
import torch

from langpose_rt.config import ModelConfig
from langpose_rt.model.langpose import LangPose, seeded
from training.data.mocap import Mocap
from training.evaluation.validation import predict, validation_batch, validation_mm

TINY = ModelConfig(depth=1, width=16, heads=2, representation=16, embedding=4)


def test_the_batch_is_fixed_and_keeps_metric_bones(mocap: Mocap) -> None:
    one = validation_batch(mocap, clips=20, frames=8)
    other = validation_batch(mocap, clips=20, frames=8)
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_allclose(one.stature_m, one.stature_m[0], rtol=5e-3)


def test_predictions_cover_all_clips_and_a_lag_shortens_them(mocap: Mocap) -> None:
    model = seeded(TINY, 0).eval()
    batch = validation_batch(mocap, clips=20, frames=8)
    clips = len(batch.rows)
    assert predict(model, batch).shape == (clips, 8, 17, 3)
    assert predict(model, batch, 3).shape == (clips, 5, 17, 3)


def test_the_truth_has_no_error_and_a_shift_has_its_length(
    mocap: Mocap, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = validation_batch(mocap, clips=20, frames=8)
    model = seeded(TINY, 0)
    answer = {"pose": batch.pose}
    monkeypatch.setattr("training.evaluation.validation.predict", lambda *_: answer["pose"])
    exact = validation_mm(model, batch)
    assert exact["val_mpjpe_mm"] == pytest.approx(0, abs=1e-3)
    shifted = batch.pose.copy()
    shifted[:, :, 1:, 2] += 0.017
    answer["pose"] = shifted
    metres = float(np.mean(batch.stature_m)) / 1.7
    shifted_mm = validation_mm(model, batch)["val_mpjpe_mm"]
    assert shifted_mm == pytest.approx(17 * 16 / 17 * metres, rel=0.01)


def test_the_model_is_only_looked_at(mocap: Mocap) -> None:
    model: LangPose = seeded(TINY, 0).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    validation_mm(model, validation_batch(mocap, clips=20, frames=8))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
