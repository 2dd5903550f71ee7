"""Stage 2 on top of stage 1, and the embedding mended afterwards."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from langpose_rt.model import checkpoint
from tests.peers import wait_until
from tests.training.test_pretrain import words
from training import finetune, pretrain
from training.trainer.loop import STATE_FILE, WEIGHTS_FILE
from training.trainer.text_encoder import TEXT_FILE


@pytest.fixture(scope="module")
def stage_one(inputs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one")
    assert pretrain.main(words(inputs, out, 2)) == 0
    return out / WEIGHTS_FILE


def test_stage_2_goes_on_from_stage_1_without_text(
    inputs: list[str], tmp_path: Path, stage_one: Path
) -> None:
    flags = words(inputs[:2], tmp_path, 2, "--start-from", str(stage_one))
    assert finetune.main(flags) == 0
    _, card = checkpoint.load(tmp_path / WEIGHTS_FILE)
    stages = [item["command"].split()[2] for item in card["commands"]]
    assert stages == ["training.pretrain", "training.finetune"]
    assert not (tmp_path / TEXT_FILE).exists()
    assert "text_sha256" not in card
    assert "aligner" not in torch.load(tmp_path / STATE_FILE, weights_only=True)


def test_stage_2_stands_without_stage_1(inputs: list[str], tmp_path: Path) -> None:
    assert finetune.main(words(inputs[:2], tmp_path, 2)) == 0
    assert checkpoint.load(tmp_path / WEIGHTS_FILE)[1]["step"] == 2


def test_aligning_alone_changes_the_embedding_and_nothing_of_the_lifting(
    inputs: list[str], tmp_path: Path, stage_one: Path
) -> None:
    flags = ("--start-from", str(stage_one), "--align-only", "true")
    assert pretrain.main(words(inputs, tmp_path, 3, *flags)) == 0
    before, after = (
        checkpoint.load(path)[0].state_dict() for path in (stage_one, tmp_path / WEIGHTS_FILE)
    )
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"encoder.to_embedding.weight", "encoder.to_embedding.bias"}


def test_a_stage_does_not_resume_the_others_run(
    inputs: list[str], stage_one: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finetune.main(words(inputs[:2], stage_one.parent, 2, "--resume")) == 2
    assert "another stage" in capsys.readouterr().err


def test_a_bidirectional_model_learns_from_the_screen(inputs: list[str], tmp_path: Path) -> None:
    flags = words(inputs[:2], tmp_path, 3, "--preset", "lite", "--window", "8", "--streams", "2")
    assert finetune.main(flags) == 0
    model, card = checkpoint.load(tmp_path / WEIGHTS_FILE)
    assert not model.config.causal
    assert card["training"]["data"]["screen"]
    assert card["training"]["loss"]["lag"] == 0


def test_clips_longer_than_a_bidirectional_model_sees_are_refused(
    inputs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = words(inputs[:2], tmp_path, 3, "--preset", "lite", "--window", "7")
    assert finetune.main(flags) == 2
    assert "choose --frames 7 or fewer" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_loses_no_step_and_the_run_goes_on(
    inputs: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    """As from a terminal: the worker that makes batches gets the signal too."""
    out = tmp_path / "run"
    flags = words(inputs[:2], out, 10**6, "--workers", "1", "--save-every", "1000000")
    command = [sys.executable, "-m", "training.finetune", *flags]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        wait_until(lambda: (out / "log.jsonl").exists() and "\n" in (out / "log.jsonl").read_text())
        os.killpg(run.pid, number)
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert said.endswith("training.finetune: stopped; run it again with --resume\n"), said
    step = checkpoint.load(out / WEIGHTS_FILE)[1]["step"]
    assert step >= 1
    assert finetune.main([*words(inputs[:2], out, step + 2), "--resume"]) == 0
    assert checkpoint.load(out / WEIGHTS_FILE)[1]["step"] == step + 2
