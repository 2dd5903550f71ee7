"""Flags, config files and logs of a stage."""

import argparse
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from langpose_rt.errors import ConfigError
from tests.training.test_pretrain import words
from training import finetune
from training.finetune import EXAMPLE
from training.trainer.command import parse, stage_parser

EXPERIMENTS = Path(__file__).parents[3] / "training" / "experiments"


def parsed(*flags: str) -> argparse.Namespace:
    return parse(stage_parser("finetune", "", EXAMPLE), list(flags))


def write(folder: Path, text: str) -> str:
    path = folder / "run.toml"
    path.write_text(text)
    return str(path)


def test_a_config_file_gives_values_and_the_command_line_has_the_last_word(tmp_path: Path) -> None:
    config = write(
        tmp_path,
        'mocap = "m"\nsteps = 7\nlearning_rate = 1e-3\nalign_only = true\n'
        'commercial_only = true\nsources = ["cmu", "sie"]\npreset = "lite"\n',
    )
    found = parsed("--config", config, "--steps", "9")
    assert (found.steps, found.learning_rate, found.align_only) == (9, 1e-3, True)
    assert (found.commercial_only, found.sources, found.preset) == (True, ["cmu", "sie"], "lite")
    assert found.mocap == Path("m")
    found = parsed("--config", write(tmp_path, 'mocap = "m"\ncommercial_only = false'))
    assert found.commercial_only is False


@pytest.mark.parametrize(
    ("text", "expected"), [("stepz = 3", "'stepz', which is no flag"), ("steps =", "expected TOML")]
)
def test_a_wrong_config_file_is_one_sentence(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as said:
        parsed("--config", write(tmp_path, text))
    assert "\n" not in str(said.value)
    with pytest.raises(ConfigError, match="cannot read"):
        parsed("--config", str(tmp_path / "none.toml"))


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_experiment_is_a_valid_run(path: Path) -> None:
    from training.trainer.config import config_from_arguments
    from training.trainer.stage import _fitted

    config, model = _fitted(*config_from_arguments(parsed("--config", str(path), "--mocap", "m")))
    assert model.name == path.stem.removesuffix("-pretrain")
    assert config.steps > 0


def test_tensorboard_reads_the_same_figures(inputs: list[str], tmp_path: Path) -> None:
    assert finetune.main(words(inputs[:2], tmp_path, 4)) == 0
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [item.step for item in events.Scalars("position")] == [1, 2, 4]
    assert events.Scalars("val_mpjpe_mm")[0].value > 0
