"""`langpose-rt top`: a live table of a server in the terminal."""

import argparse
import json
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langpose_rt.cli.connection import add_connection_arguments, connection_from_arguments
from langpose_rt.errors import ConfigError, LangPoseError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from langpose_rt.streaming.client import PoseSubscriber
    from langpose_rt.streaming.messages import PoseMessage

SUMMARY = "show what a server does, live: state, streams, people, rates and latency"
EXAMPLE = "langpose-rt top --server tcp://127.0.0.1:5556"

_REFRESH_S = 0.5
_RECENT = 600
_FORGET_S = 10.0
_HEADINGS = ("stream", "people", "states", "fps", "p50 ms", "p99 ms", "dropped", "clock ± ms")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_connection_arguments(
        parser, default="tcp://127.0.0.1:5556", text="where the server publishes poses"
    )
    parser.add_argument("--once", action="store_true", help="print one table and leave")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    parser.add_argument(
        "--wait-s", type=float, default=3.0, metavar="S",
        help="--once listens so long (default: %(default)s)",
    )  # fmt: skip


@dataclass
class StreamWatch:
    """What was heard of one stream lately."""

    heard_s: float = 0.0
    last: "PoseMessage | None" = None
    latency_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    times_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_RECENT))
    dropped: Counter[str] = field(default_factory=Counter)

    def note(self, message: "PoseMessage", now_s: float) -> None:
        """Take one message."""
        lat, drop = message.lat, message.drop
        self.heard_s, self.last = now_s, message
        self.latency_ms.append((lat.rx + lat.win + lat.lift + lat.post + lat.tx) / 1e6)
        self.times_ns.append(message.t_srv)
        self.dropped.update(late=drop.late, dup=drop.dup, gap=drop.gap, shed=drop.shed)

    def row(self) -> dict[str, Any]:
        """The stream as --json says it; its frame rate is that of the capture times."""
        import numpy as np

        from langpose_rt.config import NS_PER_S

        assert self.last is not None
        p50, p99 = np.quantile(self.latency_ms, (0.5, 0.99)).tolist()
        span_s = (self.times_ns[-1] - self.times_ns[0]) / NS_PER_S
        return {
            "stream": f"{self.last.rig}/{self.last.camera}",
            "people": len(self.last.ids),
            "states": dict(Counter(self.last.state)),
            "fps": (len(self.times_ns) - 1) / span_s if span_s > 0 else 0.0,
            "p50_ms": p50,
            "p99_ms": p99,
            "dropped": {how: count for how, count in self.dropped.items() if count},
            "clock_uncertainty_ms": self.last.t_unc_ns / 1e6,
        }


def run(arguments: argparse.Namespace) -> int:
    """Show the table until interrupted, or once."""
    from langpose_rt.streaming.client import PoseSubscriber

    if not 0.1 <= arguments.wait_s <= 3600:
        raise ConfigError(f"--wait-s is {arguments.wait_s:g}; expected 0.1 to 3600")
    where = connection_from_arguments(arguments)
    watched: dict[str, StreamWatch] = {}
    with PoseSubscriber(where.endpoint, **where.keys) as poses:
        if arguments.once:
            return _once(arguments, poses, watched)
        if arguments.json:
            while True:
                _listen(poses, watched, _REFRESH_S)
                print(json.dumps(_report(poses, watched)), flush=True)
        return _live(where.endpoint, poses, watched)


def _once(
    arguments: argparse.Namespace, poses: "PoseSubscriber", watched: dict[str, StreamWatch]
) -> int:
    from rich.console import Console

    _listen(poses, watched, arguments.wait_s)
    if not poses.alive:
        raise LangPoseError(
            f"no server was heard at {arguments.server} within {arguments.wait_s:g} s; "
            "start one with 'langpose-rt serve'"
        )
    report = _report(poses, watched)
    if arguments.json:
        print(json.dumps(report))
    else:
        Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120).print(_table(report))
    return 0


def _live(endpoint: str, poses: "PoseSubscriber", watched: dict[str, StreamWatch]) -> int:
    from rich.console import Console
    from rich.live import Live

    waiting = f"no server is heard at {endpoint}; waiting for one"
    with Live(console=Console(file=sys.stdout), auto_refresh=False) as live:
        while True:
            _listen(poses, watched, _REFRESH_S)
            report = _report(poses, watched)
            live.update(_table(report) if poses.alive else waiting, refresh=True)


def _listen(poses: "PoseSubscriber", watched: dict[str, StreamWatch], seconds: float) -> None:
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        message = poses.receive(left_s)
        if message is not None:
            name = f"{message.rig}/{message.camera}"
            watched.setdefault(name, StreamWatch()).note(message, time.monotonic())
    for name in [n for n, w in watched.items() if time.monotonic() - w.heard_s > _FORGET_S]:
        del watched[name]


def _report(poses: "PoseSubscriber", watched: dict[str, StreamWatch]) -> dict[str, Any]:
    beat = poses.heartbeat if poses.alive else None
    server: dict[str, Any] | None = None
    if beat is not None:
        names = ("server", "state", "uptime_s", "persons", "fps", "p99_ms")
        server = {name: getattr(beat, name) for name in names}
        model = beat.model
        server["model"] = model and f"{model.id} {model.sha256[:12]} {model.precision}"
        server["backend"] = model and model.backend
    return {"server": server, "streams": [watched[name].row() for name in sorted(watched)]}


def _table(report: dict[str, Any]) -> "RenderableType":
    from rich.table import Table
    from rich.text import Text

    server = report["server"]
    title = Text(
        f"{server['server']} {server['state']}, up {server['uptime_s']:.0f} s, "
        f"{server['persons']} people, {server['fps']:.0f} poses/s, p99 {server['p99_ms']:.2f} ms, "
        f"{server['model']} on {server['backend']}"
    )
    table = Table(
        title=title, title_justify="left", caption=None if report["streams"] else "no poses yet"
    )
    for number, heading in enumerate(_HEADINGS):
        table.add_column(heading, justify="left" if number in (0, 2, 6) else "right")
    for row in report["streams"]:
        table.add_row(
            row["stream"], str(row["people"]), _counts(row["states"]), f"{row['fps']:.1f}",
            f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.2f}", _counts(row["dropped"]) or "-",
            f"{row['clock_uncertainty_ms']:.2f}",
        )  # fmt: skip
    return table


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
