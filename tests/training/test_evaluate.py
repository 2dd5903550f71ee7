"""The command: protocols for those who learned them, curves, a picture."""

import json
from pathlib import Path

import pytest

from langpose_rt.config import PRESETS, ModelConfig
from langpose_rt.model.checkpoint import save
from langpose_rt.model.langpose import seeded
from tests.training.data import test_mpi_inf_3dhp as mpi
from tests.training.test_pretrain import words
from training import finetune
from training.evaluate import main, table_of_curve
from training.trainer.loop import WEIGHTS_FILE

SCREEN = ("--preset", "lite", "--window", "8", "--streams", "2", "--depth", "1")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Training and test file of 3DHP."""
    folders = [tmp_path_factory.mktemp(name) for name in ("train", "test")]
    train = mpi.written(folders[0], {"S1 Seq1": [{"0": mpi.joints(30, 0)}, 25]})
    return train, mpi.written(folders[1], {"TS1": mpi.joints(9, 1), "TS6": mpi.joints(7, 2)})


def test_a_data_set_is_learned_and_scored_by_its_own_protocol(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = words(["--mpi-inf-3dhp", str(files[0])], tmp_path, 2, *SCREEN)
    flags.remove("--commercial-only")
    assert finetune.main(flags) == 0
    capsys.readouterr()
    asked = [str(tmp_path / WEIGHTS_FILE), "--mpi-inf-3dhp", str(files[1]), "--flip"]
    assert main([*asked, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["convention"], report["flip"]) == ("mpi-inf-3dhp", True)
    assert set(report["scores"]) == {"TS1", "TS6", "mean over frames", "mean over sequences"}
    assert main(asked) == 0
    printed = capsys.readouterr().out
    assert "PCK" in printed
    assert "mean over sequences" in printed


def test_a_checkpoint_that_learned_something_else_is_refused(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / WEIGHTS_FILE
    save(checkpoint, seeded(ModelConfig(depth=1, width=16, heads=2), 0), {})
    assert main([str(checkpoint), "--mpi-inf-3dhp", str(files[1])]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "learned motion capture, not mpi-inf-3dhp" in error


def test_a_live_model_does_not_learn_from_a_screen_data_set(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finetune.main(words(["--mpi-inf-3dhp", str(files[0])], tmp_path, 2)) == 2
    assert "choose --preset lite or paper" in capsys.readouterr().err
    assert PRESETS["live"].input == "anchored"


def test_curves_are_printed_and_drawn(
    mocap_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, plot = tmp_path / WEIGHTS_FILE, tmp_path / "curves.png"
    tiny = ModelConfig(depth=1, width=16, heads=2, representation=16, embedding=4, window=0)
    save(checkpoint, seeded(tiny, 0), {})
    asked = [str(checkpoint), "--mocap", str(mocap_folder), "--plot", str(plot)]
    assert main(asked) == 0
    printed = capsys.readouterr().out
    assert "field of view deg" in printed
    assert "sigma  within_50" in printed
    assert plot.read_bytes().startswith(b"\x89PNG")
    asked[-1] = str(tmp_path / "nowhere" / "x.png")
    assert main(asked) == 2


def test_a_curve_is_one_line_a_point() -> None:
    scores = {"mpjpe_mm": 70.04, "p_mpjpe_mm": 50.0, "velocity_error_mm_s": 300.0, "jitter_mm": 2.0}
    lines = list(table_of_curve("rate", [("25", scores)]))
    assert len(lines) == 2
    assert "70.0" in lines[1]
