"""Weights on the line between two checkpoints."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from langpose_rt.config import ModelConfig
from langpose_rt.model import checkpoint
from langpose_rt.model.langpose import LangPose, seeded
from training.tools.average_weights import main

TINY = ModelConfig(depth=1, width=16, heads=2, representation=16, embedding=4)
WIDER = ModelConfig(depth=1, width=32, heads=2, representation=16, embedding=4)


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    names = {name: str(tmp_path / f"{name}.safetensors") for name in ("new", "old", "other", "out")}
    for name, model in (("new", seeded(TINY, 1)), ("old", seeded(TINY, 0))):
        checkpoint.save(Path(names[name]), model, {"licence": name, "commands": []})
    checkpoint.save(Path(names["other"]), seeded(WIDER, 0), {})
    return names


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_every_weight_lies_at_its_share_of_the_way(paths: dict[str, str], share: float) -> None:
    words = [paths["new"], "--old", paths["old"], "--share", str(share), "--out", paths["out"]]
    assert main(words) == 0
    (new, _), (old, _), (out, card) = (
        checkpoint.load(Path(paths[name])) for name in ("new", "old", "out")
    )
    for name, value in out.state_dict().items():
        expected = (1 - share) * old.state_dict()[name] + share * new.state_dict()[name]
        torch.testing.assert_close(value, expected)
    assert card["licence"] == "new"
    assert len(card["commands"]) == 1


@pytest.mark.parametrize("flipped", ["new", "old"])
def test_flip_averaging_and_the_name_are_no_weights(paths: dict[str, str], flipped: str) -> None:
    """The weights that ship answer with their flipped view, and those of a run without."""
    model, card = checkpoint.load(Path(paths[flipped]))
    config = replace(model.config, mirrored=True, name="flipped")
    again = LangPose(config)
    again.load_state_dict(model.state_dict())
    checkpoint.save(Path(paths[flipped]), again, card)
    words = [paths["new"], "--old", paths["old"], "--share", "0.5", "--out", paths["out"]]
    assert main(words) == 0
    assert checkpoint.load(Path(paths["out"]))[0].config.mirrored is (flipped == "new")


@pytest.mark.parametrize(
    ("old", "share", "words"), [("other", "0.5", "another model config"), ("old", "1.5", "0 to 1")]
)
def test_what_cannot_be_averaged_is_refused(
    paths: dict[str, str], capsys: pytest.CaptureFixture[str], old: str, share: str, words: str
) -> None:
    given = [paths["new"], "--old", paths[old], "--share", share, "--out", paths["out"]]
    assert main(given) == 2
    assert words in capsys.readouterr().err
