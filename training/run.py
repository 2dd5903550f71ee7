"""What both stages of training share: flags, data, the run itself, its log and its card.

`pretrain.py` is stage 1, which also aligns motion with text; `finetune.py` is stage 2.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langpose_rt.errors import LangPoseError

if TYPE_CHECKING:
    from langpose_rt.config import ModelConfig
    from langpose_rt.model.langpose import LangPose
    from training.alignment import Aligner
    from training.config import TrainConfig
    from training.data.mocap import Mocap
    from training.loop import Progress


def command(stage: str, parser: argparse.ArgumentParser, argv: list[str] | None) -> int:
    """Run one stage as a command; returns its exit code."""
    try:
        words = sys.argv[1:] if argv is None else argv
        run(stage, parser.parse_args(words), " ".join(words))
    except LangPoseError as error:
        print(f"training.{stage}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"training.{stage}: stopped; run it again with --resume", file=sys.stderr)
        return 130
    return 0


def run(stage: str, arguments: argparse.Namespace, words: str) -> None:
    """Trains as the flags say; `words` are the flags as they were typed, for the card."""
    import torch

    from training.config import config_from_arguments, default_out
    from training.data.mocap import read_mocap
    from training.loader import BatchLoader
    from training.loop import STATE_FILE, resume_run, start_from, start_run, train
    from training.validation import validation_batch, validation_mm

    config, model_config = config_from_arguments(arguments)
    out = default_out(arguments.out, model_config.name)
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(config.threads)
    commercial_only, sources = arguments.commercial_only, arguments.sources or None
    mocap = read_mocap(arguments.mocap, "train", commercial_only=commercial_only, sources=sources)
    fixed = validation_batch(read_mocap(arguments.mocap, "val"))
    aligner = _aligner(config, model_config, mocap) if stage == "pretrain" else None
    state = start_run(model_config, config, aligner)
    earlier: list[dict[str, Any]] = []
    if arguments.resume and (out / STATE_FILE).exists():
        resume_run(state, out)
    elif arguments.start_from:
        earlier = start_from(state, arguments.start_from)
    card = {
        "data": mocap.licences,
        "licence": licence_of_weights(mocap.licences),
        "seed": config.seed,
        "commands": [*earlier, *_commands(out, state.step, f"{stage} {words}")],
        "training": config.to_dict(),
    }
    with BatchLoader(
        mocap, config.data, seed=config.seed, first=state.step, workers=config.workers
    ) as loader:

        def validate(model: "LangPose") -> dict[str, float]:
            return validation_mm(model, fixed)

        progress = train(state, loader, config, out=out, card=card, validate=validate)
        report(progress, out / "log.jsonl")


def _aligner(config: "TrainConfig", model_config: "ModelConfig", mocap: "Mocap") -> "Aligner":
    """What stage 1 compares motion with, its new weights fixed by the seed."""
    import torch

    from training.alignment import Aligner
    from training.text_encoder import TextEncoder

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return Aligner(TextEncoder(config.text, model_config.embedding), mocap.texts)


def _commands(out: Path, step: int, words: str) -> list[dict[str, Any]]:
    """Every command that made these weights, and from which step on; resumed runs add to it."""
    from langpose_rt.model.checkpoint import load
    from training.loop import WEIGHTS_FILE

    earlier: list[dict[str, Any]] = []
    if step > 0:
        earlier = load(out / WEIGHTS_FILE)[1].get("commands", [])
    placeless = " ".join(_without_place(word) for word in words.split(" "))
    own = {"from_step": step, "command": f"python -m training.{placeless}"}
    return [*earlier, own]


def _without_place(word: str) -> str:
    """A path that starts at the root says where it was on one machine; its name is enough."""
    return Path(word).name if word.startswith("/") else word


def licence_of_weights(licences: Mapping[str, str]) -> str:
    """What may be done with weights that were trained on these sources, in one line."""
    from training.data.mocap import is_commercial

    commercial = all(is_commercial(text) for text in licences.values())
    use = "commercial use allowed" if commercial else "non-commercial use only"
    return f"{use}; trained on {', '.join(sorted(licences))}, see the card"


def report(progress: "Any", log_path: Path) -> None:
    """Shows a bar on a terminal and plain lines elsewhere; every figure goes to the log as well."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console()
    with log_path.open("a") as log, Bar(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("training", total=1.0)
        for item in progress:
            bar.update(task, completed=item.share)
            log.write(json.dumps(log_entry(item)) + "\n")
            log.flush()
            if not console.is_terminal or "val_mpjpe_mm" in item.values:
                print(log_line(item), flush=True)


def log_entry(item: "Progress") -> dict[str, float]:
    """One line of log.jsonl."""
    run = {"step": float(item.step), "share": item.share, "frames_per_s": item.frames_per_s}
    return run | item.values


def log_line(item: "Progress") -> str:
    """One line for a person."""
    values = " ".join(f"{name} {value:.4g}" for name, value in item.values.items())
    return (
        f"step {item.step} {100 * item.share:.1f} % {item.frames_per_s:.0f} frames/s "
        f"{item.left_s / 60:.0f} min left  {values}"
    )


def stage_parser(stage: str, description: str, example: str) -> argparse.ArgumentParser:
    """The flags of a stage: where from and where to, and one per field of the configuration."""
    from training.config import add_config_arguments

    parser = argparse.ArgumentParser(
        prog=f"python -m training.{stage}",
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--mocap", type=Path, required=True, help="folder with index.json")
    parser.add_argument("--out", type=Path, help="folder of the checkpoints (default runs/NAME)")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--start-from", type=Path, help="begin with the weights of a checkpoint")
    parser.add_argument(
        "--commercial-only", action="store_true", help="leave out non-commercial sources"
    )
    parser.add_argument("--sources", nargs="*", help="train on these sources only")
    add_config_arguments(parser)
    return parser
