"""Measure the figures that depend on the weights that ship, and put them into README and docs.

    python -m tests.benchmarks.readme_figures
    python -m tests.benchmarks.readme_figures --mocap DIR --write
    python -m tests.benchmarks.readme_figures --only real,fused --write

A stage runs programs of the repository. With --write, docs/benchmarks/figures.json keeps what each
stage measured beside its commands and the hash of the model, and pages get the figures that
quotes.toml places in them. A page whose stages were measured with several models is left alone.
"""

import argparse
import difflib
import hashlib
import json
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from langpose_rt.errors import ConfigError, LangPoseError
from langpose_rt.manifest import read_manifest
from langpose_rt.runtime.backend import DEFAULT_MODEL
from tests.benchmarks.origin import origin
from tests.commands import ENVIRONMENT, ROOT
from training.trainer.command import read_toml

RECORD = ROOT / "docs" / "benchmarks" / "figures.json"
QUOTES = Path(__file__).with_name("quotes.toml")
SHORT_HASH = 12
"""Digits of a model's hash in pages, as `langpose-rt doctor` prints them."""

_WEIGHTS = DEFAULT_MODEL.relative_to(ROOT).as_posix()
_DEMO = "langpose_rt/assets/demo/pose2sim_balancing_cam01.npz"
_REAL = f"langpose-rt evaluate {_DEMO} tests/data/pose2sim_balancing_cam04.npz --json"
_FUSED = "langpose_rt/assets/fusion_demo"
_CAMERAS = " ".join(f"{_FUSED}/cam_0{number}.npz" for number in range(1, 5))


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Commands that print JSON, by the first word of their figures' names.

    Attributes:
        commands: ``{mocap}`` and ``{out}`` stand for the motion capture and a folder to write to.
        files: A file the commands write into ``{out}``, and the file of the repository it becomes.
    """

    commands: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def needs_mocap(self) -> bool:
        return any("{mocap}" in command for command in self.commands.values())


STAGES = {
    "manifest": Stage(commands={"model": f"cat {_WEIGHTS}/manifest.json"}),
    "demo": Stage(
        commands={"live": "langpose-rt demo --json --out {out}/demo.jpg"},
        files={"demo.jpg": "langpose_rt/assets/demo/picture.jpg"},
    ),
    "real": Stage(
        commands={
            "plain": _REAL,
            "own_bones": f"{_REAL} --bone-steadiness 0",
            "later": f"{_REAL} --lookahead-ms 130",
            "later_own_bones": f"{_REAL} --lookahead-ms 130 --bone-steadiness 0",
        }
    ),
    "fused": Stage(
        commands={
            "trial": f"langpose-rt evaluate --cameras {_FUSED}/calib.toml --fuse {_CAMERAS} --json"
        }
    ),
    "precision": Stage(commands={"cpu": "python -m tests.benchmarks.precision --json"}),
    "bench1": Stage(
        commands={
            "live": f"python -m training.benchmark {_WEIGHTS}/model.safetensors "
            "--mocap {mocap} --json"
        }
    ),
    "bench2": Stage(
        commands={
            "live": f"python -m training.benchmark2 {_WEIGHTS}/model.safetensors "
            "--mocap {mocap} --json"
        }
    ),
    "curves": Stage(
        commands={
            "live": f"python -m training.evaluate {_WEIGHTS}/model.safetensors "
            "--mocap {mocap} --json"
        }
    ),
    "recognise": Stage(
        commands={
            "live": f"python -m training.recognise {_WEIGHTS}/model.safetensors "
            f"--text {_WEIGHTS}/text.safetensors --mocap {{mocap}} --json"
        }
    ),
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Result of a stage.

    Attributes:
        model: Hash of the model.
        origin: Machine, commit and the commands that ran.
        figures: The quoted ones, by name.
        sha256: Hashes of the files it made, by place in the repository.
    """

    model: str
    origin: str
    figures: dict[str, float]
    sha256: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Quote:
    """Words of a page, with names in braces where figures stand; lines may break anywhere.

    ``{name}`` has one decimal, ``{name:.0f}`` as many as it says, ``{name:.1%}`` is per cent; a
    name that begins with a dot goes on from `at`. ``{model}`` is the hash of the model. The words
    stand in the page once.
    """

    page: str
    text: str
    at: str = ""

    @property
    def names(self) -> list[str]:
        """Names of the figures, in order."""
        places = (one.partition(":")[0] for one in _PLACEHOLDER.findall(self.text))
        return [self.at + name if name.startswith(".") else name for name in places]

    def in_page(self, page: str) -> re.Match[str]:
        """Find the words with whatever figures they have, one group each.

        Raises:
            ConfigError: If they stand there never or several times.
        """
        parts = _PLACEHOLDER.split(self.text)
        parts[::2] = [r"\s+".join(map(re.escape, re.split(r"\s+", part))) for part in parts[::2]]
        parts[1::2] = [_HASH if part == "model" else _NUMBER for part in parts[1::2]]
        found = list(re.finditer("".join(parts), page))
        if len(found) != 1:
            raise ConfigError(
                f"{self.page} has {len(found)} times {self.text!r}, expected once; "
                f"mend the page or {QUOTES.relative_to(ROOT)}"
            )
        return found[0]

    def values(self, model: str, figures: Mapping[str, float]) -> list[str]:
        """Return the figures as the page shows them, in order."""
        forms = [one.partition(":")[2] or ".1f" for one in _PLACEHOLDER.findall(self.text)]
        return [
            model if name == "model" else format(figures[name], form).removesuffix("%")
            for name, form in zip(self.names, forms, strict=True)
        ]


