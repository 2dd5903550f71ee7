"""`langpose-rt control`: query a running server, reload its model, or drain it."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langpose_rt.cli.arguments.connection import add_connection_arguments, connection_from_arguments
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from langpose_rt.client.control import ControlClient

SUMMARY = "ask a running server: hello, status, schema, clock, reload, cameras, drain"
EXAMPLE = "langpose-rt control reload models/new --server tcp://127.0.0.1:5557"

_OPERATIONS = {
    "hello": "model, ports, formats, limits",
    "status": "streams, people, latencies, losses",
    "schema": "the keypoint formats it knows, or the one named",
    "clock": "how far its clock is from this machine's",
    "reload": "change to the model folder named, or read the one it was started with again",
    "cameras": "use the calibration file named in place of the one of that name",
    "drain": "announce the end, answer the waiting frames, and exit; or one lifter of a cluster",
}
_TAKES_A_WORD = ("schema", "reload", "cameras", "drain")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "operation",
        choices=_OPERATIONS,
        metavar="OPERATION",
        help="; ".join(f"{name}: {text}" for name, text in _OPERATIONS.items()),
    )
    parser.add_argument(
        "word",
        nargs="?",
        metavar="NAME",
        help="keypoint format, model folder, calibration file or lifter",
    )
    add_connection_arguments(
        parser, default="tcp://127.0.0.1:5557", text="where the server takes control requests"
    )
    parser.add_argument(
        "--timeout-s", type=float, default=5.0, metavar="X",
        help="wait this long for an answer; a reload gets two minutes (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the answer as one JSON line")


def run(arguments: argparse.Namespace) -> int:
    """Send one request and print the answer."""
    from langpose_rt.client.control import ControlClient

    if arguments.word is not None and arguments.operation not in _TAKES_A_WORD:
        raise ConfigError(f"control {arguments.operation} takes no name; got {arguments.word!r}")
    if not 0 < arguments.timeout_s <= 3600:
        raise ConfigError(f"--timeout-s is {arguments.timeout_s:g}; expected above 0 to 3600")
    connection = connection_from_arguments(arguments)
    with ControlClient(
        connection.endpoint, timeout_s=arguments.timeout_s, **connection.keys
    ) as client:
        answer = _answer(client, arguments.operation, arguments.word)
    print(json.dumps(answer, indent=None if arguments.json else 2))
    return 0


def _answer(client: "ControlClient", operation: str, word: str | None) -> Any:
    """Return the server's answer as plain maps and lists."""
    from msgspec import to_builtins

    if operation == "reload":
        return {"model": to_builtins(client.reload(_folder(word)))}
    if operation == "cameras":
        if word is None:
            raise ConfigError("control cameras needs a calibration file; name it")
        return to_builtins(client.load_cameras(Path(word).absolute()))
    if operation == "schema":
        return to_builtins(client.schema(word))
    if operation == "clock":
        return client.clock()._asdict()
    if operation == "drain":
        client.drain(word)
        return {"state": "draining"}
    return to_builtins(client.hello() if operation == "hello" else client.status())


def _folder(word: str | None) -> Path | None:
    """Return the absolute path, because the server may run in another directory."""
    return None if word is None else Path(word).absolute()
