"""Make a wider model of a checkpoint that predicts what it predicts, to train on.

    python -m training.tools.widen CHECKPOINT --width 384 --heads 12 --length-input true --out FILE

Channels and heads of the old model keep their weights and read nothing from the new ones at first.
New channels begin near zero, new heads and hidden units with output zero. Layer norms are over more
channels than before, so predictions move a little and are back after a few steps.

Source: ours; after Net2Net (Chen et al. 2016), without its copies.
"""

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path

from torch import Tensor

from langpose_rt.cli.arguments import options
from langpose_rt.config import EXTRA_CHANNELS, NUM_JOINTS, ROW_CHANNELS, ModelConfig
from langpose_rt.errors import ConfigError, LangPoseError
from langpose_rt.model import checkpoint
from langpose_rt.model.langpose import LangPose, seeded

_GROWS = frozenset({"width", "heads", "length_input", "mirrored"})
_NEW_CHANNELS_SCALE = 0.02
"""Size of the first weights that write to new channels, over those of a new model."""

_BEFORE_LENGTHS = NUM_JOINTS * ROW_CHANNELS + EXTRA_CHANNELS
"""Input channels before those of bone lengths."""


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    left = tuple(item.name for item in fields(ModelConfig) if item.name not in _GROWS)
    options.add_config_arguments(parser, ModelConfig, leave_out=left, unset=True)
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write")
    try:
        run(parser.parse_args(argv))
    except LangPoseError as error:
        print(f"training.tools.widen: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Widen and write the checkpoint; its card names the command."""
    old, card = checkpoint.load(arguments.checkpoint)
    given = {name: getattr(arguments, name) for name in sorted(_GROWS)}
    chosen = {name: value for name, value in given.items() if value is not None}
    model = widen(old, replace(old.config, **chosen))
    words = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in chosen.items())
    command = {"command": f"python -m training.tools.widen {words}", "from_step": card.get("step")}
    commands = [*card.get("commands", []), command]
    checkpoint.save(arguments.out, model, card | {"commands": commands})


def widen(old: LangPose, config: ModelConfig, seed: int = 0) -> LangPose:
    """Return a model of `config` that predicts nearly what `old` does.

    Raises:
        ConfigError: If the new model is narrower or lacks an input, or its heads have another size.
    """
    if config.width < old.config.width or config.tokens != "frame":
        raise ConfigError(f"width {config.width} is less than {old.config.width} of the checkpoint")
    if old.config.length_input and not config.length_input:
        raise ConfigError("the checkpoint takes bone lengths; leave out --length-input false")
    if config.rotary_pairs != old.config.rotary_pairs:
        size = old.config.width // old.config.heads
        raise ConfigError(f"heads keep their size; choose --heads {config.width // size}")
    new = seeded(config, seed)
    weights = new.state_dict()
    for name, value in old.state_dict().items():
        weights[name] = _grown(name, value, weights[name], old.config, config)
    new.load_state_dict(weights)
    return new.eval()


def _grown(
    name: str, old: Tensor, fresh: Tensor, before: ModelConfig, after: ModelConfig
) -> Tensor:
    """Return the weights of one parameter: old ones in the corner of fresh ones."""
    parts = 3 if ".qkv." in name else 1
    grown = fresh.clone()
    old_parts, new_parts = old.chunk(parts), grown.chunk(parts)
    for source, target in zip(old_parts, new_parts, strict=True):
        _put(name, source, target)
    if "norm." in name and name.endswith("weight"):
        grown[: before.width] *= (before.width / after.width) ** 0.5
    return grown


def _put(name: str, source: Tensor, target: Tensor) -> None:
    """Write old weights into the corner; in place.

    Old rows read nothing from new columns, and new rows of what writes to the stream are small.
    """
    if source.ndim == 1:
        target[: len(source)] = source
        return
    rows, columns = source.shape
    target[:rows] = 0
    if ".qkv." not in name and "mlp.0." not in name:
        target[rows:] *= _NEW_CHANNELS_SCALE
    if name == "encoder.embed.weight":
        added = target.shape[1] - columns
        target[:rows, :_BEFORE_LENGTHS] = source[:, :_BEFORE_LENGTHS]
        target[:rows, _BEFORE_LENGTHS + added :] = source[:, _BEFORE_LENGTHS:]
    else:
        target[:rows, :columns] = source


if __name__ == "__main__":
    sys.exit(main())
