"""Checkpoints: weights, config and card come back; anything else is refused in one sentence."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from langpose_rt.config import ModelConfig
from langpose_rt.errors import ModelError
from langpose_rt.model.checkpoint import load, save
from langpose_rt.model.langpose import seeded

CONFIG = ModelConfig(
    name="tiny", width=16, heads=2, depth=1, window=3, representation=8, embedding=4
)


def test_weights_config_and_card_come_back(tmp_path: Path) -> None:
    model = seeded(CONFIG, 1)
    save(tmp_path / "a.safetensors", model, {"seed": 1})
    again, card = load(tmp_path / "a.safetensors")
    assert again.config == CONFIG
    assert card == {"seed": 1}
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)


def test_half_storage_rounds_once_and_then_stays(tmp_path: Path) -> None:
    save(tmp_path / "a.safetensors", seeded(CONFIG, 1), {}, fp16=True)
    rounded, _ = load(tmp_path / "a.safetensors")
    save(tmp_path / "b.safetensors", rounded, {}, fp16=True)
    again, _ = load(tmp_path / "b.safetensors")
    for name, value in rounded.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(again.state_dict()[name], value)


def test_a_missing_file_says_how_to_train_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"training\.pretrain"):
        load(tmp_path / "none.safetensors")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save(path, seeded(CONFIG, 1), {})
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ModelError, match="not a readable safetensors"):
        load(path)


def test_a_stranger_is_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="not a langpose-rt checkpoint"):
        load(tmp_path / "a.safetensors")
