"""Which optimiser moves which weights, and that both go on after a stop."""

import copy

import pytest
import torch

from langpose_rt.config import ModelConfig
from langpose_rt.model.langpose import LangPose, seeded
from training.trainer.muon import MuonAdamW, StackedMuon

TINY = ModelConfig(depth=1, width=32, heads=2, representation=16, embedding=4)


def fresh() -> tuple[LangPose, MuonAdamW]:
    model = seeded(TINY, 0)
    return model, MuonAdamW(model, learning_rate=1e-3, matrix_learning_rate=2e-3, weight_decay=0.0)


def with_gradients(model: LangPose, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_every_weight_moves_and_gradients_are_forgotten() -> None:
    model, optimiser = fresh()
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    with_gradients(model, 0)
    optimiser.step(1.0)
    for name, value in model.named_parameters():
        assert not torch.equal(value, before[name]), name
        assert value.grad is None


def test_layer_matrices_take_steps_of_equal_size_in_every_direction() -> None:
    """Muon's mark: singular values of an update are near one another, unlike the gradient's."""
    model, optimiser = fresh()
    name, weight = next(
        (n, p)
        for n, p in model.named_parameters()
        if n.startswith("encoder.layers.") and p.ndim == 2
    )
    before = weight.detach().clone()
    for other in model.parameters():
        other.grad = torch.zeros_like(other)
    generator = torch.Generator().manual_seed(0)
    rows, columns = weight.shape
    weak_to_strong = torch.logspace(-1, 0, columns)
    weight.grad = torch.randn(rows, columns, generator=generator) * weak_to_strong
    spread = torch.linalg.svdvals(weight.grad)
    optimiser.step(1.0)
    moved = torch.linalg.svdvals(weight.detach() - before)
    assert spread[0] / spread[-1] > 8, name
    assert moved[0] / moved[-1] < 3, name


def test_the_share_of_the_peak_scales_the_step() -> None:
    steps = []
    for share in (1.0, 0.25):
        model, optimiser = fresh()
        before = {name: value.detach().clone() for name, value in model.named_parameters()}
        with_gradients(model, 0)
        optimiser.step(share)
        steps.append({n: (v.detach() - before[n]).norm() for n, v in model.named_parameters()})
    for name, full in steps[0].items():
        assert float(steps[1][name] / full) == pytest.approx(0.25, rel=0.01), name


def test_a_restored_optimiser_takes_the_same_next_step() -> None:
    model, optimiser = fresh()
    with_gradients(model, 0)
    optimiser.step(1.0)
    saved, weights = copy.deepcopy(optimiser.state_dict()), model.state_dict()
    again, restored = fresh()
    again.load_state_dict(weights)
    restored.load_state_dict(saved)
    for own, part in ((model, optimiser), (again, restored)):
        with_gradients(own, 1)
        part.step(0.5)
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_forgotten_gradients_change_nothing() -> None:
    model, optimiser = fresh()
    with_gradients(model, 0)
    optimiser.forget_gradients()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_stacked_matrices_take_the_steps_of_torch_up_to_bfloat16() -> None:
    shapes = [(32, 96), (96, 32), (32, 96), (32, 32)]
    rates = {"lr": 0.01, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    ours = [torch.randn(shape, generator=_generator(5)) for shape in shapes]
    theirs = [weight.clone() for weight in ours]
    pairs = ((ours, StackedMuon), (theirs, torch.optim.Muon))
    for weights, kind in pairs:
        optimiser = kind(weights, **rates)
        for step in range(4):
            for number, weight in enumerate(weights):
                weight.grad = torch.randn(weight.shape, generator=_generator(10 * step + number))
            optimiser.step()
    start = [torch.randn(shape, generator=_generator(5)) for shape in shapes]
    for mine, reference, begun in zip(ours, theirs, start, strict=True):
        moved = (reference - begun).norm()
        assert moved > 0.1
        assert (mine - reference).norm() < 0.03 * moved


def test_a_matrix_without_a_gradient_stays() -> None:
    moving, resting = torch.ones(4, 4), torch.ones(4, 4)
    moving.grad = torch.eye(4)
    StackedMuon([moving, resting], lr=0.1, weight_decay=0.1).step()
    assert torch.equal(resting, torch.ones(4, 4))
    assert not torch.equal(moving, resting)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
