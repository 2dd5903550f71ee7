"""The embedding of an earlier checkpoint is found again, and nothing else changes."""

from pathlib import Path

import pytest
import torch

from langpose_rt.config import ModelConfig
from langpose_rt.model import checkpoint
from langpose_rt.model.langpose import seeded
from training.tools.carry_embedding import main

TINY = ModelConfig(depth=1, width=16, heads=2, representation=16, embedding=4)


def carried(
    mocap_folder: Path, tmp_path: Path, *, old_card: dict[str, object]
) -> tuple[int, dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Carry the embedding of a model over to one that only lost its projection."""
    old, new = seeded(TINY, 0), seeded(TINY, 0)
    new.load_state_dict(old.state_dict())
    torch.nn.init.zeros_(new.encoder.to_embedding.weight)
    paths = [tmp_path / f"{name}.safetensors" for name in ("old", "new", "out")]
    checkpoint.save(paths[0], old, old_card)
    checkpoint.save(paths[1], new, {})
    words = [paths[1], "--old", paths[0], "--mocap", mocap_folder, "--out", paths[2]]
    code = main([*map(str, words), "--batches", "5"])
    after = checkpoint.load(paths[2])[0].state_dict() if code == 0 else {}
    return code, new.state_dict(), after


def test_a_lost_projection_is_found_again_and_the_rest_stays(
    mocap_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, before, after = carried(mocap_folder, tmp_path, old_card={"text_sha256": "abc"})
    assert code == 0
    share = float(capsys.readouterr().out.split(" %")[0])
    assert share > 95
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"encoder.to_embedding.weight", "encoder.to_embedding.bias"}
    card = checkpoint.load(tmp_path / "out.safetensors")[1]
    assert card["text_sha256"] == "abc"


def test_a_checkpoint_that_knows_no_words_is_refused(
    mocap_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert carried(mocap_folder, tmp_path, old_card={})[0] == 2
    assert "never aligned" in capsys.readouterr().err
