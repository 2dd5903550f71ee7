"""The walk of a calibration, live: keypoints of running rigs, with progress and what is missing."""

import argparse
import contextlib
import re
import sys
import time
from typing import TYPE_CHECKING

from langpose_rt.cli.arguments.connection import KEYPOINTS
from langpose_rt.cli.terminal.progress_line import ProgressLine
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from langpose_rt.formats.clip import Clip
    from langpose_rt.recording.clips import ClipCollector

_MOST_S = 600.0
_LAST_PORT = 65535
_ADDRESS = re.compile(r"tcp://(?P<host>[^:/\[\]]+|\[[0-9a-fA-F:]+\])(:(?P<port>\d+))?")


def add_walk_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of a live walk."""
    parser.add_argument(
        "--server", metavar="URL",
        help="listen to the rigs in the place of the server at this address, which must not run; "
        f"tcp://0.0.0.0 for rigs on other machines; --live is --server {KEYPOINTS}",
    )  # fmt: skip
    parser.add_argument(
        "--live", dest="server", action="store_const", const=KEYPOINTS, help=argparse.SUPPRESS
    )
    parser.add_argument(
        "--seconds", type=float, default=30.0, metavar="S",
        help="length of the walk with --server, from the first keypoints (default: %(default)s)",
    )  # fmt: skip


def clips_of_walk(arguments: argparse.Namespace) -> "dict[str, Clip]":
    """Listen to the rigs for the length of a walk; return what each camera saw.

    Raises:
        ConfigError: If a flag is wrong, the port is taken, or nothing was received.
    """
    from langpose_rt.server.keypoint_collector import collect_keypoints

    if not 1 <= arguments.seconds <= _MOST_S:
        raise ConfigError(f"--seconds is {arguments.seconds:g}; expected 1 to {_MOST_S:g}")
    bind, port = _place_of_server(arguments.server)
    walk = _Walk(arguments.seconds)
    with contextlib.closing(walk.line):
        collector = collect_keypoints(bind, port, walk.goes_on, time.time_ns)
    clips = collector.clips()
    if not clips:
        raise ConfigError(
            f"no rig sent keypoints to port {port}; stop the server, start the rigs with "
            "'langpose-rt publish', and calibrate again"
        )
    return clips


def _place_of_server(url: str) -> tuple[str, int]:
    """Return the address and port to listen on, of the URL that rigs connect to."""
    address = _ADDRESS.fullmatch(url)
    if address is None or int(address["port"] or 1) > _LAST_PORT:
        raise ConfigError(
            f'--server is "{url}"; expected the address whose place is taken, such as {KEYPOINTS}, '
            "or tcp://0.0.0.0 for rigs on other machines"
        )
    return address["host"].strip("[]"), int(address["port"] or KEYPOINTS.rpartition(":")[2])


class _Walk:
    """Time and progress of a walk that begins with the first keypoints."""

    def __init__(self, seconds: float) -> None:
        self.line = ProgressLine()
        self._seconds, self._asked_s = seconds, time.monotonic()
        self._began_s: float | None = None

    def goes_on(self, collector: "ClipCollector", port: int) -> bool:
        """Return whether to listen on; shows progress."""
        from langpose_rt.fusion.calibration.coverage import gaps_in_view

        now_s = time.monotonic()
        if self._began_s is None and collector.frames:
            self._began_s = now_s
            print("the walk begins", file=sys.stderr, flush=True)
        if self._began_s is None:
            self.line.show(lambda: f"waiting for rigs on port {port}")
            return now_s - self._asked_s < _MOST_S
        left_s = self._seconds - (now_s - self._began_s)

        def progress() -> str:
            gaps = gaps_in_view(collector.clips())
            return f"{left_s:.0f} s left; " + ("; ".join(gaps) or "every camera has seen enough")

        self.line.show(progress)
        return left_s > 0
