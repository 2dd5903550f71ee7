"""Sigma is scaled to what errors are, and poses stay."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chi

from langpose_rt.config import PRESETS, ModelConfig
from langpose_rt.geometry.skeleton import FLIP_INDICES
from langpose_rt.model import checkpoint
from langpose_rt.model.langpose import seeded
from training.tools.calibrate_sigma import main, sigma_factors

TINY = ModelConfig(depth=1, width=16, heads=2, representation=16, embedding=4)


def test_factors_are_those_by_which_a_wrong_sigma_is_wrong(rng: np.random.Generator) -> None:
    true = np.linspace(0.5, 2.0, 16)
    true = np.sqrt(true * true[FLIP_INDICES[1:] - 1])
    ratios = chi.rvs(3, size=(20_000, 16), random_state=rng) * true
    np.testing.assert_allclose(sigma_factors(ratios)[1:], true, rtol=0.03)
    assert sigma_factors(ratios)[0] == 1


def test_a_calibrated_checkpoint_differs_in_sigma_alone(
    mocap_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, weights = tmp_path / "mocap", tmp_path / "tiny.safetensors"
    shutil.copytree(mocap_folder, folder)
    index = json.loads((folder / "index.json").read_text())
    for clip in index["clips"]:
        if clip["id"] == "cmu_train_1":
            clip["subject"] = "cmu_86"
    (folder / "index.json").write_text(json.dumps(index))
    checkpoint.save(weights, seeded(TINY, 0), {"commands": [{"command": "x", "from_step": 0}]})
    out = tmp_path / "out.safetensors"
    assert main([str(weights), "--mocap", str(folder), "--out", str(out), "--batches", "1"]) == 0
    assert capsys.readouterr().out.count("% after") == 3
    (before, _), (after, card) = checkpoint.load(weights), checkpoint.load(out)
    assert len(card["commands"]) == 2
    assert card["sigma_lengths"]["80"] == pytest.approx(2.154, abs=0.1)
    assert card["sigma_lengths"]["50"] < card["sigma_lengths"]["95"]
    changed = [
        name
        for name, value in before.state_dict().items()
        if not torch.equal(value, after.state_dict()[name])
    ]
    assert changed == ["lifter.to_log_sigma.bias"]


def test_a_model_of_many_tokens_is_refused(
    tmp_path: Path, mocap_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "large.safetensors"
    checkpoint.save(weights, seeded(PRESETS["live-l"], 0), {})
    out = str(tmp_path / "out.safetensors")
    assert main([str(weights), "--mocap", str(mocap_folder), "--out", out]) == 2
    assert "one token a frame" in capsys.readouterr().err
