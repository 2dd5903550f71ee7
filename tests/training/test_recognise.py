"""How recognition is counted, and the command on little data."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.training.test_pretrain import words
from training import pretrain, recognise
from training.recognise import recognition, sentence_of_action
from training.trainer.loop import WEIGHTS_FILE
from training.trainer.text_encoder import TEXT_FILE


def test_actions_count_alike_however_many_clips_they_have() -> None:
    """Nine walks found and one bow missed: half, not nine tenths."""
    truth = np.array([0] * 9 + [1])
    similarity = np.tile(np.array([1.0, 0.5, 0.0], np.float32), (10, 1))
    report = recognition(similarity, truth, ("walk", "bow", "jump"))
    assert report["top1"] == 0.5
    assert report["recall_at_5"] == 1.0
    assert report["top1_by_action"] == {"walk": 1.0, "bow": 0.0}
    assert report["chance_top1"] == pytest.approx(1 / 3)


def test_the_interval_holds_the_figure_and_narrows_with_more_clips() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for clips in (80, 4000):
        similarity = rng.standard_normal((clips, 8)).astype(np.float32)
        report = recognition(similarity, np.arange(clips) % 8, tuple("abcdefgh"))
        low, high = report["top1_95"]
        assert low <= report["top1"] <= high
        widths.append(high - low)
    assert 0 < widths[1] < widths[0] / 3
    assert report["top1"] == pytest.approx(1 / 8, abs=0.03)


def test_labels_become_words() -> None:
    assert sentence_of_action("raise-up-left-hand") == "raise up left hand"
    assert sentence_of_action("dance_spin") == "dance spin"


def test_the_command_scores_a_checkpoint(
    inputs: list[str],
    mocap_folder: Path,
    text_checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert pretrain.main(words(inputs, tmp_path, 2)) == 0
    capsys.readouterr()
    flags = [
        str(tmp_path / WEIGHTS_FILE), "--text", str(tmp_path / TEXT_FILE),
        "--text-encoder", str(text_checkpoint), "--mocap", str(mocap_folder),
    ]  # fmt: skip
    assert recognise.main([*flags, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["clips"], report["actions"]) == (5, 4)
    assert 0 <= report["top1"] <= report["recall_at_5"] == 1
    assert recognise.main(flags) == 0
    assert "chance 0.250" in capsys.readouterr().out
