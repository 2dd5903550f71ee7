"""Window pass of a lifter without a ring, in torch; only for `bench`."""

from collections.abc import Callable

import torch

from langpose_rt.model.langpose import LangPose
from langpose_rt.model.step_graphs import EncoderWindow, LifterStep, example_inputs
from langpose_rt.window.reference import MASKED


def window_pass(model: LangPose, persons: int, device: str) -> Callable[[], None]:
    """Return a synchronous pass over a whole window of every person, float32, eager.

    Args:
        model: The model; it is moved to the device.
        persons: Batch size.
        device: Name of the torch device.
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
        pose.cpu()  # synchronises, and copies the poses to the host as a step does

    return run
