"""What an engine is built for, from the words of a command line."""

import pytest

from langpose_rt.engine.build_config import (
    BuildConfig,
    batches_from_text,
    capabilities_from_text,
)
from langpose_rt.errors import ConfigError


def test_every_batch_belongs_to_exactly_one_profile() -> None:
    profiles = BuildConfig(batch=(1, 8, 64), targets=("8.9",)).profiles
    for batch in range(1, 65):
        assert sum(p.smallest <= batch <= p.largest for p in profiles) == 1
    assert [p.typical for p in profiles] == [1, 8, 64]


@pytest.mark.parametrize("text", ["8.9,12.0", "sm_89,sm_120", "sm89,120,8.9"])
def test_architectures_are_read_in_every_spelling(text: str) -> None:
    assert capabilities_from_text(text) == ("8.9", "12.0")


@pytest.mark.parametrize("text", ["", "ada", "8", "8.9.1", "8.9,"])
def test_a_wrong_architecture_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--arch has '.*'; expected architectures as in 8\.9"):
        capabilities_from_text(text)


@pytest.mark.parametrize(
    "batch", [(), (8, 1), (1, 1), (0, 8), (1, 5000), tuple(range(1, 10)), (-1,)], ids=str
)
def test_wrong_batches_are_named(batch: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="--batch is "):
        BuildConfig(batch=batch, targets=("8.9",))


def test_batches_that_are_no_numbers_and_levels_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match="--batch is '1,x'"):
        batches_from_text("1,x")
    with pytest.raises(ConfigError, match="--level is 6; expected 0 to 5"):
        BuildConfig(targets=("8.9",), optimization_level=6)
    with pytest.raises(ConfigError, match="needs an architecture"):
        BuildConfig(targets=())
    assert batches_from_text("1,8") == (1, 8)
