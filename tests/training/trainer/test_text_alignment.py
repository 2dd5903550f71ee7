"""Motion and text: what the loss wants, and what it must not punish."""

from pathlib import Path

import pytest
import torch

from training.trainer.text_alignment import Aligner, multi_positive_loss
from training.trainer.text_encoder import TextConfig, TextEncoder

SCALE = torch.tensor(20.0)
AXES = torch.eye(4)


@pytest.fixture(scope="module")
def aligner(text_checkpoint: Path) -> Aligner:
    text = TextEncoder(TextConfig(text_encoder=str(text_checkpoint)), 4)
    return Aligner(text, ("bow", "jump", "walk"))


def test_motions_on_their_sentences_cost_nothing_and_exchanged_ones_much() -> None:
    place = torch.tensor([0, 1, 2])
    right = multi_positive_loss(AXES[:3], AXES[:3], place, SCALE)
    wrong = multi_positive_loss(AXES[[1, 2, 0]], AXES[:3], place, SCALE)
    assert right < 1e-4
    assert wrong > 10


def test_the_same_sentence_twice_in_a_batch_is_no_false_negative() -> None:
    """Two walks on the walk's sentence: the best there is, up to the entropy of choosing one."""
    place = torch.tensor([0, 0, 1])
    motion = AXES[[0, 0, 1]].clone().requires_grad_()
    loss = multi_positive_loss(motion, AXES[:2], place, SCALE)
    loss.backward()
    assert motion.grad is not None
    assert motion.grad.abs().max() < 1e-3
    assert float(loss.detach()) == pytest.approx(
        0.25 * torch.log(torch.tensor(2.0)).item(), abs=1e-3
    )


def test_it_equals_the_plain_contrastive_loss_where_no_sentence_repeats() -> None:
    generator = torch.Generator().manual_seed(1)
    unit = torch.nn.functional.normalize
    motion, text = (unit(torch.randn(5, 8, generator=generator), dim=-1) for _ in range(2))
    logits, own = SCALE * motion @ text.T, torch.arange(5)
    plain = torch.nn.functional.cross_entropy(logits, own)
    plain = (plain + torch.nn.functional.cross_entropy(logits.T, own)) / 2
    torch.testing.assert_close(multi_positive_loss(motion, text, own, SCALE), plain)


def test_clips_without_a_sentence_do_not_count(aligner: Aligner) -> None:
    generator = torch.Generator().manual_seed(2)
    motion = torch.randn(4, 4, generator=generator)
    some = aligner(motion, torch.tensor([2, -1, 0, -1]))
    torch.testing.assert_close(some, aligner(motion[[0, 2]], torch.tensor([2, 0])))
    nothing = aligner(motion, torch.full((4,), -1))
    assert float(nothing) == 0


def test_a_temperature_and_the_projection_learn_and_frozen_layers_do_not(aligner: Aligner) -> None:
    generator = torch.Generator().manual_seed(3)
    aligner.zero_grad()
    aligner(torch.randn(4, 4, generator=generator), torch.tensor([0, 1, 2, 0])).backward()
    gradients = {name for name, value in aligner.named_parameters() if value.grad is not None}
    assert gradients == {"log_scale", "text.projection.weight", "text.projection.bias"}
    assert set(aligner.learned()) == gradients


def test_an_aligner_learns_which_motion_is_which(aligner: Aligner) -> None:
    generator = torch.Generator().manual_seed(4)
    motion, label = torch.randn(3, 4, generator=generator), torch.arange(3)
    optimiser = torch.optim.Adam([p for p in aligner.parameters() if p.requires_grad], lr=0.05)
    first = float(aligner(motion, label).detach())
    for _ in range(100):
        optimiser.zero_grad()
        loss = aligner(motion, label)
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.1 * first
