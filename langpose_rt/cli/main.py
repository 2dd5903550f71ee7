"""Entry point of `langpose-rt`: selects a command and turns errors into one line and an exit code.

Exit codes: 0 done, 1 failed while running, 2 wrong option, file or model, 130 interrupted.
"""

import argparse
import contextlib
import difflib
import errno
import io
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

import langpose_rt
from langpose_rt.cli.commands import (
    bench,
    build_engine,
    calibrate,
    cluster,
    control,
    convert,
    demo,
    doctor,
    evaluate,
    export,
    keys,
    lift,
    lsl,
    publish,
    record,
    replay,
    rerun,
    serve,
    top,
    vmc,
)
from langpose_rt.cli.terminal.log import FORMATS, LEVELS, logged
from langpose_rt.cli.terminal.printable import printable
from langpose_rt.errors import LangPoseError

GROUPS = {
    "start here": {"demo": demo, "doctor": doctor},
    "live": {
        "serve": serve,
        "publish": publish,
        "top": top,
        "control": control,
        "keys": keys,
        "cluster": cluster,
    },
    "to other programs": {"vmc": vmc, "lsl": lsl, "rerun": rerun},
    "files": {
        "lift": lift,
        "convert": convert,
        "record": record,
        "replay": replay,
        "calibrate": calibrate,
    },
    "models": {
        "evaluate": evaluate,
        "bench": bench,
        "export": export,
        "build-engine": build_engine,
    },
}
"""Commands by what they are for, in the order of the help text."""

COMMANDS = {name: module for group in GROUPS.values() for name, module in group.items()}

_WELCOME = """langpose-rt: 2D keypoints in, 3D poses out, live.

  langpose-rt demo                     a real clip through a real server: 17 s, figures, a picture
  langpose-rt doctor                   is this machine in order?
  langpose-rt serve                    then, in another terminal:
  langpose-rt publish 0                your camera, or a video, or a file of keypoints
  langpose-rt convert walk.mp4 -o walk.bvh

All commands: langpose-rt --help
"""

_FAILED, _WRONG, _INTERRUPTED = 1, 2, 130
_CHOICE = re.compile(r"invalid choice: '([^']*)'")
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the error and a pointer to the help, and exit."""
        wrong = _CHOICE.search(message)
        if wrong is not None and "argument COMMAND" in message:
            near = difflib.get_close_matches(wrong[1], COMMANDS, n=1)
            meant = f'; did you mean "{near[0]}"?' if near else ""
            message = f'there is no command "{wrong[1]}"{meant}'
        self.exit(_WRONG, f"langpose-rt: {printable(message)}; see '{self.prog} --help'\n")


def build_parser(chosen: str | None) -> argparse.ArgumentParser:
    """Build the parser of the whole command line.

    Args:
        chosen: The command whose options are declared; the others import nothing.
    """
    parser = _Parser(
        prog="langpose-rt",
        description="Live 2D keypoints in, 3D human poses out. Start with: langpose-rt demo",
        epilog=f"{_listed_commands()}\n\nEvery command explains itself: langpose-rt serve --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"langpose-rt {langpose_rt.__version__}"
    )
    parser.add_argument(
        "--log-level",
        default="info",
        choices=LEVELS,
        help="how much is logged (default: %(default)s)",
    )
    parser.add_argument(
        "--log-format",
        default="text",
        choices=FORMATS,
        help="lines for a person, or one JSON object a line (default: %(default)s)",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name,
            description=module.SUMMARY,
            epilog=f"example:\n  {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == chosen:
            module.add_arguments(command)
        command.set_defaults(run=module.run, fail=command.error)
    return parser


def _listed_commands() -> str:
    """Return the commands in their groups, a line each."""
    lines = []
    for title, group in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {name:<14}{one.SUMMARY}" for name, one in group.items())]
    return "\n".join(lines[1:])


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    _ready_output()
    try:
        try:
            return _run(words)
        finally:
            sys.stdout.flush()  # flush here, so that a closed pipe causes no traceback at exit
    except OSError as error:
        with contextlib.suppress(OSError):  # a stdout in memory, as in a notebook, has no fileno
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # `langpose-rt ... | head` is legal
            return _FAILED
        print(f"langpose-rt: {printable(str(error))}", file=sys.stderr)
        return _WRONG if error.errno in _DISK_FULL else _FAILED


def _ready_output() -> None:
    """Make standard output and error accept any text, also if closed or limited to an encoding.

    A closed one is replaced by the null device, so that its descriptor is not reused for a file.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _downward_joined(words: Sequence[str]) -> list[str]:
    """Join `--up -z` to `--up=-z`, and `--gravity -1,0,0`: argparse takes them for options."""
    joined: list[str] = []
    for word in words:
        up = joined and joined[-1] == "--up" and word in ("-x", "-y", "-z")
        if up or (joined and joined[-1] == "--gravity" and word.startswith("-")):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _run(words: Sequence[str]) -> int:
    if not words:
        print(_WELCOME, end="")
        return 0
    words = _downward_joined(words)
    chosen = next((word for word in words if word in COMMANDS), None)
    arguments, unknown = build_parser(chosen).parse_known_args(words)
    if unknown:
        arguments.fail(f"unknown arguments: {' '.join(unknown)}")
    try:
        with logged(arguments.log_level, arguments.log_format):
            return int(arguments.run(arguments))
    except LangPoseError as error:
        print(f"langpose-rt: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
