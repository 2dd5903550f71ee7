"""Options of a cluster: impossible ones are refused in one sentence."""

from typing import Any

import pytest

from langpose_rt.cluster.config import ClusterConfig
from langpose_rt.errors import ConfigError


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "a cluster without lifters lifts nothing"),
        ({"lifters": 300}, "--lifters is 300; expected 0 to 256"),
        ({"lifter": ("gpu1:5557",)}, "expected such as tcp://gpu1:5557"),
        ({"lifter": ("tcp://gpu1:0",)}, "is no control address"),
        ({"lifter": ("tcp://a:1", "tcp://a:1")}, "given twice"),
        ({"lifters": 1, "lost_after_ms": 50.0}, "lost_after_ms is 50"),
        ({"lifters": 1, "volume": ("a,a",)}, "two volumes"),
    ],
)
def test_an_option_out_of_range_is_one_sentence(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        ClusterConfig(**values)
    assert "\n" not in str(caught.value)


def test_lifters_may_be_started_here_and_elsewhere() -> None:
    config = ClusterConfig(lifters=2, lifter=("tcp://gpu1:5557", "tcp://[::1]:5557"))
    assert config.lost_after_ns == 400_000_000
    assert config.groups.of("rig0") == "rig0"
