"""`langpose-rt record`: record the messages a running server publishes."""

import argparse
import json
import math
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from langpose_rt.cli.arguments.connection import add_connection_arguments, connection_from_arguments
from langpose_rt.cli.arguments.options import check_writable
from langpose_rt.errors import ConfigError, LangPoseError

if TYPE_CHECKING:
    from langpose_rt.client.raw import RawSubscriber
    from langpose_rt.formats.recording import RecordingWriter

SUMMARY = "record what a running server publishes; 'serve --record' also takes what comes in"
EXAMPLE = "langpose-rt record poses.mcap --seconds 60"

_POLL_S = 0.2
_FLUSH_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=Path, metavar="FILE.mcap", help="recording to write")
    add_connection_arguments(
        parser, default="tcp://127.0.0.1:5556", text="where the server publishes"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="stop after so long")
    parser.add_argument("--force", action="store_true", help="replace a file of that name")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Record until interrupted, terminated, or the time is over."""
    import langpose_rt
    from langpose_rt.client.raw import RawSubscriber
    from langpose_rt.formats.recording import RecordingWriter

    seconds = math.inf if arguments.seconds is None else arguments.seconds
    if not seconds > 0:
        raise ConfigError(f"--seconds is {seconds:g}; expected more than 0")
    check_writable(arguments.file, "recording", "FILE")
    server = connection_from_arguments(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    counts = {"messages": 0, "poses": 0}
    with RawSubscriber(server.endpoint, **server.keys) as subscriber:
        facts = {"version": langpose_rt.__version__, "server": server.endpoint}
        writer = RecordingWriter(arguments.file, facts, force=arguments.force)
        try:
            _record(subscriber, writer, counts, seconds)
            writer.finish()
        except LangPoseError:  # a server with keys, where we have none
            writer.abandon()
            if not counts["messages"]:
                arguments.file.unlink()
            raise
        except OSError as error:
            writer.abandon()
            reason = (error.strerror or str(error)).lower()
            raise LangPoseError(
                f"{arguments.file} ends after {counts['messages']} messages: {reason}"
            ) from None
    if arguments.json:
        print(json.dumps({"file": str(arguments.file)} | counts))
    else:
        print(f"{arguments.file}: {counts['messages']} messages, {counts['poses']} frames of poses")
    return 0


def _record(
    subscriber: "RawSubscriber", writer: "RecordingWriter", counts: dict[str, int], seconds: float
) -> None:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from langpose_rt.recording.recorder import published_entry

    console = Console(stderr=True)
    print("recording; end with Ctrl-C", file=sys.stderr, flush=True)
    columns = SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.completed} frames of poses")
    until_s = time.monotonic() + seconds
    flush_s = time.monotonic() + _FLUSH_S
    with Progress(
        *columns, console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task("recording", total=None)
        try:
            while (left_s := until_s - time.monotonic()) > 0:
                for parts in subscriber.receive(min(_POLL_S, left_s)):
                    writer.add(published_entry(parts, time.time_ns()))
                    counts["messages"] += 1
                    counts["poses"] += parts[0].startswith(b"pose3d/")
                bar.update(task, completed=counts["poses"])
                if time.monotonic() > flush_s:
                    flush_s = time.monotonic() + _FLUSH_S
                    writer.flush()
        except KeyboardInterrupt:  # the usual end
            pass
