"""The walk of a calibration, live: keypoints of running rigs, with progress and what is missing."""

import argparse
import contextlib
import sys
import time
from typing import TYPE_CHECKING

from langpose_rt.cli.terminal.progress_line import ProgressLine
from langpose_rt.errors import ConfigError

if TYPE_CHECKING:
    from langpose_rt.formats.clip import Clip
    from langpose_rt.recording.clips import ClipCollector

_MOST_S = 600.0


def add_walk_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of a live walk."""
    parser.add_argument(
        "--live", action="store_true",
        help="take the place of the server, and listen to the rigs that connect to it",
    )  # fmt: skip
    for flag, default, metavar, text in (
        ("--bind", "127.0.0.1", "ADDRESS", "listen here with --live; 0.0.0.0 for other machines"),
        ("--port", 5555, "N", "port of the keypoints with --live"),
        ("--seconds", 30.0, "S", "length of the walk with --live, from the first keypoints"),
    ):
        shown = f"{text} (default: {default})"
        parser.add_argument(flag, type=type(default), default=default, metavar=metavar, help=shown)


def clips_of_walk(arguments: argparse.Namespace) -> "dict[str, Clip]":
    """Listen to the rigs for the length of a walk; return what each camera saw.

    Raises:
        ConfigError: If a flag is wrong, the port is taken, or nothing was received.
    """
    from langpose_rt.server.keypoint_collector import collect_keypoints

    if not 1 <= arguments.seconds <= _MOST_S:
        raise ConfigError(f"--seconds is {arguments.seconds:g}; expected 1 to {_MOST_S:g}")
    walk = _Walk(arguments.seconds)
    with contextlib.closing(walk.line):
        collector = collect_keypoints(arguments.bind, arguments.port, walk.goes_on, time.time_ns)
    clips = collector.clips()
    if not clips:
        raise ConfigError(
            f"no rig sent keypoints to port {arguments.port}; stop the server, start the rigs with "
            "'langpose-rt publish', and calibrate again"
        )
    return clips


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