_PLACEHOLDER = re.compile(r"\{([\w.]+(?::[^}]+)?)\}")
_NUMBER = r"(-?\d+(?:\.\d+)?)"
_HASH = rf"([0-9a-f]{{{SHORT_HASH}}})"


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        run(_parser().parse_args(argv))
    except LangPoseError as error:
        print(f"readme_figures: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(arguments: argparse.Namespace) -> None:
    """Measure the stages, and print or write the pages."""
    quotes, record = read_quotes(), read_record()
    for name in chosen_stages(arguments.only, arguments.mocap):
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as out:
            record[name] = measure(name, needed(quotes, name), arguments.mocap, Path(out))
            if arguments.write:
                for made, place in STAGES[name].files.items():
                    (ROOT / place).write_bytes((Path(out) / made).read_bytes())
                write_record(record)
        print(f"{name} took {time.monotonic() - begun:.0f} s", file=sys.stderr)
    for page in dict.fromkeys(quote.page for quote in quotes):
        own = [quote for quote in quotes if quote.page == page]
        if said := not_of_one_model(own, record):
            print(f"{page} is left as it is: {said}", file=sys.stderr)
            continue
        text = with_figures((ROOT / page).read_text("utf-8"), own, record)
        if arguments.write:
            (ROOT / page).write_text(text, "utf-8")
        else:
            print("\n".join([page, *(f"  {quote.in_page(text)[0]}" for quote in own)]))


def chosen_stages(only: str | None, mocap: Path | None) -> list[str]:
    """Return the stages to run: those asked for, or all that the data at hand allows.

    Raises:
        ConfigError: If one does not exist, or needs motion capture and has none.
    """
    names = [name for name in (only or "").split(",") if name]
    if only is None:
        names = [name for name, stage in STAGES.items() if mocap or not stage.needs_mocap]
    for name in names:
        if name not in STAGES:
            raise ConfigError(f"no stage {name!r}; expected some of {', '.join(STAGES)}")
        if STAGES[name].needs_mocap and mocap is None:
            raise ConfigError(f"stage {name} needs motion capture; give --mocap DIR")
    return names


def measure(name: str, names: Collection[str], mocap: Path | None, out: Path) -> Measured:
    """Run the commands of a stage.

    Args:
        name: The stage.
        names: Figures to keep.
        mocap: Folder of motion capture.
        out: Empty folder.

    Raises:
        ConfigError: If a command fails, or prints no figure of one of the names.
    """
    model = read_manifest(DEFAULT_MODEL).sha256[:SHORT_HASH]
    found, shown, stage = {}, [], STAGES[name]
    for key, command in stage.commands.items():
        words = command.format(mocap=shlex.quote(str(mocap)), out=shlex.quote(str(out)))
        shown.append(command.format(mocap="DIR", out="."))
        found |= dict(_numbers(f"{name}.{key}", _json_of(shlex.split(words))))
    if any(value == 0 for figure, value in found.items() if figure.endswith(".comparable")):
        raise ConfigError(f"stage {name}: {mocap} gives other clips than the published benchmark")
    if missing := sorted(set(names) - found.keys()):
        near = difflib.get_close_matches(missing[0], found, n=3, cutoff=0)
        raise ConfigError(f"stage {name} prints no {missing[0]}; near it: {', '.join(near)}")
    return Measured(
        model=model,
        origin=origin(" && ".join(shown)),
        figures={figure: float(f"{found[figure]:.6g}") for figure in sorted(names)},
        sha256={place: sha256_of(out / made) for made, place in stage.files.items()},
    )


def with_figures(page: str, quotes: list[Quote], record: Mapping[str, Measured]) -> str:
    """Return a page with the figures of the record, which are of one model."""
    figures = {name: one for measured in record.values() for name, one in measured.figures.items()}
    model = record[stages_of(quotes)[0]].model
    for quote in quotes:
        place = quote.in_page(page)
        for group, value in reversed(list(enumerate(quote.values(model, figures), start=1))):
            page = page[: place.start(group)] + value + page[place.end(group) :]
    return page


def not_of_one_model(quotes: list[Quote], record: Mapping[str, Measured]) -> str:
    """Return which models the stages of a page were measured with; nothing if they are one."""
    stages = stages_of(quotes)
    models = {name: record[name].model if name in record else "no model" for name in stages}
    if len(set(models.values()) - {"no model"}) == 1 and "no model" not in models.values():
        return ""
    said = ", ".join(f"{name} is of {model}" for name, model in models.items())
    return f"{said}; measure them with one: --only {','.join(stages)}"


def needed(quotes: Collection[Quote], stage: str) -> set[str]:
    """Return the names of a stage's figures that pages quote."""
    names = {name for quote in quotes for name in quote.names}
    return {name for name in names if name.startswith(f"{stage}.")}


def stages_of(quotes: Collection[Quote]) -> list[str]:
    """Return the stages whose figures the quotes have, in the order of STAGES."""
    return [name for name in STAGES if needed(quotes, name)]


def read_quotes() -> list[Quote]:
    """Read quotes.toml: a table per quote, below the name of its page."""
    pages = read_toml(QUOTES)
    return [Quote(page=page, **quote) for page, quotes in pages.items() for quote in quotes]


def read_record() -> dict[str, Measured]:
    """Read what was measured; empty where nothing was."""
    stored = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    return {name: Measured(**one) for name, one in stored.items() if name in STAGES}


def write_record(record: Mapping[str, Measured]) -> None:
    """Write what was measured."""
    stored = {name: asdict(record[name]) for name in STAGES if name in record}
    RECORD.write_text(json.dumps(stored, indent=1) + "\n", "utf-8")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _json_of(words: list[str]) -> Any:
    """Run a command in the checkout and return the JSON it prints."""
    if words[0] == "langpose-rt":
        words = ["python", "-m", "langpose_rt", *words[1:]]
    if words[0] == "python":
        words = [sys.executable, *words[1:]]
    done = subprocess.run(
        words, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=False
    )
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{shlex.join(words)} ended with {done.returncode} and printed no JSON"
        ) from error


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Flatten JSON to numbers by dotted names of words; files are called by their last part."""
    if isinstance(value, dict):
        for key, inner in value.items():
            short = re.sub(r"\S+/(\w+\.(?:npz|safetensors))", r"\1", key)
            word = re.sub(r"[^a-z0-9]+", "_", short.lower()).strip("_")
            yield from _numbers(f"{name}.{word}", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _numbers(f"{name}.{index}", inner)
    elif isinstance(value, int | float):
        yield name, float(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.readme_figures",
        description="Measure the figures that depend on the weights that ship.",
    )
    slow = ", ".join(name for name, stage in STAGES.items() if stage.needs_mocap)
    parser.add_argument(
        "--only",
        metavar="STAGES",
        help=f"some of {','.join(STAGES)} (default: all there is data for)",
    )
    parser.add_argument("--mocap", type=Path, metavar="DIR", help=f"motion capture, for {slow}")
    parser.add_argument("--write", action="store_true", help="write the pages, not only print")
    return parser


if __name__ == "__main__":
    sys.exit(main())
