"""What the losses measure, on models that answer whatever a test wants."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from langpose_rt.config import ModelConfig
from langpose_rt.model.langpose import LangPose, seeded
from training.trainer.losses import LossConfig, Tensors, clip_losses
from training.trainer.muon import MuonAdamW

CLIPS, FRAMES, PERIOD_S = 3, 20, 0.04


class Oracle(LangPose):
    """Stands for LangPose: its features are frame numbers, its answers come from a table."""

    def __init__(self, pose: Tensor, log_sigma: float = 0.0) -> None:
        nn.Module.__init__(self)
        self.pose, self.log_sigma = nn.Parameter(pose), nn.Parameter(torch.tensor(log_sigma))
        self.asked: list[tuple[Tensor, Tensor, Tensor]] = []

    def encoder(self, *_: Tensor) -> Tensor:
        clip = torch.arange(CLIPS)[:, None].expand(CLIPS, FRAMES)
        frame = torch.arange(FRAMES).expand(CLIPS, FRAMES)
        return torch.stack([clip, frame], -1)[:, :, None].float()

    def lifter(self, newest: Tensor, answered: Tensor, lag_s: Tensor) -> tuple[Tensor, Tensor]:
        self.asked.append((newest[..., 0, 1], answered[..., 0, 1], lag_s))
        pose = self.pose[answered[..., 0, 0].long(), answered[..., 0, 1].long()]
        return pose, self.log_sigma.expand(pose.shape[:-1])


@pytest.fixture
def batch() -> Tensors:
    generator = torch.Generator().manual_seed(0)
    pose = torch.randn(CLIPS, FRAMES, 17, 3, generator=generator)
    quarter = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    powers = torch.stack([torch.linalg.matrix_power(quarter, k % 4) for k in range(FRAMES)])
    return Tensors(
        rows=torch.zeros(CLIPS, FRAMES, 17, 3),
        extras=torch.zeros(CLIPS, FRAMES, 7),
        time_ns=(torch.arange(FRAMES) * round(PERIOD_S * 1e9)).expand(CLIPS, FRAMES),
        pose=pose,
        rotation=powers.expand(CLIPS, FRAMES, 3, 3),
        stature_m=torch.full((CLIPS,), 1.7),
        text=torch.tensor([0, -1, 1]),
    )


LAGS = torch.tensor([1, 3, 5])


def test_a_constant_error_in_camera_axes_has_no_velocity_error(batch: Tensors) -> None:
    shift = torch.tensor([0.0, 0.03, 0.04]) @ batch.rotation.transpose(-1, -2)
    oracle = Oracle(batch.pose + shift[..., None, :])
    losses = clip_losses(oracle, batch, LAGS, 0, LossConfig())
    assert losses.position.item() == pytest.approx(0.05, rel=1e-3)
    assert losses.lag_position.item() == pytest.approx(0.05, rel=1e-3)
    assert losses.velocity.item() == pytest.approx(0, abs=2e-3)


def test_velocity_is_per_second_whatever_the_frame_rate(batch: Tensors) -> None:
    growing = torch.arange(FRAMES)[:, None, None] * torch.tensor([0.02, 0.0, 0.0])
    still = torch.eye(3).expand(CLIPS, FRAMES, 3, 3)
    for slower in (1, 2):
        own = Tensors(**{**vars(batch), "rotation": still, "time_ns": batch.time_ns * slower})
        oracle = Oracle(batch.pose + growing)
        losses = clip_losses(oracle, own, LAGS, 0, LossConfig(lag=0.0))
        assert losses.velocity.item() == pytest.approx(0.02 / PERIOD_S / slower, rel=1e-3)


def test_very_short_steps_do_not_blow_velocities_up(batch: Tensors) -> None:
    time_ns = batch.time_ns.clone()
    time_ns[:, 10:] -= round(PERIOD_S * 1e9) - 1000
    oracle = Oracle(batch.pose + 0.01 * torch.randn(batch.pose.shape))
    own = Tensors(**{**vars(batch), "time_ns": time_ns})
    losses = clip_losses(oracle, own, LAGS, 0, LossConfig(lag=0.0))
    assert losses.velocity.item() < 3


def test_lagged_answers_read_the_right_frames_and_ages(batch: Tensors) -> None:
    oracle = Oracle(batch.pose.clone())
    losses = clip_losses(oracle, batch, LAGS, 8, LossConfig())
    newest, answered, lag_s = oracle.asked[1]
    assert newest.shape == (CLIPS, FRAMES // 2)
    assert newest[0, 0] == 8
    np.testing.assert_array_equal((newest - answered)[:, 0], LAGS)
    np.testing.assert_allclose(lag_s[:, 0], LAGS * PERIOD_S, atol=1e-5)
    assert losses.lag_position.item() == pytest.approx(0, abs=1e-4)


def test_frames_before_the_clip_do_not_count_as_answers(batch: Tensors) -> None:
    wrong_first = batch.pose.clone()
    wrong_first[:, 0] += 100
    losses = clip_losses(Oracle(wrong_first), batch, torch.tensor([8, 8, 8]), 0, LossConfig())
    once_each = 100 * 3**0.5 / 2
    assert losses.lag_position.item() == pytest.approx(once_each, rel=1e-2)


def test_sigma_settles_at_the_errors_spread_and_cannot_excuse_the_pose(batch: Tensors) -> None:
    noise = 0.05 * torch.randn(batch.pose.shape, generator=torch.Generator().manual_seed(1))
    noise[:, :, 0] = 0
    oracle = Oracle(batch.pose + noise, log_sigma=-1.0)
    only_sigma = LossConfig(velocity=0.0, lag=0.0, sigma=1.0)
    optimiser = torch.optim.Adam([oracle.log_sigma], lr=0.05)
    for _ in range(200):
        oracle.zero_grad()
        losses = clip_losses(oracle, batch, LAGS, 0, only_sigma)
        losses.total.backward()
        optimiser.step()
    assert oracle.log_sigma.exp().item() == pytest.approx(0.05, rel=0.05)
    with_sigma = oracle.pose.grad
    oracle.zero_grad()
    no_sigma = LossConfig(velocity=0.0, lag=0.0, sigma=0.0)
    clip_losses(oracle, batch, LAGS, 0, no_sigma).total.backward()
    torch.testing.assert_close(with_sigma, oracle.pose.grad)


def test_half_precision_is_close_to_float32() -> None:
    model = seeded(ModelConfig(depth=1, width=32, heads=2, representation=16), 0)
    generator = torch.Generator().manual_seed(0)
    time_ns = (torch.arange(16) * 20_000_000).expand(2, 16)
    batch = Tensors(
        rows=torch.randn(2, 16, 17, 3, generator=generator),
        extras=torch.randn(2, 16, 7, generator=generator),
        time_ns=time_ns,
        pose=torch.randn(2, 16, 17, 3, generator=generator),
        rotation=torch.eye(3).expand(2, 16, 3, 3),
        stature_m=torch.ones(2),
        text=torch.full((2,), -1),
    )
    lags = torch.tensor([1, 2])
    full = clip_losses(model, batch, lags, 0, LossConfig()).total
    half = clip_losses(model, batch, lags, 0, LossConfig(), half=True).total
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(full.item(), rel=0.02)


def test_a_step_on_another_device_leaves_no_tensor_on_the_cpu(batch: Tensors) -> None:
    """The device "meta" computes nothing, and refuses tensors of the CPU as a GPU does."""
    model = seeded(ModelConfig(depth=1, width=32, heads=2, bone_input=True), 0).to("meta")
    there = Tensors(**{one.name: getattr(batch, one.name).to("meta") for one in fields(Tensors)})
    losses = clip_losses(model, there, LAGS.to("meta"), 3, LossConfig())
    losses.total.backward()
    optimiser = MuonAdamW(
        model, learning_rate=1e-3, matrix_learning_rate=1e-3, weight_decay=0.01
    )  # fmt: skip
    optimiser.step(1.0)
    assert losses.total.device.type == "meta"
    with pytest.raises(RuntimeError, match="meta"):
        clip_losses(model, there, LAGS, 3, LossConfig())
