"""What a lifter without a ring computes for every new frame, in torch: for `bench` alone."""

from collections.abc import Callable

import torch

from langpose_rt.model.encoder import MASKED
from langpose_rt.model.langpose import LangPose
from langpose_rt.model.step_graphs import EncoderWindow, LifterStep, example_inputs


def window_pass(model: LangPose, persons: int, device: str) -> Callable[[], None]:
    """One pass over a whole window of every person, float32, eager; it returns when it is done.

    Args:
        model: Moved to the device.
        persons: In one batch.
        device: As torch calls it.
    """
    frames, on = model.config.window, model.to(device).eval()
    encoder, lifter = EncoderWindow(on), LifterStep(on)
    rows, extras, cos, sin, *_ = (
        value.to(device) for value in example_inputs(model, batch=persons)[0]
    )
    bias = rows.new_full((frames, frames), MASKED).triu(1).expand(persons, -1, -1)
    over_time = [v.unsqueeze(1).expand(-1, frames, *v.shape[1:]) for v in (rows, extras, cos, sin)]
    lag_s = rows.new_zeros(persons)

    @torch.inference_mode()
    def run() -> None:
        feature = encoder(*over_time, bias)
        pose, _ = lifter(feature, feature, lag_s)
        pose.cpu()  # waits, and brings the answer as a step does

    return run
