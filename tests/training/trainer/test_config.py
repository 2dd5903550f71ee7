"""Every field of the configuration is a flag, once."""

import argparse
from dataclasses import fields, is_dataclass

import pytest

from langpose_rt.config import PRESETS
from langpose_rt.errors import ConfigError
from training.trainer.config import TrainConfig, add_config_arguments, config_from_arguments


def parsed(words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_config_arguments(parser)
    return parser.parse_args(words.split())


def leaves(config: object) -> list[str]:
    names = []
    for item in fields(config):  # type: ignore[arg-type]
        value = getattr(config, item.name)
        names += leaves(value) if is_dataclass(value) else [item.name]
    return names


def test_without_flags_the_defaults_come_back() -> None:
    assert config_from_arguments(parsed("")) == (TrainConfig(), PRESETS["live"])


def test_every_field_is_a_flag_and_no_name_comes_twice() -> None:
    names = leaves(TrainConfig())
    assert len(names) == len(set(names))
    words = " ".join(f"--{name.replace('_', '-')} 1" for name in names)
    changed, _ = config_from_arguments(parsed(words))
    for config in (changed, changed.data, changed.data.noise, changed.loss):
        for item in fields(config):
            value = getattr(config, item.name)
            assert is_dataclass(value) or value in (1, "1"), item.name


def test_a_model_flag_changes_that_value_of_the_preset() -> None:
    _, model = config_from_arguments(parsed("--preset live-l --window 0 --name single"))
    assert (model.name, model.window) == ("single", 0)
    assert model.streams == PRESETS["live-l"].streams
    _, bidirectional = config_from_arguments(parsed("--causal false"))
    assert bidirectional.causal is False


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--minutes 0", "--steps or --minutes"),
        ("--save-every 0", "save_every"),
        ("--width 100 --heads 8", "width"),
    ],
)
def test_wrong_values_are_refused_by_name(words: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        config_from_arguments(parsed(words))


def test_a_word_that_is_no_choice_is_refused_by_the_parser(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        parsed("--tokens word")
    assert "--tokens: invalid choice: 'word'" in capsys.readouterr().err
