"""Flags of commands that connect to a running server: address and keys."""

import argparse
import re
from pathlib import Path

from langpose_rt.client.address import Connection
from langpose_rt.errors import ConfigError

KEYPOINTS = "tcp://127.0.0.1:5555"
"""Endpoint that takes keypoints, of a server on this machine."""

_WITHOUT_PORT = re.compile(r"tcp://([^:/\[\]]+|\[[0-9a-fA-F:]+\])")

NO_SERVER_ADVICE = (
    "start one with 'langpose-rt serve'; one that runs with --keys answers only with --key and "
    "--server-key"
)
"""What to do where no server answers a client without keys."""

KEY_ADVICE = (
    "see that it runs with --keys, that its folder holds this rig's public key, and that "
    "--server-key is its own"
)


def add_connection_arguments(parser: argparse.ArgumentParser, *, default: str, text: str) -> None:
    """Declare the flags of the address and the keys.

    Args:
        parser: Parser of the command.
        default: Endpoint of a server on this machine; empty for none.
        text: Help text, such as "where the server takes keypoints".
    """
    shown = f"{text} (default: {default})" if default else text
    shown += "; without a port, tcp://HOST, it is the one of this command"
    parser.add_argument("--server", default=default, metavar="URL", help=shown)
    parser.set_defaults(usual_port=(default or KEYPOINTS).rpartition(":")[2])
    add_key_arguments(parser)


def add_key_arguments(parser: "argparse._ActionsContainer") -> None:
    """Declare the flags of the keys."""
    parser.add_argument(
        "--key", type=Path, metavar="FILE", help="own secret key, where the server has keys"
    )
    parser.add_argument(
        "--server-key", metavar="FILE", help="the server's public key: its file, or the key itself"
    )


def connection_from_arguments(
    arguments: argparse.Namespace, endpoint: str | None = None
) -> Connection:
    """Build the connection that the flags describe.

    Args:
        arguments: Parsed flags.
        endpoint: Address of the server, for a command whose flag is not --server.

    Raises:
        ConfigError: If one key is given without the other, or is invalid.
    """
    endpoint = arguments.server if endpoint is None else endpoint
    if _WITHOUT_PORT.fullmatch(endpoint) and hasattr(arguments, "usual_port"):
        endpoint = f"{endpoint}:{arguments.usual_port}"
    if arguments.key is None and arguments.server_key is None:
        return Connection(endpoint=endpoint)
    if arguments.key is None or arguments.server_key is None:
        raise ConfigError(
            "--key and --server-key go together: the own secret key, and the server's public one"
        )
    from langpose_rt.security.key_files import is_key, key_pair_from_file, public_key_from_file

    own, server = key_pair_from_file(arguments.key), arguments.server_key
    server_key = server if is_key(server) else public_key_from_file(Path(server))
    keys = {"server_key": server_key, "key_pair": (own.public, own.secret)}
    return Connection(endpoint=endpoint, keys=keys)
