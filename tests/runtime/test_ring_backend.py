"""Streamed = offline, through every backend: ring, masks, slots and lookahead together."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from langpose_rt.model.checkpoint import load
from langpose_rt.runtime.backend import DEFAULT_MODEL, Backend
from langpose_rt.runtime.parity import ParityClip, demo_parity_clip, lift_clip
from langpose_rt.runtime.registry import open_backend
from langpose_rt.runtime.ring_backend import Network, RingBackend
from langpose_rt.runtime.torch import CHECKPOINT_NAME
from tests.runtime.conftest import random_clip

RATES_HZ = (25, 50, 60, 120)


def offline(folder: Path, clip: ParityClip, frames_back: int = 0) -> np.ndarray:
    model, _ = load(folder / CHECKPOINT_NAME)
    with torch.inference_mode():
        batch = (torch.from_numpy(part)[None] for part in (clip.rows, clip.extras, clip.time_ns))
        pose, _ = model(*batch, frames_back)
    return np.asarray(pose[0].numpy())


@pytest.mark.parametrize("name", ["onnx", "torch"])
@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("frames_back", [0, 3])
def test_frame_by_frame_through_a_backend_equals_one_causal_pass(
    model_folder: Path, name: str, rate_hz: int, frames_back: int
) -> None:
    clip = random_clip(40, rate_hz=rate_hz, seed=rate_hz)
    streamed, _ = lift_clip(open_backend(model_folder, name), clip, frames_back)
    assert np.abs(streamed - offline(model_folder, clip, frames_back)).max() < 1e-4


def run_together(
    backend: Backend, clips: list[ParityClip], starts: list[int], slots: list[int], ends: list[int]
) -> list[np.ndarray]:
    """Persons join at a step and leave at another; everybody present shares every step."""
    poses: list[list[np.ndarray]] = [[] for _ in clips]
    clips = [clip.for_backend(backend) for clip in clips]
    for step in range(max(ends)):
        here = [p for p in range(len(clips)) if starts[p] <= step < ends[p]]
        if not here:
            continue
        frames = [step - starts[p] for p in here]
        slot = np.array([slots[p] for p in here], np.int32)
        for p in here:
            if step == starts[p]:
                backend.reset(np.array([slots[p]], np.int32))
        backend.encode(
            np.stack([clips[p].rows[f] for p, f in zip(here, frames, strict=True)]),
            np.stack([clips[p].extras[f] for p, f in zip(here, frames, strict=True)]),
            slot,
            np.array([clips[p].time_ns[f] for p, f in zip(here, frames, strict=True)]),
        )
        zeros = np.zeros(len(here), np.int32)
        pose, _ = backend.lift(slot, zeros, zeros.astype(np.float32))
        for index, p in enumerate(here):
            poses[p].append(pose[index])
    return [np.stack(own) for own in poses]


@pytest.mark.parametrize("name", ["onnx", "torch"])
def test_a_step_of_nobody_gives_empty_arrays_of_the_usual_shapes(
    model_folder: Path, name: str
) -> None:
    backend = open_backend(model_folder, name)
    one, none = random_clip(1), random_clip(0)
    slots, nobody = np.zeros(1, np.int32), np.zeros(0, np.int32)
    one, none = one.for_backend(backend), none.for_backend(backend)
    usual = backend.encode(one.rows, one.extras, slots, one.time_ns)
    embedding = backend.encode(none.rows, none.extras, nobody, none.time_ns)
    assert (embedding.shape, embedding.dtype) == ((0, *usual.shape[1:]), usual.dtype)
    pose, sigma = backend.lift(nobody, nobody, np.zeros(0, np.float32))
    assert (pose.shape, pose.dtype) == ((0, 17, 3), np.float32)
    assert (sigma.shape, sigma.dtype) == ((0, 17), np.float32)
    backend.reset(nobody)


@pytest.mark.parametrize("name", ["onnx", "torch"])
def test_a_network_takes_its_inputs_by_name_in_any_order(model_folder: Path, name: str) -> None:
    backend, clip = open_backend(model_folder, name), random_clip(8)
    assert isinstance(backend, RingBackend)
    network, expected = backend._network, lift_clip(backend, clip)

    class Reordered:
        def encode(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            return network.encode(dict(reversed(inputs.items())))

        def lift(self, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            return network.lift(dict(reversed(inputs.items())))

        def __getattr__(self, attribute: str) -> object:
            return getattr(network, attribute)

    backend.reset(np.zeros(1, np.int32))
    backend._network = cast("Network", Reordered())
    for found, wanted in zip(lift_clip(backend, clip), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", ["onnx", "torch"])
def test_persons_who_join_and_leave_get_the_poses_they_would_get_alone(
    model_folder: Path, name: str
) -> None:
    clips = [random_clip(30, seed=seed) for seed in range(4)]
    backend = open_backend(model_folder, name, slots=4)
    poses = run_together(backend, clips, [0, 5, 9, 31], [2, 0, 3, 2], [30, 35, 39, 61])
    for clip, pose in zip(clips, poses, strict=True):
        assert np.abs(pose - offline(model_folder, clip)).max() < 1e-4


def test_a_pause_longer_than_the_age_limit_forgets_as_a_reset_does(model_folder: Path) -> None:
    clip = random_clip(20)
    clip.time_ns[10:] += 10**9
    backend = open_backend(model_folder)
    paused, _ = lift_clip(backend, clip)
    fresh, _ = lift_clip(
        backend, ParityClip("tail", clip.rows[10:], clip.extras[10:], clip.time_ns[10:])
    )
    np.testing.assert_allclose(paused[10:], fresh, atol=1e-5)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_the_default_weights_streamed_are_their_own_causal_pass(rate_hz: int) -> None:
    real = demo_parity_clip()
    times = random_clip(len(real.rows), rate_hz=rate_hz, seed=rate_hz).time_ns
    clip = ParityClip("demo, jittered and dropped", real.rows, real.extras, times)
    streamed, _ = lift_clip(open_backend(), clip)
    assert np.abs(streamed - offline(DEFAULT_MODEL, clip)).max() < 1e-4
