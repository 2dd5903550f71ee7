"""Command ``python -m training.tools.embed_actions``: embed sentences for ``serve --actions``."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from langpose_rt.errors import ConfigError, LangPoseError

if TYPE_CHECKING:
    from training.trainer.text_encoder import TextEncoder

EXAMPLE = """python -m training.tools.embed_actions sentences.txt \\
      --text runs/live/text.safetensors -o actions.npz"""


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        run(_parser().parse_args(argv))
    except LangPoseError as error:
        print(f"training.tools.embed_actions: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Read the sentences, embed them and write the gallery."""
    from langpose_rt.formats.archive import arrays_to_npz
    from training.trainer.text_encoder import load_text, text_sha256

    sentences = sentences_from_file(arguments.sentences)
    encoder = load_text(arguments.text, arguments.text_encoder)
    arrays = {
        "labels": np.array(sentences),
        "embeddings": embed(encoder, sentences),
        "text_sha256": np.array(text_sha256(arguments.text)),
    }
    arrays_to_npz(arguments.out, arrays)
    print(f"{len(sentences)} sentences in {arguments.out}; serve them with --actions")


def embed(
    encoder: "TextEncoder", sentences: tuple[str, ...]
) -> Float32[np.ndarray, "sentence embedding"]:
    """Return unit embeddings of the sentences."""
    import torch

    with torch.no_grad():
        return np.asarray(encoder(sentences).numpy(), np.float32)


def sentences_from_file(path: Path) -> tuple[str, ...]:
    """Read one sentence per line; empty lines and lines that begin with # are skipped.

    Raises:
        ConfigError: If the file is missing, has no sentence, or has one twice.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}; expected text, one sentence a line"
        ) from error
    sentences = tuple(line for line in lines if line and not line.startswith("#"))
    if not sentences:
        raise ConfigError(f"{path} holds no sentence; write one a line, such as: a person waves")
    twice = next((text for text in sentences if sentences.count(text) > 1), None)
    if twice is not None:
        raise ConfigError(f"{path} says {twice!r} twice; keep one of them")
    return sentences


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.tools.embed_actions",
        description="Embed action sentences for 'langpose-rt serve --actions'.",
        epilog=f"example:\n  {EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sentences", type=Path, help="text file, one sentence a line")
    parser.add_argument(
        "--text", type=Path, required=True, help="text.safetensors of the training.pretrain run"
    )
    parser.add_argument(
        "--text-encoder", default="", help="checkpoint it stands on, if not the packaged one"
    )
    parser.add_argument("-o", "--out", type=Path, default=Path("actions.npz"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
