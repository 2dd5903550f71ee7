"""The timed pass over a window is the causal encoder and lifter, for as many people as asked."""

import pytest
import torch

from langpose_rt.benchmark import window_pass as module
from langpose_rt.benchmark.window_pass import window_pass
from langpose_rt.model.langpose import seeded
from tests.commands import SMALL


@pytest.mark.parametrize("persons", [1, 3])
def test_a_pass_lifts_the_newest_frame_of_a_causal_window_of_everybody(
    monkeypatch: pytest.MonkeyPatch, persons: int
) -> None:
    model, seen = seeded(SMALL, 0), []
    whole = module.LifterStep.forward

    def forward(self: torch.nn.Module, *given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(given)
        return whole(self, *given)

    monkeypatch.setattr(module.LifterStep, "forward", forward)
    window_pass(model, persons, "cpu")()
    ((newest, answered, lag_s),) = seen
    assert newest is answered
    assert not lag_s.any()
    frames = SMALL.window
    zeros = torch.zeros(persons, frames, 17, 3), torch.zeros(persons, frames, 7)
    with torch.no_grad():
        feature = model.encoder(*zeros, torch.zeros(persons, frames, dtype=torch.int64))
    torch.testing.assert_close(newest, feature[:, -1].flatten(1), atol=1e-5, rtol=1e-4)
