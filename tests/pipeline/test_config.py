"""Pipeline options: impossible ones are refused in one sentence; times in nanoseconds."""

from typing import Any

import pytest

from langpose_rt.config import ModelConfig
from langpose_rt.errors import ConfigError
from langpose_rt.manifest import Manifest
from langpose_rt.pipeline.config import PipelineConfig, check_live


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"lookahead_ms": -1.0}, "lookahead_ms is -1; expected 0 to 2000"),
        ({"lookahead_ms": float("nan")}, "lookahead_ms is nan"),
        ({"smoothing": "medium"}, "expected one of off, low, high"),
        ({"axes": "moon"}, "expected camera or world"),
        ({"fov_deg": 0.0}, "field of view"),
        ({"person_height_m": 170.0}, "person_height_m is 170; expected 0.3 to 3"),
        ({"max_streams": 0}, "max_streams is 0"),
        ({"ray_refinement": 1.5}, "ray_refinement is 1.5; expected 0 to 1"),
        ({"bone_steadiness": -0.1}, "bone_steadiness is -0.1; expected 0 to 1"),
        ({"name": "my server"}, "server name 'my server'"),
        ({"front": "a b"}, "front 'a b' is no name of a key"),
        ({"track_timeout_s": float("inf")}, "track_timeout_s is inf"),
        ({"track_timeout_s": 0.05}, "track_timeout_s is 0.05; expected 0.1 to 60"),
        ({"camera_pitch_deg": 91.0}, "camera-pitch-deg is 91; expected -90"),
        ({"gravity": "down"}, "gravity is 'down'; expected X,Y,Z"),
        ({"gravity": "0,1,0", "camera_pitch_deg": 1.0}, "got both --gravity and"),
        ({"coast_ms": -1.0}, "coast_ms is -1; expected 0 to 2000"),
    ],
)
def test_a_pipeline_option_out_of_range_is_one_sentence(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        PipelineConfig(**values)
    assert "\n" not in str(caught.value)


def test_times_are_whole_nanoseconds() -> None:
    config = PipelineConfig(lookahead_ms=133.3, track_timeout_s=0.5, max_wait_ms=50.0, idle_s=2.0)
    times_ns = config.lookahead_ns, config.track_timeout_ns, config.max_wait_ns, config.idle_ns
    assert times_ns == (133_300_000, 500_000_000, 50_000_000, 2_000_000_000)
    assert PipelineConfig(coast_ms=33.3).coast_ns == 33_300_000


def manifest_trained_for(lag_s: float) -> Manifest:
    card = {"training": {"loss": {"longest_lag_s": lag_s}}}
    return Manifest(
        version=1, name="live", made_by="tests", command="", date="2026-01-01",
        config=ModelConfig().to_dict(), card=card, files={}, products={}, opset=18,
    )  # fmt: skip


def test_a_lookahead_the_weights_were_not_trained_for_is_refused() -> None:
    check_live(manifest_trained_for(0.2), PipelineConfig(lookahead_ms=200.0))
    with pytest.raises(ConfigError, match=r"lookahead_ms is 201; .* trained for up to 200"):
        check_live(manifest_trained_for(0.2), PipelineConfig(lookahead_ms=201.0))


def test_the_size_of_json_that_says_none_is_checked() -> None:
    assert PipelineConfig().image_size is None
    assert PipelineConfig(size="1920x1080").image_size == (1920, 1080)
    for wrong in ("1920", "0x4", "axb"):
        with pytest.raises(ConfigError, match="--size"):
            PipelineConfig(size=wrong)
