"""Command ``python -m training.ablate``: train variants with several seeds and compare them.

A TOML file (ablations.toml) lists the variants and their flags. Each is trained once per seed by
the command of its stage and then evaluated on every curve of `curves.py`. Finished results are
kept, so the command can be interrupted and restarted.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from langpose_rt.errors import ConfigError, LangPoseError
from training.evaluate import add_curve_arguments
from training.trainer.command import flags_of_values, read_toml

EXAMPLE = """python -m training.ablate --mocap data/mocap --jobs 2 --out runs/ablations
  python -m training.ablate --mocap data/mocap --steps 500 --seeds 0 --only live "with text" """

MATRIX = Path(__file__).parent / "ablations.toml"
STAGES = ("finetune", "pretrain")
SCORES_FILE = "curves.json"
SHOWN = ("mpjpe_mm", "p_mpjpe_mm", "velocity_error_mm_s")

Curves = dict[str, list[tuple[str, dict[str, float]]]]


@dataclass(frozen=True, kw_only=True)
class Run:
    """Training run of a variant with a seed.

    Attributes:
        variant: Name of the variant.
        folder: Output folder of the weights.
        command: Command that trains it or resumes its training.
    """

    variant: str
    folder: Path
    command: tuple[str, ...]


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        run(_parser().parse_args(argv))
    except LangPoseError as error:
        print(f"training.ablate: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("training.ablate: stopped; run it again to go on", file=sys.stderr)
        return 130
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Train and score the runs that are not finished, and print all results."""
    runs = runs_from_matrix(arguments)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        found = list(pool.map(lambda one: _trained_and_scored(one, arguments), runs))
    by_variant: dict[str, list[Curves]] = {}
    for one, scores in zip(runs, found, strict=True):
        by_variant.setdefault(one.variant, []).append(scores)
    if arguments.json:
        print(json.dumps(by_variant))
    else:
        print("\n".join(table(by_variant)))


def runs_from_matrix(arguments: argparse.Namespace) -> list[Run]:
    """List every variant with every seed, seed by seed, so that early results are comparable.

    Raises:
        ConfigError: If the file is invalid, names an unknown stage, or lacks a requested variant.
    """
    matrix = read_toml(arguments.matrix)
    variants: dict[str, dict[str, Any]] = matrix.get("variants", {})
    names = arguments.only or list(variants)
    if not names:
        raise ConfigError(f"{arguments.matrix} has no [variants.NAME]")
    for name in names:
        if name not in variants:
            raise ConfigError(
                f"{arguments.matrix} has no variant {name!r}, only {', '.join(variants)}"
            )
    shared = matrix.get("every", {}) | ({"steps": arguments.steps} if arguments.steps else {})
    return [
        _run(arguments, name, shared | variants[name], seed)
        for seed in arguments.seeds
        for name in names
    ]


def table(found: Mapping[str, list[Curves]]) -> Iterable[str]:
    """Format a Markdown table: conditions by variants, mean and half the spread of the seeds."""
    for column in SHOWN:
        yield f"\n**{column}**, mean ± half the spread of the seeds\n"
        yield "| | " + " | ".join(found) + " |"
        yield "|---" * (len(found) + 1) + "|"
        for condition in dict.fromkeys(c for runs in found.values() for c in _values(runs, column)):
            cells = (_cell(_values(runs, column).get(condition, [])) for runs in found.values())
            yield f"| {condition} | " + " | ".join(cells) + " |"


def _run(arguments: argparse.Namespace, name: str, values: dict[str, Any], seed: int) -> Run:
    stage = values.pop("stage", STAGES[0])
    if stage not in STAGES:
        raise ConfigError(f"variant {name!r} is of stage {stage!r}; expected {' or '.join(STAGES)}")
    folder = arguments.out / name.replace(" ", "-") / f"seed{seed}"
    flags = [word for pair in flags_of_values(values) for word in pair]
    places = ("--mocap", str(arguments.mocap), "--out", str(folder), "--seed", str(seed))
    words = (sys.executable, "-m", f"training.{stage}", *flags, *places, "--resume")
    return Run(variant=name, folder=folder, command=words)


def _trained_and_scored(one: Run, arguments: argparse.Namespace) -> Curves:
    """Train and score a run, or return its kept curves."""
    from training.trainer.loop import WEIGHTS_FILE

    one.folder.mkdir(parents=True, exist_ok=True)
    curve_words = _curve_words(arguments)
    kept_in, asked = one.folder / SCORES_FILE, json.dumps((*one.command[1:], *curve_words))
    if kept_in.exists() and (kept := json.loads(kept_in.read_text()))["command"] == asked:
        return _curves_from_json(kept["curves"])
    print(f"training {one.variant} in {one.folder}", file=sys.stderr, flush=True)
    with (one.folder / "training.log").open("a+") as log:
        trained = subprocess.run(  # noqa: S603 - ourselves
            one.command, stdout=log, stderr=subprocess.STDOUT, check=False
        )
        _check(trained.returncode, f"{one.variant} was not trained", log)
        weights = str(one.folder / WEIGHTS_FILE)
        places = ("--mocap", str(arguments.mocap), *curve_words)
        words = ("-m", "training.evaluate", weights, "--json", *places)
        scored = subprocess.run(  # noqa: S603 - ourselves
            (sys.executable, *words), stdout=subprocess.PIPE, stderr=log, text=True, check=False
        )
        _check(scored.returncode, f"{one.variant} was not scored", log)
    curves = json.loads(scored.stdout)["curves"]
    part = kept_in.with_name(SCORES_FILE + ".part")
    part.write_text(json.dumps({"command": asked, "curves": curves}))
    part.replace(kept_in)
    return _curves_from_json(curves)


def _curve_words(arguments: argparse.Namespace) -> tuple[str, ...]:
    clips = ("--clips", *map(str, arguments.clips)) if arguments.clips else ()
    return ("--curves", *arguments.curves, *clips)


def _curves_from_json(curves: dict[str, list[list[Any]]]) -> Curves:
    return {name: [(place, scores) for place, scores in points] for name, points in curves.items()}


def _check(returncode: int, failure: str, log: TextIO) -> None:
    if returncode:
        log.seek(0)
        said = log.read().strip().splitlines() or ["nothing"]
        raise ConfigError(f"{failure}; it said: {said[-1]}")


def _values(runs: list[Curves], column: str) -> dict[str, list[float]]:
    """Collect the values of all seeds by condition."""
    found: dict[str, list[float]] = {}
    for curves in runs:
        for name, points in curves.items():
            for place, scores in points:
                found.setdefault(f"{name}: {place}", []).append(scores[column])
    return found


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    mean, spread = sum(values) / len(values), (max(values) - min(values)) / 2
    return f"{mean:.1f} ± {spread:.1f}" if len(values) > 1 else f"{mean:.1f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.ablate",
        description="Train variants alike, with several seeds each, and compare their curves.",
        epilog=f"examples:\n  {EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("matrix", type=Path, nargs="?", default=MATRIX, help="TOML of variants")
    parser.add_argument("--mocap", type=Path, required=True, help="folder with index.json")
    add_curve_arguments(parser)
    parser.add_argument("--steps", type=int, default=0, help="budget, instead of the file's")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these variants only")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
