"""Reader for action galleries: sentences with their text embeddings.

`training.tools.embed_actions` writes the file.
"""

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
    """Sentences and their embeddings.

    Attributes:
        labels: The sentences.
        embeddings: Of unit length.
        text_sha256: Hash of the text encoder; a model aligned with another one is rejected.
    """

    labels: tuple[str, ...]
    embeddings: Float32[np.ndarray, "label embedding"]
    text_sha256: str


def gallery_from_file(path: Path) -> Gallery:
    """Read a gallery written by `training.tools.embed_actions`.

    Raises:
        ConfigError: If the file is not a gallery.
    """
    with Archive(path) as archive:
        labels = archive.words("labels")
        embeddings = archive.numbers("embeddings", "N,E").astype(np.float32)
        text_sha256 = archive.text("text_sha256")
    _check(path, labels, embeddings)
    return Gallery(labels=labels, embeddings=embeddings, text_sha256=text_sha256)


def check_gallery(gallery: Gallery, manifest: Manifest) -> None:
    """Check that a model's motion embeddings can be compared with the gallery.

    Raises:
        ConfigError: If the model has no text alignment, or one with another text encoder.
    """
    expected, name = manifest.card.get("text_sha256"), manifest.name
    if expected is None:
        raise ConfigError(
            f"model {name!r} was not aligned with text; serve it without --actions, or train "
            "stage 1 with 'python -m training.pretrain'"
        )
    channels = manifest.model_config.embedding
    if gallery.text_sha256 != expected or gallery.embeddings.shape[1] != channels:
        raise ConfigError(
            f"the action gallery belongs to text encoder {gallery.text_sha256[:12]} with "
            f"{gallery.embeddings.shape[1]} channels, model {name!r} to {expected[:12]} with "
            f"{channels}; embed the sentences again with the model's text.safetensors"
        )


def _check(path: Path, labels: tuple[str, ...], embeddings: np.ndarray) -> None:
    if len(embeddings) != len(labels) or not labels:
        raise ConfigError(
            f"{path} holds {len(embeddings)} embeddings for {len(labels)} sentences; embed the "
            "sentences again"
        )
    long = next((label for label in labels if len(label) > LONGEST_LABEL), None)
    if long is not None:
        raise ConfigError(
            f"{path} has a sentence of {len(long)} characters ({long[:20]!r}...); at most "
            f"{LONGEST_LABEL} fit a message"
        )
    if not np.allclose(np.linalg.norm(embeddings, axis=-1), 1, atol=1e-3):
        raise ConfigError(f"{path} holds embeddings that are not of unit length; embed them again")
