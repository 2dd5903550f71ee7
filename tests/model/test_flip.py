"""Mirrored models: what the mirror shows, and answers that turn around with it."""

import numpy as np
import pytest
import torch

from langpose_rt.config import EXTRA_CHANNELS, LENGTH_CHANNELS, ModelConfig
from langpose_rt.geometry.length_channels import length_channels
from langpose_rt.geometry.person_frame import AnchorState, anchor_step
from langpose_rt.geometry.skeleton import BONES, FLIP_INDICES, PAIRS
from langpose_rt.model.flip import Flip
from langpose_rt.model.langpose import LangPose, seeded, with_flip_averaging

SMALL = {"width": 32, "heads": 2, "depth": 2, "window": 4, "representation": 16}
KINDS = {
    "frame tokens": {"bone_input": True},
    "joint tokens, two streams": {"tokens": "joint", "streams": 2},
    "bidirectional": {"causal": False, "window": 9, "input": "screen"},
}
FRAME_NS = 20_000_000


def clip(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    rows = torch.randn(2, 9, 17, 3, generator=random)
    times = torch.arange(9).expand(2, -1) * FRAME_NS
    return rows, torch.randn(2, 9, 7, generator=random), times


def mirrored_model(kind: str) -> LangPose:
    return seeded(ModelConfig(**(SMALL | KINDS[kind]), mirrored=True), 0).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_a_mirrored_frame_gets_the_mirrored_pose(kind: str) -> None:
    model, mirror = mirrored_model(kind), Flip()
    rows, extras, time_ns = clip()
    with torch.no_grad():
        pose, log_sigma = model(rows, extras, time_ns)
        image, image_sigma = model(mirror.joints(rows), mirror.extras(extras), time_ns)
    torch.testing.assert_close(image, mirror.joints(pose))
    torch.testing.assert_close(image_sigma, mirror.scalars(log_sigma))


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_is_the_mean_of_both_sides_of_the_same_weights(kind: str) -> None:
    model, mirror = mirrored_model(kind), Flip()
    plain = with_flip_averaging(model, mirrored=False)
    rows, extras, time_ns = clip()
    with torch.no_grad():
        pose, _ = model(rows, extras, time_ns)
        own, _ = plain(rows, extras, time_ns)
        image, _ = plain(mirror.joints(rows), mirror.extras(extras), time_ns)
    torch.testing.assert_close(pose, (own + mirror.joints(image)) / 2)
    assert (own - pose).abs().max() > 1e-3


def test_known_lengths_of_left_and_right_bones_are_exchanged() -> None:
    mirror = Flip(EXTRA_CHANNELS + LENGTH_CHANNELS)
    bones_m = np.linspace(0.1, 0.4, 16)
    extras = np.concatenate([np.arange(7.0), length_channels(bones_m[None])[0]])
    order = [BONES.index((FLIP_INDICES[parent], FLIP_INDICES[joint])) for parent, joint in BONES]
    expected = np.concatenate([np.arange(7.0), length_channels(bones_m[order][None])[0]])
    expected[[0, 3]] *= -1
    found = mirror.extras(torch.from_numpy(extras))
    np.testing.assert_allclose(found, expected)


def test_words_are_compared_with_the_frame_itself_and_not_its_image() -> None:
    model = mirrored_model("frame tokens")
    plain = with_flip_averaging(model, mirrored=False)
    with torch.no_grad():
        both, own = (one.encoder.embedding(one.encoder(*clip())) for one in (model, plain))
    torch.testing.assert_close(both, own)


def test_the_mirror_shows_what_a_mirrored_camera_would_have_sent() -> None:
    random = np.random.default_rng(0)
    rays = random.normal(0, 0.2, (3, 17, 2)).astype(np.float32) + np.float32(0.3)
    scores = random.random((3, 17)).astype(np.float32)
    gravity = np.array([[0.2, 0.9, 0.1]], np.float32).repeat(3, 0)
    dt_s = np.full(3, 0.02, np.float32)
    own = anchor_step(AnchorState.empty(3), rays, scores, dt_s, gravity)
    order = np.arange(17)
    for left, right in PAIRS:
        order[[left, right]] = right, left
    flip = np.array([-1, 1], np.float32)
    image = anchor_step(
        AnchorState.empty(3), rays[:, order] * flip, scores[:, order], dt_s, gravity * [-1, 1, 1]
    )
    mirror = Flip()
    np.testing.assert_allclose(mirror.joints(torch.from_numpy(own.rows)), image.rows, atol=1e-6)
    np.testing.assert_allclose(mirror.extras(torch.from_numpy(own.extras)), image.extras, atol=1e-6)
