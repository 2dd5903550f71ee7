"""Action sentences embedded beforehand: the file of `training.embed_actions`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from langpose_rt.errors import ConfigError
from langpose_rt.formats.archive import Archive
from langpose_rt.manifest import Manifest

LONGEST_LABEL = 80
"""Characters of a sentence; the header of a message holds several."""


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Sentences, and where they lie among the motions.

    Attributes:
        labels: The sentences.
        embeddings: Of unit length.
    """

    labels: tuple[str, ...]
    embeddings: Float32[np.ndarray, "label embedding"]


def gallery_from_file(path: Path, manifest: Manifest) -> Gallery:
    """The gallery that `training.embed_actions` wrote, if it belongs to this model.

    Raises:
        ConfigError: If the file is none, or was made with another text encoder than the model.
    """
    with Archive(path) as archive:
        labels = archive.words("labels")
        embeddings = archive.numbers("embeddings", "N,E").astype(np.float32)
        text_sha256 = archive.text("text_sha256")
    expected = manifest.card.get("text_sha256")
    if expected is None:
        raise ConfigError(
            f"model {manifest.name!r} was not aligned with text; serve one that was, without "
            "--actions, or train stage 1 with 'python -m training.pretrain'"
        )
    if text_sha256 != expected:
        raise ConfigError(
            f"{path} belongs to text encoder {text_sha256[:12]}, model {manifest.name!r} to "
            f"{expected[:12]}; embed the sentences again with the model's text.safetensors"
        )
    _check(path, labels, embeddings, manifest.model_config.embedding)
    return Gallery(labels=labels, embeddings=embeddings)


def _check(path: Path, labels: tuple[str, ...], embeddings: np.ndarray, channels: int) -> None:
    if embeddings.shape != (len(labels), channels) or not labels:
        raise ConfigError(
            f"{path} holds embeddings of shape {embeddings.shape} for {len(labels)} sentences; "
            f"the model expects {channels} channels; embed the sentences again"
        )
    long = next((label for label in labels if len(label) > LONGEST_LABEL), None)
    if long is not None:
        raise ConfigError(
            f"{path} has a sentence of {len(long)} characters ({long[:20]!r}...); at most "
            f"{LONGEST_LABEL} fit a message"
        )
    if not np.allclose(np.linalg.norm(embeddings, axis=-1), 1, atol=1e-3):
        raise ConfigError(f"{path} holds embeddings that are not of unit length; embed them again")
