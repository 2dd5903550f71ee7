"""``python -m training.ablate``: what each choice buys, every variant trained alike, several seeds.

Variants and their flags stand in a TOML file (ablations.toml). Each is trained once per
seed by the command of its stage, then asked every curve of `curves.py`. What is done is kept, so
the command may be killed and given again.
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
    """One variant with one seed.

    Attributes:
        variant: Its name.
        folder: Where its weights go.
        command: What trains it, or goes on with it.
    """

    variant: str
    folder: Path
    command: tuple[str, ...]


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
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
    """Trains what is not trained yet, scores what is not scored yet, and prints."""
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
    """Every variant with every seed, seeds first, so that early results can be compared.

    Raises:
        ConfigError: If the file is none, names an unknown stage, or lacks a variant asked for.
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
    """Markdown: conditions down, variants across, mean and half the spread of the seeds."""
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
    """The curves of a run, from its file if it is whole."""
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
    """Figures of all seeds by condition."""
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
