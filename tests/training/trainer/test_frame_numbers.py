"""Frames that are numbered know no time."""

import numpy as np
import torch

from langpose_rt.config import ModelConfig
from langpose_rt.model.langpose import seeded
from training.trainer.frame_numbers import number_frames

TINY = ModelConfig(depth=1, width=16, heads=2, representation=16, embedding=4, window=8)


def test_numbered_frames_know_no_time() -> None:
    rows, extras = torch.randn(1, 6, 17, 3), torch.zeros(1, 6, 7)
    even = torch.arange(6)[None] * 20_000_000
    uneven = torch.from_numpy(np.array([[0, 10, 50, 60, 90, 130]]) * 1_000_000)
    model = seeded(TINY, 0).eval()
    with torch.no_grad():
        by_time = [model(rows, extras, times)[0] for times in (even, uneven)]
        number_frames(model)
        by_number = [model(rows, extras, times)[0] for times in (even, uneven)]
    assert not torch.allclose(by_time[0], by_time[1], atol=1e-6)
    torch.testing.assert_close(by_number[0], by_number[1])
    torch.testing.assert_close(by_number[0], by_time[0])
