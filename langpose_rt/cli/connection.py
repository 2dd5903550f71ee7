"""The flags of every command that connects to a running server: where it is, and the keys."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langpose_rt.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Connection:
    """Where a server is, and how it is spoken to.

    Attributes:
        endpoint: Such as "tcp://127.0.0.1:5555".
        keys: Further arguments of the client classes, which encrypt; empty where nothing is.
    """

    endpoint: str
    keys: dict[str, Any] = field(default_factory=dict, repr=False)


def add_connection_arguments(parser: argparse.ArgumentParser, *, default: str, text: str) -> None:
    """Declare the flags.

    Args:
        parser: Of the command.
        default: Endpoint of a server on this machine; empty if none is meant.
        text: What the server does there, such as "where the server takes keypoints".
    """
    shown = f"{text} (default: {default})" if default else text
    parser.add_argument("--server", default=default, metavar="URL", help=shown)
    parser.add_argument(
        "--key", type=Path, metavar="FILE", help="own secret key, where the server has keys"
    )
    parser.add_argument(
        "--server-key", metavar="FILE", help="the server's public key: its file, or the key itself"
    )


def connection_from_arguments(arguments: argparse.Namespace) -> Connection:
    """The connection the flags describe.

    Raises:
        ConfigError: If one key is given without the other, or is none.
    """
    if arguments.key is None and arguments.server_key is None:
        return Connection(endpoint=arguments.server)
    if arguments.key is None or arguments.server_key is None:
        raise ConfigError(
            "--key and --server-key go together: the own secret key, and the server's public one"
        )
    from langpose_rt.streaming.key_files import is_key, key_pair_from_file, public_key_from_file

    own, server = key_pair_from_file(arguments.key), arguments.server_key
    server_key = server if is_key(server) else public_key_from_file(Path(server))
    keys = {"server_key": server_key, "key_pair": (own.public, own.secret)}
    return Connection(endpoint=arguments.server, keys=keys)
