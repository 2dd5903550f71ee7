"""The encoder: what attention may see, and the published sizes."""

import pytest
import torch

from langpose_rt.config import PRESETS, ModelConfig
from langpose_rt.model.encoder import Encoder
from langpose_rt.model.langpose import LangPose, parameter_count, seeded
from langpose_rt.window.rotary import rotary_periods_ns, rotary_table

FRAME_NS = 20_000_000


def clip(frames: int, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    rows = torch.randn(1, frames, 17, 3, generator=random)
    return rows, torch.randn(1, frames, 7, generator=random), torch.arange(frames)[None] * FRAME_NS


def small(**changes: object) -> ModelConfig:
    values: dict[str, object] = {
        "width": 32,
        "heads": 2,
        "depth": 2,
        "window": 4,
        "representation": 16,
    }
    return ModelConfig(**(values | changes))  # type: ignore[arg-type]


SMALL = {
    "frame tokens": small(),
    "joint tokens, two streams": small(tokens="joint", streams=2),
}


@pytest.mark.parametrize(("name", "published"), [("paper", 42_466_317), ("lite", 16_001_549)])
def test_the_published_presets_have_motionberts_parameter_counts(name: str, published: int) -> None:
    model = LangPose(PRESETS[name])
    ours = parameter_count(model.encoder.to_embedding) + parameter_count(model.lifter.to_log_sigma)
    assert parameter_count(model) - ours == published


@pytest.mark.parametrize("config", SMALL.values(), ids=SMALL)
def test_a_frame_sees_itself_and_window_times_depth_frames_of_its_past_and_nothing_else(
    config: ModelConfig,
) -> None:
    encoder = Encoder(config).eval()
    rows, extras, time_ns = clip(20)
    changed = rows.clone()
    changed[:, 8] += 1
    with torch.no_grad():
        difference = (encoder(rows, extras, time_ns) - encoder(changed, extras, time_ns)).abs()
    touched = difference.amax(dim=(0, 2, 3)) > 1e-7
    reach = config.window * config.depth
    assert touched.tolist() == [8 <= frame <= 8 + reach for frame in range(20)]


def test_a_key_older_than_the_age_limit_is_not_seen_and_one_exactly_as_old_is() -> None:
    encoder = Encoder(small(depth=1, max_age_s=0.04)).eval()
    rows, extras, time_ns = clip(6)
    changed = rows.clone()
    changed[:, 0] += 1
    with torch.no_grad():
        difference = (encoder(rows, extras, time_ns) - encoder(changed, extras, time_ns)).abs()
    assert (difference.amax(dim=(0, 2, 3)) > 1e-7).tolist() == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


def test_a_bidirectional_model_sees_the_whole_clip() -> None:
    encoder = Encoder(
        small(input="screen", tokens="joint", streams=2, causal=False, window=9)
    ).eval()
    rows, extras, time_ns = clip(9)
    changed = rows.clone()
    changed[:, 8] += 1
    with torch.no_grad():
        difference = (encoder(rows, extras, time_ns) - encoder(changed, extras, time_ns)).abs()
    assert (difference.amax(dim=(0, 2, 3)) > 1e-7).all()


def test_only_differences_of_time_matter_whatever_the_hour() -> None:
    encoder = Encoder(SMALL["frame tokens"]).eval()
    rows, extras, time_ns = clip(12)
    with torch.no_grad():
        difference = encoder(rows, extras, time_ns) - encoder(rows, extras, time_ns + 10**18)
    assert difference.abs().max() < 1e-5


def test_torch_and_numpy_agree_on_the_rotary_angles() -> None:
    encoder = Encoder(SMALL["frame tokens"])
    time_ns = torch.tensor([0, 1, 16_666_667, 10**18 + 7])
    cos, sin = rotary_table(time_ns.numpy(), rotary_periods_ns(8))
    torch.testing.assert_close(
        encoder.rotary(time_ns).cos, torch.from_numpy(cos), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(
        encoder.rotary(time_ns).sin, torch.from_numpy(sin), atol=1e-6, rtol=0
    )


def test_two_streams_start_mixed_in_equal_parts() -> None:
    layer = Encoder(SMALL["joint tokens, two streams"]).layers[0]
    one, two = torch.randn(2, 3, 17, 32).unbind()
    torch.testing.assert_close(layer.fuse([one, two]), (one + two) / 2)


def test_weights_depend_on_the_seed_alone() -> None:
    first = seeded(SMALL["frame tokens"], 3).state_dict()
    torch.manual_seed(99)
    again = seeded(SMALL["frame tokens"], 3).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
