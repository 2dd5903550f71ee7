"""The command of the second benchmark, on a tiny mocap."""

import json
import shutil
from pathlib import Path

import pytest

from langpose_rt.config import ModelConfig
from langpose_rt.model import checkpoint
from langpose_rt.model.langpose import seeded
from training.benchmark2 import main
from training.evaluation.benchmark2_clips import CONDITIONS

TINY = ModelConfig(depth=1, width=16, heads=2, representation=16, embedding=4)


@pytest.fixture
def folder(mocap_folder: Path, tmp_path: Path) -> Path:
    """The mocap with a boxing subject who is held out."""
    folder = tmp_path / "mocap"
    shutil.copytree(mocap_folder, folder)
    index = json.loads((folder / "index.json").read_text())
    for clip in index["clips"]:
        if clip["id"] == "cmu_train_1":
            clip |= {"subject": "cmu_86", "text": "boxing"}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    checkpoint.save(tmp_path / "tiny.safetensors", seeded(TINY, 0), {})
    return tmp_path / "tiny.safetensors"


def test_the_report_is_by_condition_group_and_part(
    folder: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(weights), "--mocap", str(folder), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["version"] == "langpose-bench-2"
    assert not report["comparable"]
    assert list(report["results"]) == [f"{weights}, network", f"{weights}, 2D kept"]
    for result in report["results"].values():
        assert set(CONDITIONS) <= set(result["condition"])
        assert result["condition"]["all"]["MPJPE"] > 50
        assert result["pose group"]
        assert set(result["part"]) == {"clean", "noisy"}


def test_the_table_says_that_the_clips_are_not_the_published_ones(
    folder: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(weights), "--mocap", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "not the published one" in out
    assert "clean, gravity known" in out


def test_a_mocap_without_the_subjects_is_refused(
    mocap_folder: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(weights), "--mocap", str(mocap_folder)]) == 2
    assert "held-out" in capsys.readouterr().err
