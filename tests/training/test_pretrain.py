"""The command, from flags to checkpoint."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from langpose_rt.model import checkpoint
from tests.background import process
from training.pretrain import main
from training.trainer.loop import STATE_FILE, WEIGHTS_FILE
from training.trainer.text_encoder import TEXT_FILE, text_sha256

FLAGS = (
    "--commercial-only --steps {steps} --log-every 2 --save-every 2 --validate-every 4 "
    "--swung 0 --mixed 0 "
    "--clips 3 --frames 8 --workers 0 --depth 1 --width 16 --heads 2 --representation 16 "
    "--embedding 4 --seed 5"
)

STEPS = 150
SELDOM = ("--log-every", "10", "--save-every", "10", "--validate-every", "1000")


def words(inputs: list[str], out: Path, steps: int, *more: str) -> list[str]:
    return [*inputs, "--out", str(out), *FLAGS.format(steps=steps).split(), *more]


def test_a_run_leaves_weights_with_a_card_a_state_and_a_log(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(inputs, tmp_path, 4)) == 0
    model, card = checkpoint.load(tmp_path / WEIGHTS_FILE)
    assert model.config.width == 16
    assert card["seed"] == 5
    assert card["step"] == 4
    assert set(card["data"]) == {"cmu", "deepmimic"}
    assert [item["from_step"] for item in card["commands"]] == [0]
    assert "--commercial-only" in card["commands"][0]["command"]
    assert "/" not in card["commands"][0]["command"]  # no path of this machine
    assert card["training"]["data"]["clips"] == 3
    assert card["text_sha256"] == text_sha256(tmp_path / TEXT_FILE)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 4]
    assert lines[-1]["alignment"] > 0
    assert lines[-1]["val_mpjpe_mm"] > lines[-1]["val_p_mpjpe_mm"] > 0
    printed = capsys.readouterr().out
    assert "frames/s" in printed
    assert "val_mpjpe_mm" in printed


@pytest.mark.slow
def test_a_run_killed_outright_and_resumed_equals_one_that_was_not(
    inputs: list[str], tmp_path: Path
) -> None:
    """Runs of their own process; the kill comes some time after step 20."""
    command = [sys.executable, "-u", "-m", "training.pretrain"]
    in_cut = [*command, *words(inputs, tmp_path / "cut", STEPS, *SELDOM)]
    in_whole = [*command, *words(inputs, tmp_path / "whole", STEPS, *SELDOM)]
    with process(in_cut, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if line.startswith("step 20 "):
                run.kill()
                break
    assert run.wait() == -signal.SIGKILL
    before = torch.load(tmp_path / "cut" / STATE_FILE, weights_only=True)["step"]
    assert 10 <= before < STEPS
    subprocess.run([*in_cut, "--resume"], check=True)
    subprocess.run(in_whole, check=True)
    cut, whole = (
        torch.load(tmp_path / name / STATE_FILE, weights_only=True) for name in ("cut", "whole")
    )
    assert cut["step"] == whole["step"] == STEPS
    for part in ("model", "averaged", "aligner"):
        for name, value in whole[part].items():
            assert torch.equal(value, cut[part][name]), name
    commands = checkpoint.load(tmp_path / "cut" / WEIGHTS_FILE)[1]["commands"]
    assert [item["from_step"] for item in commands] == [0, before]
    assert "--resume" in commands[1]["command"]


def test_a_second_run_keeps_the_commands_of_the_first_and_a_run_that_is_over_stays_as_it_is(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(inputs, tmp_path / "one", 2)) == 0
    begin = ("--start-from", str(tmp_path / "one" / WEIGHTS_FILE))
    assert main(words(inputs, tmp_path / "two", 2, *begin)) == 0
    commands = checkpoint.load(tmp_path / "two" / WEIGHTS_FILE)[1]["commands"]
    assert [item["from_step"] for item in commands] == [0, 0]
    before = {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    capsys.readouterr()
    assert main(words(inputs, tmp_path / "two", 2, *begin, "--resume")) == 0
    assert "holds a run that is over; a longer --steps" in capsys.readouterr().out
    assert main(words(inputs, tmp_path / "two", 4, *begin)) == 2
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}


def test_a_wrong_folder_is_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(["--mocap", str(tmp_path)], tmp_path / "out", 2)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "index.json" in error


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    assert "example:" in capsys.readouterr().out
