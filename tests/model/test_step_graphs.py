"""The graphs that leave torch: their order of inputs, and that they are the model itself."""

import inspect

import pytest
import torch

from langpose_rt.config import (
    ENCODER_INPUTS,
    ENCODER_OUTPUTS,
    LIFTER_INPUTS,
    LIFTER_OUTPUTS,
    WINDOW_INPUTS,
    ModelConfig,
)
from langpose_rt.model.attention import Rotary
from langpose_rt.model.langpose import LangPose, seeded
from langpose_rt.model.step_graphs import EncoderStep, EncoderWindow, LifterStep, example_inputs

SIZES = {"width": 16, "heads": 2, "depth": 2, "window": 5, "representation": 8, "embedding": 4}
KINDS = {
    "frame": ModelConfig(**SIZES),
    "joint": ModelConfig(**SIZES, tokens="joint", streams=2),
    "mirrored": ModelConfig(**SIZES, mirrored=True, bone_input=True),
}
EVERY = pytest.mark.parametrize("kind", KINDS)
MASKED = -1e4
FRAME_NS = 20_000_000


def model(kind: str) -> LangPose:
    return seeded(KINDS[kind], 0).eval()


def clip(frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    rows = torch.randn(2, frames, 17, 3, generator=random)
    extras = torch.randn(2, frames, 7, generator=random)
    return rows, extras, (torch.arange(frames) * FRAME_NS).expand(2, -1)


@pytest.mark.parametrize(
    ("graph", "names"),
    [
        (EncoderStep, ENCODER_INPUTS),
        (EncoderWindow, WINDOW_INPUTS),
        (LifterStep, LIFTER_INPUTS),
    ],
)
def test_names_of_inputs_are_those_of_the_graph_in_order(
    graph: type[torch.nn.Module], names: tuple[str, ...]
) -> None:
    assert tuple(inspect.signature(graph.forward).parameters)[1:] == names


@EVERY
def test_example_inputs_pass_through_and_fit_the_config(kind: str) -> None:
    one, config = model(kind), KINDS[kind]
    encoder, lifter = example_inputs(one, batch=3)
    assert len(encoder) == len(ENCODER_INPUTS)
    assert len(lifter) == len(LIFTER_INPUTS)
    with torch.no_grad():
        given = dict(zip(ENCODER_OUTPUTS, EncoderStep(one)(*encoder), strict=True))
        answer = dict(zip(LIFTER_OUTPUTS, LifterStep(one)(*lifter), strict=True))
    assert given["feature"].shape == (3, config.feature_channels)
    assert given["embedding"].shape == (3, config.embedding)
    assert given["key"].shape == given["value"].shape == (3, config.blocks, config.channels)
    assert (answer["pose"].shape, answer["sigma"].shape) == ((3, 17, 3), (3, 17))


@EVERY
def test_a_window_that_slides_through_the_step_ends_at_the_window_graphs_feature(
    kind: str,
) -> None:
    one, config, frames = model(kind), KINDS[kind], KINDS[kind].window
    rows, extras, time_ns = clip(frames)
    keys = torch.zeros(2, config.blocks, config.window, config.channels)
    values = keys.clone()
    step, rotary = EncoderStep(one), one.encoder.rotary(time_ns)
    bias = torch.full((frames, frames), MASKED).triu(1).expand(2, -1, -1)
    with torch.no_grad():
        for frame in range(frames):
            seen = torch.full((2, config.window), MASKED)
            seen[:, :frame] = 0
            feature, _, key, value = step(
                rows[:, frame], extras[:, frame], rotary.cos[:, frame], rotary.sin[:, frame],
                keys, values, seen,
            )  # fmt: skip
            keys[:, :, frame], values[:, :, frame] = key, value
        whole = EncoderWindow(one)(rows, extras, rotary.cos, rotary.sin, bias)
    torch.testing.assert_close(feature, whole, atol=1e-5, rtol=1e-5)


@EVERY
def test_the_step_never_writes_into_its_inputs(kind: str) -> None:
    one = model(kind)
    random = torch.Generator().manual_seed(0)
    encoder, lifter = (
        [torch.rand(given.shape, generator=random) for given in part]
        for part in example_inputs(one, batch=2)
    )
    before = [given.clone() for given in (*encoder, *lifter)]
    with torch.no_grad():
        EncoderStep(one)(*encoder)
        LifterStep(one)(*lifter)
    for given, kept in zip((*encoder, *lifter), before, strict=True):
        assert torch.equal(given, kept)


@EVERY
def test_the_step_is_the_encoders_step_with_its_tokens_laid_flat(kind: str) -> None:
    one = model(kind)
    random = torch.Generator().manual_seed(0)
    given = [torch.rand(x.shape, generator=random) for x in example_inputs(one, batch=2)[0]]
    rows, extras, cos, sin, keys, values, bias = given
    with torch.no_grad():
        feature, embedding, key, value = EncoderStep(one)(*given)
        own, own_key, own_value = one.encoder.step(
            rows, extras, Rotary(cos, sin), (keys, values), bias
        )
        torch.testing.assert_close(embedding, one.encoder.embedding(own))
    torch.testing.assert_close(feature, own.flatten(1))
    assert torch.equal(key, own_key)
    assert torch.equal(value, own_value)


@EVERY
def test_sigma_leaves_the_graph_as_a_length_and_not_as_a_logarithm(kind: str) -> None:
    one, config = model(kind), KINDS[kind]
    feature = torch.randn(2, config.feature_channels)
    with torch.no_grad():
        pose, sigma = LifterStep(one)(feature, feature, torch.zeros(2))
        tokens = feature.unflatten(1, (config.token_count, -1))
        own, log_sigma = one.lifter(tokens, tokens, torch.zeros(2))
    torch.testing.assert_close(pose, own)
    torch.testing.assert_close(sigma.log(), log_sigma)
    assert (sigma > 0).all()


def test_a_graph_can_be_exported_with_a_batch_of_any_size() -> None:
    one = model("frame")
    given = example_inputs(one, batch=3)[0]
    batch = torch.export.Dim("batch", min=1)
    exported = torch.export.export(
        EncoderStep(one), given, dynamic_shapes=tuple({0: batch} for _ in given)
    )
    for size in (1, 7):
        other = example_inputs(one, batch=size)[0]
        with torch.no_grad():
            for mine, expected in zip(
                exported.module()(*other), EncoderStep(one)(*other), strict=True
            ):
                torch.testing.assert_close(mine, expected)
