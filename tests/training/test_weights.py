"""Weights in the repository say in name, card and at the start what may be done with them."""

from pathlib import Path

import pytest

from langpose_rt.manifest import read_manifest
from langpose_rt.model.checkpoint import load
from langpose_rt.runtime.backend import DEFAULT_MODEL
from tests.commands import run_here

WEIGHTS = Path(__file__).parents[2] / "training" / "weights"
FOLDERS = [DEFAULT_MODEL, *sorted(path for path in WEIGHTS.iterdir() if path.is_dir())]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_name_and_card_agree_on_commercial_use(folder: Path) -> None:
    model, card = load(folder / "model.safetensors")
    free = not folder.name.endswith("-nc")
    assert model.config.name == folder.name
    said = "commercial use allowed" if free else "non-commercial use only"
    assert card["licence"].startswith(f"{said}; trained on {', '.join(sorted(card['data']))}")
    assert free == all("-NC" not in terms.upper() for terms in card["data"].values())
    first_sentence = (folder / "CARD.md").read_text().splitlines()[2]
    assert first_sentence.startswith("**May be used" if free else "**May not be used commercially")


def test_the_default_may_be_used_commercially() -> None:
    assert read_manifest(DEFAULT_MODEL).card["licence"].startswith("commercial use allowed")


@pytest.mark.slow
def test_non_commercial_weights_say_so_when_they_are_opened(tmp_path: Path) -> None:
    weights = WEIGHTS / "live-nc" / "model.safetensors"
    assert run_here("export", weights, "--out", tmp_path / "nc").code == 0
    done = run_here("doctor", "--model", tmp_path / "nc", "--no-self-test")
    assert "non-commercial use only" in done.out
