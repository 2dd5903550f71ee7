"""Live replay: send a recording's keypoints to a server, with the original bytes and timing."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from langpose_rt.cli.arguments.connection import (
    KEY_ADVICE,
    NO_SERVER_ADVICE,
    connection_from_arguments,
)
from langpose_rt.config import NS_PER_S
from langpose_rt.errors import ConfigError, LangPoseError

if TYPE_CHECKING:
    from langpose_rt.formats.recording import Entry, Recording


def replay_live(recording: "Recording", arguments: argparse.Namespace) -> int:
    """Send every received message of a recording again.

    The messages keep their epochs and sequence numbers, so a server that has already received them
    drops every frame as a duplicate: replay to a freshly started server. A server with keys accepts
    only the rig the key is named after.

    Args:
        recording: Recording of `serve --record`.
        arguments: Parsed flags to, speed, wait_s, key, server_key and json.

    Raises:
        ConfigError: If an option is wrong.
        LangPoseError: If there is no server.
    """
    from langpose_rt.client.raw import RawPublisher

    if not 0.01 <= arguments.speed <= 100:
        raise ConfigError(f"--speed is {arguments.speed:g}; expected 0.01 to 100")
    if not 0 <= arguments.wait_s <= 86_400:
        raise ConfigError(f"--wait-s is {arguments.wait_s:g}; expected 0 to 86400")
    sent, rigs, server = 0, set(), connection_from_arguments(arguments, arguments.to)
    with RawPublisher(server.endpoint, **server.keys) as publisher:
        if not publisher.wait_for_server(arguments.wait_s):
            raise LangPoseError(
                f"no server asked for keypoints at {arguments.to} within {arguments.wait_s:g} s; "
                + (KEY_ADVICE if server.keys else NO_SERVER_ADVICE)
            )
        print(f"replaying {recording.path} to {arguments.to}", file=sys.stderr, flush=True)
        for entry in _in_time(recording, arguments.speed):
            publisher.send(entry.parts)
            sent += 1
            rigs.add(entry.topic.removeprefix("kp2d/").partition("/")[0])
    if not sent:
        raise ConfigError(
            f"{recording.path} holds no keypoints; make a recording with 'serve --record'"
        )
    if server.keys and (others := sorted(rigs - {arguments.key.stem})):
        print(
            f"note: a server with keys takes {arguments.key.stem} only, and this recording also "
            f"has {', '.join(others)}; replay it once with each one's --key",
            file=sys.stderr,
        )
    facts = {"file": str(recording.path), "to": arguments.to, "messages": sent}
    print(json.dumps(facts) if arguments.json else f"{sent} messages sent")
    return 0


def _in_time(recording: "Recording", speed: float) -> "Iterator[Entry]":
    """Iterate over received messages, each when it is due."""
    start_s, first_ns = time.perf_counter(), None
    for entry in recording.entries():
        if entry.direction != "received":
            continue
        first_ns = entry.log_ns if first_ns is None else first_ns
        due_s = start_s + (entry.log_ns - first_ns) / speed / NS_PER_S
        time.sleep(max(due_s - time.perf_counter(), 0))
        yield entry
