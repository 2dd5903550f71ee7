"""Wider models that predict what a checkpoint does."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from langpose_rt.config import LENGTH_CHANNELS, ModelConfig
from langpose_rt.model import checkpoint
from langpose_rt.model.langpose import LangPose, seeded
from training.tools.widen import main, widen

SMALL = ModelConfig(
    bone_input=True, depth=2, width=64, heads=4, window=8, representation=32, embedding=4
)


def poses(model: LangPose, extras: torch.Tensor | None = None) -> torch.Tensor:
    """Of random input, without known bone lengths unless they are given."""
    random = torch.Generator().manual_seed(1)
    rows = torch.randn(2, 10, 17, 3, generator=random)
    plain = torch.randn(2, 10, 7, generator=random)
    lengths = torch.zeros(2, 10, LENGTH_CHANNELS) if extras is None else extras
    times = torch.arange(10).expand(2, -1) * 20_000_000
    with torch.no_grad():
        return model(rows, torch.cat((plain, lengths), -1), times)[0]


def test_a_model_with_an_input_more_predicts_the_same() -> None:
    old = seeded(SMALL, 0).eval()
    new = widen(old, replace(SMALL, length_input=True))
    torch.testing.assert_close(poses(new), poses(old))


def test_a_wider_model_predicts_nearly_the_same_and_every_weight_can_learn() -> None:
    old = seeded(SMALL, 0).eval()
    new = widen(old, replace(SMALL, width=96, heads=6, length_input=True))
    away = (poses(new) - poses(old)).norm(dim=-1).mean()
    assert away < 0.15 * (poses(seeded(new.config, 3).eval()) - poses(old)).norm(dim=-1).mean()
    known = torch.randn(2, 10, LENGTH_CHANNELS, generator=torch.Generator().manual_seed(2))
    times = torch.arange(10).expand(2, -1) * 20_000_000
    rows = torch.randn(2, 10, 17, 3, generator=torch.Generator().manual_seed(3))
    new.train()
    pose, log_sigma = new(rows, torch.cat((torch.ones(2, 10, 7), known), -1), times)
    (pose.square().sum() + log_sigma.sum()).backward()
    for name, parameter in new.named_parameters():
        if "to_embedding" not in name:
            assert parameter.grad is not None
            assert (parameter.grad != 0).any(), name
    assert (new.encoder.embed.weight.grad[:, 58 : 58 + LENGTH_CHANNELS] != 0).any(0).all()


def test_the_command_writes_a_checkpoint_whose_card_names_it(tmp_path: Path) -> None:
    old, out = tmp_path / "old.safetensors", tmp_path / "out.safetensors"
    checkpoint.save(old, seeded(SMALL, 0), {"step": 7, "commands": [{"command": "first"}]})
    assert main([str(old), "--width", "96", "--heads", "6", "--out", str(out)]) == 0
    model, card = checkpoint.load(out)
    assert (model.config.width, model.config.length_input) == (96, False)
    assert [entry["command"] for entry in card["commands"]] == [
        "first", "python -m training.tools.widen --heads 6 --width 96"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--width", "32", "--heads", "2"), "less than 64"),
        (("--width", "96"), "choose --heads 6"),
        (("--length-input", "false"), "takes bone lengths"),
    ],
)
def test_what_cannot_be_widened_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    old = tmp_path / "old.safetensors"
    checkpoint.save(old, seeded(replace(SMALL, length_input=True), 0), {})
    assert main([str(old), *words, "--out", str(tmp_path / "out.safetensors")]) == 2
    assert message in capsys.readouterr().err
