"""The flags of every command that connects to a running server: where it is."""

import argparse
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Where a server is, and how it is spoken to.

    Attributes:
        endpoint: Such as "tcp://127.0.0.1:5555".
        keys: Further arguments of the client classes, which encrypt; empty where nothing is.
    """

    endpoint: str
    keys: dict[str, Any] = field(default_factory=dict)


def add_connection_arguments(parser: argparse.ArgumentParser, *, default: str, text: str) -> None:
    """Declare the flags.

    Args:
        parser: Of the command.
        default: Endpoint of a server on this machine; empty if none is meant.
        text: What the server does there, such as "where the server takes keypoints".
    """
    shown = f"{text} (default: {default})" if default else text
    parser.add_argument("--server", default=default, metavar="URL", help=shown)


def connection_from_arguments(arguments: argparse.Namespace) -> Connection:
    """The connection the flags describe."""
    return Connection(endpoint=arguments.server)
