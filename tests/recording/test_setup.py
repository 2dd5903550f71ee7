"""What a recording says of the server that made it."""

import pytest

from langpose_rt.errors import ConfigError
from langpose_rt.pipeline.config import PipelineConfig
from langpose_rt.recording.setup import RecordedSetup, setup_from_facts, this_machine
from tests.fakes import FakeBackend

CONFIG = PipelineConfig(lookahead_ms=60.5, smoothing="high", person_height_m=1.8)


def test_a_setup_comes_back_from_text() -> None:
    setup = RecordedSetup.of(
        FakeBackend(),
        CONFIG,
        threads=3,
        volumes={"cam": "[cam]\nname = 'é'\n"},
        gallery=b"PK\x03\x04\xff",
    )
    facts = setup.to_facts()
    assert all(isinstance(value, str) for value in facts.values())
    assert setup_from_facts(facts) == setup
    assert setup_from_facts(facts | {"epoch": "12", "unknown": "1"}).epoch == 12


@pytest.mark.parametrize("change", [
    {"pipeline": "{"}, {"model": "3"}, {"slots": '"many"'}, {"pipeline": "[" * 200_000},
])  # fmt: skip
def test_a_damaged_setup_is_one_sentence(change: dict[str, str]) -> None:
    facts = RecordedSetup.of(FakeBackend(), CONFIG, threads=1).to_facts()
    with pytest.raises(ConfigError, match="the recording's setup is damaged"):
        setup_from_facts(facts | change)


def test_the_machine_is_what_decides_the_last_bits() -> None:
    libraries = {"numpy", "onnxruntime", "scipy"}
    assert set(this_machine()) == {"processor", "python", "native step"} | libraries
    assert all(this_machine().values())
