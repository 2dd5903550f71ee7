"""Streamed = offline, the central test, in torch; `tests/runtime` repeats it for every backend."""

from dataclasses import replace

import pytest
import torch

from langpose_rt.config import PRESETS, ModelConfig
from langpose_rt.model.langpose import LangPose, seeded
from langpose_rt.window.reference import MASKED

CONFIGS = {
    "live": PRESETS["live"],
    "live, one view": replace(PRESETS["live"], mirrored=False),
    "live-l": PRESETS["live-l"],
}
RATES_HZ = (25, 50, 60, 120)


def stream(model: LangPose, clip: tuple[torch.Tensor, ...], frames_back: int) -> torch.Tensor:
    """Frame by frame with a ring written after each step."""
    rows, extras, time_ns = clip
    config, batch, frames = model.config, len(rows), rows.shape[1]
    keys = torch.zeros(batch, config.blocks, config.window, config.channels)
    values, times = torch.zeros_like(keys), torch.full((batch, config.window), -(10**15))
    features, poses = [], []
    for frame in range(frames):
        now = time_ns[:, frame]
        seen = now[:, None] - times <= config.max_age_ns
        bias = torch.where(seen, 0.0, MASKED)
        feature, key, value = model.encoder.step(
            rows[:, frame], extras[:, frame], model.encoder.rotary(now), (keys, values), bias
        )
        cell = frame % config.window
        keys[:, :, cell], values[:, :, cell], times[:, cell] = key, value, now
        features.append(feature)
        if frame >= frames_back:
            lag_s = (now - time_ns[:, frame - frames_back]) / 1e9
            poses.append(model.lifter(feature, features[frame - frames_back], lag_s)[0])
    return torch.stack(poses, dim=1)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("frames_back", [0, 4])
def test_frame_by_frame_equals_one_causal_pass(
    config: ModelConfig, rate_hz: int, frames_back: int
) -> None:
    model = seeded(config, 0).eval()
    random = torch.Generator().manual_seed(rate_hz)
    rows, extras = (
        torch.randn(2, 70, 17, 3, generator=random),
        torch.randn(2, 70, config.extra_channels, generator=random),
    )
    steps = (
        torch.randint(1, 4, (2, 70), generator=random) * 10**9 // rate_hz
    )  # drops up to two frames
    steps += torch.randint(
        -(10**6), 10**6, (2, 70), generator=random
    )  # and jitters by a millisecond
    time_ns = steps.cumsum(1) + 1_700_000_000 * 10**9
    with torch.no_grad():
        offline, _ = model(rows, extras, time_ns, frames_back)
        streamed = stream(model, (rows, extras, time_ns), frames_back)
    assert (offline - streamed).abs().max() < 1e-4


def test_the_root_of_every_pose_is_at_the_origin() -> None:
    model = seeded(PRESETS["live"], 0).eval()
    extras = torch.randn(1, 5, model.config.extra_channels)
    with torch.no_grad():
        pose, _ = model(torch.randn(1, 5, 17, 3), extras, torch.arange(5)[None] * 10**7)
    assert not pose[:, :, 0].any()
