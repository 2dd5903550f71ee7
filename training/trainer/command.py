"""Command line of a training stage: flags, config file, logs and exit code.

`pretrain.py` is stage 1, which also aligns motion with text; `finetune.py` is stage 2; `stage.py`
runs them. This module imports nothing heavy, because worker processes import it at their start.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langpose_rt.errors import ConfigError, LangPoseError


def command(stage: str, parser: argparse.ArgumentParser, argv: list[str] | None) -> int:
    """Run one stage as a command and return its exit code."""
    try:
        words = sys.argv[1:] if argv is None else argv
        arguments = parse(parser, words)
        from training.trainer.stage import run

        run(stage, arguments, " ".join(words))
    except LangPoseError as error:
        print(f"training.{stage}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"training.{stage}: stopped; run it again with --resume", file=sys.stderr)
        return 130
    return 0


def parse(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    """Parse the flags; they override the values of the config file, if there is one.

    Raises:
        ConfigError: If the file cannot be read or contains a name that is not a flag.
    """
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument("--config", type=Path)
    path = finder.parse_known_args(words)[0].config
    if path is not None:
        written = [word for pair in _config_file(parser, path) for word in pair]
        return parser.parse_args([*written, *words])
    return parser.parse_args(words)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: If it cannot be read.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}; expected TOML, one value a flag"
        ) from error


def flags_of_values(values: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Convert values of a config file to flags."""
    return [_flag(name, value) for name, value in values.items()]


def _config_file(parser: argparse.ArgumentParser, path: Path) -> list[tuple[str, ...]]:
    """Read a config file as flags."""
    values = read_toml(path)
    known = {action.dest for action in parser._actions}
    for name in values:
        if name not in known:
            raise ConfigError(f"{path} sets {name!r}, which is no flag; see --help")
    return flags_of_values(values)


def _flag(name: str, value: Any) -> tuple[str, ...]:
    flag = "--" + name.replace("_", "-")
    if isinstance(value, list):
        return (flag, *map(str, value))
    if name in ("resume", "commercial_only"):
        return (flag,) if value else ()
    return (flag, str(value))


def stage_parser(stage: str, description: str, example: str) -> argparse.ArgumentParser:
    """Build the parser of a stage: input, output, and one flag per field of the configuration."""
    from training.trainer.config import add_config_arguments
    from training.trainer.data_sources import add_data_arguments

    parser = argparse.ArgumentParser(
        prog=f"python -m training.{stage}",
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, help="TOML file of flags; those given here win")
    parser.add_argument("--out", type=Path, help="folder of the checkpoints (default runs/NAME)")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--start-from", type=Path, help="begin with the weights of a checkpoint")
    add_data_arguments(parser)
    add_config_arguments(parser)
    return parser
