"""Tensors of the networks are those of the graphs that leave torch."""

from dataclasses import replace

import pytest

from langpose_rt.config import (
    ENCODER_INPUTS,
    ENCODER_OUTPUTS,
    LIFTER_INPUTS,
    LIFTER_OUTPUTS,
    PRESETS,
)
from langpose_rt.model.langpose import seeded
from langpose_rt.model.step_graphs import EncoderStep, LifterStep, example_inputs
from langpose_rt.runtime.tensors import Tensor, encoder_io, lifter_io


@pytest.mark.parametrize("length_input", [False, True])
@pytest.mark.parametrize("preset", ["live", "live-l"])
def test_names_and_shapes_are_the_graphs(preset: str, length_input: bool) -> None:
    model = seeded(replace(PRESETS[preset], length_input=length_input), 0).eval()
    steps = (EncoderStep(model), LifterStep(model))
    names = ((ENCODER_INPUTS, ENCODER_OUTPUTS), (LIFTER_INPUTS, LIFTER_OUTPUTS))
    sides = (encoder_io(model.config), lifter_io(model.config))
    for step, given, name, io in zip(steps, example_inputs(model, 3), names, sides, strict=True):
        for own, tensors, values in zip(name, io, (given, step(*given)), strict=True):
            assert tuple(tensors) == own
            shapes = [tensor.shape for tensor in tensors.values()]
            assert shapes == [tuple(value.shape[1:]) for value in values]


def test_only_the_ring_is_half() -> None:
    inputs, outputs = encoder_io(PRESETS["live"])
    half = {name for name, tensor in (inputs | outputs).items() if tensor.dtype == "float16"}
    assert half == {"ring_keys", "ring_values"}
    assert str(inputs["ring_keys"]) == "float16[batch,8,32,384]"
    assert str(Tensor(())) == "float32[batch]"
