"""Model configurations: presets, derived sizes, and invalid values."""

import pytest

from langpose_rt.config import PRESETS, ModelConfig, config_from_dict
from langpose_rt.errors import ConfigError


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_config_survives_the_way_through_plain_values(name: str) -> None:
    assert config_from_dict(PRESETS[name].to_dict()) == PRESETS[name]


def test_joint_tokens_in_two_streams_keep_seventeen_tokens_and_two_rings_a_layer() -> None:
    config = PRESETS["live-l"]
    assert config.token_count == 17
    assert config.blocks == 2 * config.depth
    assert config.channels == 17 * config.width


def test_half_the_channels_of_a_head_are_turned_by_the_other_half() -> None:
    assert ModelConfig(width=48, heads=4).rotary_pairs == 6


def test_an_unknown_value_names_itself() -> None:
    with pytest.raises(ConfigError, match="flux"):
        config_from_dict(PRESETS["live"].to_dict() | {"flux": 1})


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 100, "heads": 8},
        {"streams": 3},
        {"tokens": "frame", "streams": 2},
        {"causal": False, "window": 0},
    ],
)
def test_numbers_that_do_not_fit_together_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        ModelConfig(**wrong)  # type: ignore[arg-type]
