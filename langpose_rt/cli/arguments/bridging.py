"""Flags and receive loop of the bridges to other programs."""

import argparse
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from langpose_rt.cli.arguments.connection import add_connection_arguments, connection_from_arguments
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from langpose_rt.bridges.follower import Follower
    from langpose_rt.protocol.messages import PoseMessage

_POLL_S = 0.2


def add_stream_arguments(parser: argparse.ArgumentParser, *, absent: str) -> None:
    """Declare the flags of every bridge.

    Args:
        parser: Parser of the command.
        absent: Description of the default streams, for the help text.
    """
    add_connection_arguments(
        parser, default="tcp://127.0.0.1:5556", text="where the server publishes poses"
    )
    parser.add_argument("--rig", default="", metavar="NAME", help="only this rig")
    parser.add_argument(
        "--camera", default="", metavar="NAME",
        help=f"only this camera of the rig (default: {absent})",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, metavar="S", help="stop after so long")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")


def add_bridge_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of a bridge that follows one person."""
    add_stream_arguments(parser, absent="the first stream that arrives")
    parser.add_argument(
        "--person", default="first", metavar="ID",
        help="whom to follow: an id, first, or nearest to the camera (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--patience-s", type=float, default=10.0, metavar="S",
        help="wait so long for a person who was not named by id (default: %(default)s)",
    )  # fmt: skip


def follower_from_arguments(arguments: argparse.Namespace) -> "Follower":
    """Return the follower the flags describe."""
    from langpose_rt.bridges.follower import Follower, choice_from_text

    return Follower(
        choice_from_text(arguments.person),
        patience_s=arguments.patience_s,
        report=lambda line: print(line, file=sys.stderr, flush=True),
    )


def bridge(
    arguments: argparse.Namespace,
    send: Callable[["PoseMessage"], bool],
    *,
    what: str,
    follower: "Follower | None" = None,
    latest: bool = True,
) -> int:
    """Forward every frame, until interrupted or the time is over.

    Args:
        arguments: Parsed flags of `add_stream_arguments`.
        send: Forwards a message; returns True if it contained a person to forward.
        what: Readable name of the destination.
        follower: Selects one stream; None for all of them.
        latest: Skip frames that a newer one has overtaken.
    """
    from langpose_rt.client.subscriber import PoseSubscriber

    if arguments.seconds is not None and not 0 < arguments.seconds <= 1e9:
        raise ConfigError(f"--seconds is {arguments.seconds:g}; expected more than 0")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = connection_from_arguments(arguments)
    until_s = time.monotonic() + (arguments.seconds or 1e9)
    frames = poses = 0
    with (
        PoseSubscriber(
            server.endpoint, arguments.rig, arguments.camera, latest=latest, **server.keys
        ) as subscriber,
        contextlib.suppress(KeyboardInterrupt),
    ):
        print(f"poses of {server.endpoint} go to {what}", file=sys.stderr, flush=True)
        while time.monotonic() < until_s:
            message = subscriber.receive(_POLL_S)
            if message is not None and (follower is None or follower.accepts(message)):
                frames += 1
                poses += send(message)
    summary = {"frames": frames, "poses": poses}
    print(json.dumps(summary) if arguments.json else f"{frames} frames, {poses} poses passed on")
    return 0
