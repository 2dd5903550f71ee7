"""Variants trained alike and compared, and what is done is not done again."""

import json
from pathlib import Path

import pytest

from langpose_rt.formats.clip import DEMO_CLIP
from langpose_rt.model import checkpoint
from tests.training.test_pretrain import FLAGS
from training.ablate import MATRIX, main, table
from training.trainer.command import read_toml
from training.trainer.loop import WEIGHTS_FILE

MATRICES = sorted(MATRIX.parent.glob("ablations*.toml"))


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    """Two small variants; the second has what only the trainer knows."""
    words = FLAGS.format(steps=2).replace("--commercial-only", "").split()
    pairs = zip(words[::2], words[1::2], strict=True)
    shared = "\n".join(f"{flag[2:].replace('-', '_')} = {value}" for flag, value in pairs)
    path = tmp_path / "matrix.toml"
    path.write_text(
        f"[every]\ncommercial_only = true\n{shared}\n[variants.live]\n"
        '[variants."frame numbers"]\nframe_numbers = true\n[variants.odd]\nstage = "third"\n'
    )
    return path


@pytest.mark.slow
def test_variants_are_trained_once_and_stand_side_by_side(
    matrix: Path, mocap_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(matrix), "--mocap", str(mocap_folder), "--out", str(tmp_path / "runs")]
    words += ["--only", "live", "frame numbers", "--seeds", "3", "--jobs", "2"]
    words += ["--curves", "hidden", "--clips", str(DEMO_CLIP)]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["live", "frame numbers"]
    trained = [
        tmp_path / "runs" / name / "seed3" / WEIGHTS_FILE for name in ("live", "frame-numbers")
    ]
    cards = [checkpoint.load(path)[1] for path in trained]
    assert [card["training"]["frame_numbers"] for card in cards] == [False, True]
    assert [(card["step"], card["seed"]) for card in cards] == [(2, 3)] * 2
    before = [path.stat().st_mtime_ns for path in trained]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "| hidden: a limb for 1 s |" in printed.out
    assert f"| real clip: {DEMO_CLIP} |" in printed.out
    assert printed.err == "", "nothing was trained again"
    assert [path.stat().st_mtime_ns for path in trained] == before


@pytest.mark.parametrize(
    ("only", "sentence"),
    [
        ("nothing", "has no variant 'nothing', only live, frame numbers, odd"),
        ("odd", "variant 'odd' is of stage 'third'; expected finetune or pretrain"),
    ],
)
def test_a_wrong_matrix_is_one_sentence(
    matrix: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], only: str, sentence: str
) -> None:
    assert main([str(matrix), "--mocap", str(tmp_path), "--only", only]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_a_run_that_fails_is_named_with_what_it_said(
    matrix: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(matrix), "--mocap", str(tmp_path / "gone"), "--out", str(tmp_path / "runs")]
    assert main([*words, "--only", "live", "--seeds", "0"]) == 2
    assert "live was not trained; it said: training.finetune: " in capsys.readouterr().err


def test_the_table_has_means_and_spreads() -> None:
    def curves(mpjpe_mm: float) -> dict[str, list[tuple[str, dict[str, float]]]]:
        scores = {"mpjpe_mm": mpjpe_mm, "p_mpjpe_mm": 40.0, "velocity_error_mm_s": 300.0}
        return {"hidden": [("nothing", scores)]}

    said = list(table({"live": [curves(60.0), curves(63.0)], "other": [curves(70.0)]}))
    assert said[1] == "| | live | other |"
    assert said[3] == "| hidden: nothing | 61.5 ± 1.5 | 70.0 |"


@pytest.mark.parametrize("path", MATRICES, ids=lambda path: path.stem)
def test_the_matrices_that_ship_ask_what_the_trainer_knows(path: Path) -> None:
    from training.trainer.command import flags_of_values, stage_parser
    from training.trainer.config import config_from_arguments

    matrix = read_toml(path)
    for values in matrix["variants"].values():
        flags = [w for pair in flags_of_values(matrix["every"] | values) for w in pair]
        if "--stage" in flags:
            place = flags.index("--stage")
            del flags[place : place + 2]
        train, model = config_from_arguments(stage_parser("finetune", "", "").parse_args(flags))
        assert train.steps > 0
        assert model.tokens == "frame"
