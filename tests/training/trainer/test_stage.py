"""One run of one stage: what the model settles of it, where it begins, what its card says."""

from dataclasses import replace
from pathlib import Path

import pytest

from langpose_rt.config import PRESETS, ModelConfig
from langpose_rt.errors import ConfigError
from langpose_rt.model import checkpoint
from langpose_rt.model.langpose import seeded
from training.synthesis.batches import DataConfig
from training.trainer import stage
from training.trainer.config import TrainConfig
from training.trainer.distributed import World
from training.trainer.loop import STATE_FILE, WEIGHTS_FILE
from training.trainer.losses import LossConfig

TINY = ModelConfig(depth=1, width=16, heads=2, representation=8, embedding=4, window=8)
OFFLINE = replace(
    TINY, input="screen", tokens="joint", streams=2, causal=False, window=27, name="offline"
)
CONFIG = TrainConfig(
    data=DataConfig(clips=2, frames=27), loss=replace(LossConfig(), lag=0.5), steps=1
)


def test_a_causal_model_learns_from_anchored_rows_as_the_flags_say() -> None:
    config, model = stage._fitted(CONFIG, TINY)
    assert model == TINY
    assert config == CONFIG
    assert not config.data.screen


def test_a_bidirectional_model_on_the_screen_is_fed_the_screen_and_learns_no_lag() -> None:
    config, model = stage._fitted(CONFIG, OFFLINE)
    assert model == OFFLINE
    assert config.data.screen
    assert config.loss.lag == 0
    assert replace(config, data=CONFIG.data, loss=CONFIG.loss) == CONFIG, "and nothing else changes"


def test_clips_longer_than_a_bidirectional_model_sees_are_refused() -> None:
    longer = replace(CONFIG, data=replace(CONFIG.data, frames=28))
    with pytest.raises(ConfigError) as caught:
        stage._fitted(longer, OFFLINE)
    assert str(caught.value) == (
        "clips of 28 frames, but offline sees 27 at once; choose --frames 27 or fewer"
    )
    stage._fitted(longer, replace(TINY, window=4))


@pytest.mark.parametrize("name", ["live", "live-l", "paper", "lite"])
def test_every_preset_is_fitted_as_its_input_says(name: str) -> None:
    config, model = stage._fitted(CONFIG, PRESETS[name])
    assert config.data.screen is (model.input == "screen")


def test_stage_1_needs_sentences() -> None:
    with pytest.raises(ConfigError, match="stage 1 needs motion with sentences; give --mocap FOLD"):
        stage._aligner(CONFIG, TINY, ())


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("--steps", "--steps"),
        ("runs/live", "runs/live"),
        ("../shared/data", "../shared/data"),
        ("/home/somebody/data/mocap", "mocap"),
        ("", ""),
    ],
)
def test_a_path_from_the_root_is_its_name_alone(word: str, kept: str) -> None:
    assert stage._without_place(word) == kept


def test_a_first_command_is_from_step_0_and_says_no_place(tmp_path: Path) -> None:
    words = "pretrain --mocap /home/somebody/mocap --steps 5"
    assert stage._commands(tmp_path, 0, words) == [
        {"from_step": 0, "command": "python -m training.pretrain --mocap mocap --steps 5"}
    ]


def test_a_resumed_run_adds_its_command_to_those_of_its_weights(tmp_path: Path) -> None:
    first = stage._commands(tmp_path, 0, "pretrain --steps 5")
    checkpoint.save(tmp_path / WEIGHTS_FILE, seeded(TINY, 0), {"commands": first})
    both = stage._commands(tmp_path, 5, "pretrain --steps 9 --resume")
    assert both == [
        *first, {"from_step": 5, "command": "python -m training.pretrain --steps 9 --resume"}
    ]  # fmt: skip


def test_weights_that_say_nothing_of_their_commands_are_no_hindrance(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / WEIGHTS_FILE, seeded(TINY, 0), {})
    assert [item["from_step"] for item in stage._commands(tmp_path, 3, "finetune")] == [3]


def test_a_folder_with_a_run_is_never_begun_anew(tmp_path: Path) -> None:
    stage._check_unused(tmp_path, resume=False)
    (tmp_path / STATE_FILE).write_bytes(b"state")
    with pytest.raises(ConfigError, match="holds a run already; go on with it with --resume, or"):
        stage._check_unused(tmp_path, resume=False)
    stage._check_unused(tmp_path, resume=True)


@pytest.mark.parametrize("resume", [False, True])
def test_weights_without_a_state_are_never_overwritten(tmp_path: Path, resume: bool) -> None:
    (tmp_path / "log.jsonl").write_text("{}\n")
    stage._check_unused(tmp_path, resume=resume)  # a run that ended before it saved anything
    (tmp_path / WEIGHTS_FILE).write_bytes(b"weights")
    with pytest.raises(ConfigError, match=r"without the state\.pt .* begin with these weights"):
        stage._check_unused(tmp_path, resume=resume)


@pytest.mark.parametrize("has_bfloat16", [False, True])
def test_a_cpu_that_would_emulate_bfloat16_learns_in_float32_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, has_bfloat16: bool
) -> None:
    monkeypatch.setattr(stage, "faster_than_float32", lambda _: has_bfloat16)
    config = replace(CONFIG, half_until=0.9)
    found = stage._without_emulation(config, World())
    assert found == (config if has_bfloat16 else CONFIG)
    note = "half_until 0.9 is left out: this CPU has no bfloat16"
    assert capsys.readouterr().out.startswith(note) is not has_bfloat16
    assert stage._without_emulation(CONFIG, World()) == CONFIG
    assert not capsys.readouterr().out, "nothing was asked for"
