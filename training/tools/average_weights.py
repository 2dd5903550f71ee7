"""Average the weights of a fine-tuned checkpoint with those it began from.

    python -m training.tools.average_weights NEW --old OLD --share 0.7 --out FILE

On a straight line between the two, what the fine-tuned one has learned stays and less of what the
old one knew is lost.

Source: Wortsman et al. 2022 (WiSE-FT).
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch

from langpose_rt.errors import ConfigError, LangPoseError
from langpose_rt.model import checkpoint
from langpose_rt.model.langpose import with_flip_averaging


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--old", type=Path, required=True, help="checkpoint it began from")
    parser.add_argument("--share", type=float, required=True, help="of the fine-tuned weights")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write")
    try:
        run(parser.parse_args(argv))
    except LangPoseError as error:
        print(f"training.tools.average_weights: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Average and write; the card is that of the fine-tuned checkpoint."""
    if not 0 <= arguments.share <= 1:
        raise ConfigError(f"--share is {arguments.share:g}; expected 0 to 1")
    model, card = checkpoint.load(arguments.checkpoint)
    old, _ = checkpoint.load(arguments.old)
    old = with_flip_averaging(old, mirrored=model.config.mirrored)
    if model.config != replace(old.config, name=model.config.name):
        raise ConfigError(f"{arguments.old} belongs to another model config; expected the same")
    weights, begun = model.state_dict(), old.state_dict()
    averaged = {name: begun[name].lerp(weights[name], arguments.share) for name in weights}
    model.load_state_dict({name: value.to(torch.float32) for name, value in averaged.items()})
    words = f"python -m training.tools.average_weights --share {arguments.share:g}"
    command = {"command": words, "from_step": card.get("step")}
    checkpoint.save(arguments.out, model, card | {"commands": [*card.get("commands", []), command]})


if __name__ == "__main__":
    sys.exit(main())
