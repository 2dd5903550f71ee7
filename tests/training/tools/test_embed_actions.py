"""Sentences in, gallery out."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.test_pretrain import words
from training import pretrain
from training.tools.embed_actions import main
from training.trainer.text_encoder import TEXT_FILE, load_text, text_sha256


def test_the_gallery_holds_what_the_text_encoder_says(
    inputs: list[str], text_checkpoint: Path, tmp_path: Path
) -> None:
    assert pretrain.main(words(inputs, tmp_path, 2)) == 0
    sentences, gallery = tmp_path / "sentences.txt", tmp_path / "actions.npz"
    sentences.write_text("# actions\na person walks\n\nwave the left hand\n")
    flags = ["--text", str(tmp_path / TEXT_FILE), "--text-encoder", str(text_checkpoint)]
    assert main([str(sentences), *flags, "-o", str(gallery)]) == 0
    with np.load(gallery) as file:
        assert file["labels"].tolist() == ["a person walks", "wave the left hand"]
        assert str(file["text_sha256"]) == text_sha256(tmp_path / TEXT_FILE)
        encoder = load_text(tmp_path / TEXT_FILE, str(text_checkpoint))
        expected = encoder(file["labels"].tolist()).detach().numpy()
        np.testing.assert_allclose(file["embeddings"], expected, rtol=1e-6)
        assert file["embeddings"].dtype == np.float32


@pytest.mark.parametrize(
    ("said", "expected"), [("", "no sentence"), ("walk\nwalk\n", "twice"), (None, "cannot read")]
)
def test_a_wrong_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], said: str | None, expected: str
) -> None:
    path, text = tmp_path / "sentences.txt", str(tmp_path / TEXT_FILE)
    if said is not None:
        path.write_text(said)
    assert main([str(path), "--text", text]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert expected in error
