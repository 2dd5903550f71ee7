"""The MAC count against torch's own counter."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from langpose_rt.benchmark.macs import step_macs, window_macs
from langpose_rt.config import PRESETS, ModelConfig
from langpose_rt.model.langpose import seeded
from langpose_rt.model.step_graphs import EncoderWindow

CONFIGS = {
    "live": PRESETS["live"],
    "lengths": ModelConfig(length_input=True, width=32, heads=2, depth=1, representation=32),
    "joint tokens, two streams": ModelConfig(
        tokens="joint", streams=2, width=32, heads=2, depth=2, window=8, representation=32
    ),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_window_counts_what_torch_counts(config: ModelConfig) -> None:
    frames, half = 9, config.rotary_pairs
    inputs = (
        torch.zeros(1, frames, 17, 3), torch.zeros(1, frames, config.extra_channels),
        torch.ones(1, frames, half), torch.zeros(1, frames, half), torch.zeros(1, frames, frames),
    )  # fmt: skip
    counter = FlopCounterMode(display=False)
    with (
        sdpa_kernel(SDPBackend.MATH),
        counter,
        torch.no_grad(),
    ):  # the fused kernels are not counted
        EncoderWindow(seeded(config, 0).eval())(*inputs)
    counted = counter.get_total_flops() / 2
    assert window_macs(config, frames) == pytest.approx(counted, rel=0.02)


def test_the_ring_saves_almost_the_whole_window() -> None:
    config = PRESETS["live"]
    ratio = window_macs(config, config.window) / step_macs(config)
    assert 0.95 * config.window < ratio <= config.window
