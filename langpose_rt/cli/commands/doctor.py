"""`langpose-rt doctor`: check this machine and print a report that can be pasted.

The checks are in `cli/doctor/`, one file per subject.

"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from langpose_rt.cli.arguments.connection import add_connection_arguments, connection_from_arguments
from langpose_rt.cli.arguments.options import add_model_arguments

if TYPE_CHECKING:
    from langpose_rt.cli.doctor.check import Check

SUMMARY = "check this machine, the installation, the model and a server, and say what to do"
EXAMPLE = "langpose-rt doctor --server tcp://192.168.1.20:5555 --paste"

_WIDTH = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_connection_arguments(parser, default="", text="also look at the server that runs there")
    parser.add_argument("--keys", type=Path, metavar="FOLDER", help="also look at a server's keys")
    style = parser.add_mutually_exclusive_group()
    style.add_argument("--json", action="store_true", help="print everything as JSON")
    style.add_argument("--paste", action="store_true", help="as a fenced block, for an issue")
    parser.add_argument("--no-self-test", action="store_true", help="leave out the live test")
    add_model_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the checks and print them; return 0 if this machine can serve, 1 if it cannot."""
    found: list[Check] = []
    for check in findings(arguments):
        if arguments.paste and not found:
            print("```")
        found.append(check)
        if not arguments.json:
            print(text_of(check), flush=True)
    failed, warned = (sum(c.verdict == v for c in found) for v in ("fail", "warn"))
    if arguments.json:
        print(json.dumps({"ok": not failed, "checks": [asdict(check) for check in found]}))
    else:
        can = "cannot serve as it is" if failed else "can serve"
        print(f"\nthis machine {can}: {failed} failed, {warned} to look at, of {len(found)}")
    if arguments.paste:
        print("```")
    return int(failed > 0)


def findings(arguments: argparse.Namespace) -> Iterator["Check"]:
    """Iterate over the results of all checks; an exception in a check is a result too."""
    from langpose_rt.cli.doctor.check import guarded

    for name, check in _checks(arguments):
        yield from guarded(name, check)


def text_of(check: "Check") -> str:
    """Format a check: one line, and one more where there is advice."""
    line = f"{check.verdict:<5}{check.name:<{_WIDTH}} {check.found}"
    return line + (f"\n{'':<{5 + _WIDTH}} next: {check.advice}" if check.advice else "")


def _checks(arguments: argparse.Namespace) -> Iterator[tuple[str, Callable[[], list["Check"]]]]:
    """Iterate over name and function of every check; packages are imported within them."""
    from langpose_rt.cli.doctor import backends, installation, machine

    yield "langpose-rt", installation.check_version
    yield "python", installation.check_python
    yield "packages", installation.check_packages
    yield "detectors", installation.check_detectors
    yield "opencv", installation.check_opencv
    yield "window", installation.check_extension
    yield "processor", machine.check_processor
    yield "gpu", machine.check_gpu
    yield "backends", backends.check_backends
    yield "clock", machine.check_clock
    yield "ports", _ports
    yield "model", partial(_model, arguments)
    if arguments.keys is not None:
        yield "keys", partial(_keys, arguments)
    if arguments.server:
        yield "server", partial(_server, arguments)
    if not arguments.no_self_test:
        yield "self-test", partial(_self_test, arguments)


def _ports() -> list["Check"]:
    from langpose_rt.cli.doctor.ports import check_ports
    from langpose_rt.server.config import ServerConfig

    config = ServerConfig()
    return check_ports([config.port, config.pose_port, config.request_port], config.http_port or 0)


def _model(arguments: argparse.Namespace) -> list["Check"]:
    from langpose_rt.cli.doctor.model import check_model
    from langpose_rt.runtime.backend import DEFAULT_MODEL

    return check_model(arguments.model or DEFAULT_MODEL)


def _keys(arguments: argparse.Namespace) -> list["Check"]:
    from langpose_rt.cli.doctor.keys import check_keys

    return check_keys(arguments.keys)


def _server(arguments: argparse.Namespace) -> list["Check"]:
    from langpose_rt.cli.doctor.server import check_server

    return check_server(connection_from_arguments(arguments))


def _self_test(arguments: argparse.Namespace) -> list["Check"]:
    from langpose_rt.cli.doctor.self_test import check_self_test

    return check_self_test(arguments)
