"""`langpose-rt top`: live table of a server on a terminal, one line per second elsewhere."""

import argparse
import contextlib
import json
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from langpose_rt.cli.arguments.connection import (
    NO_SERVER_ADVICE,
    add_connection_arguments,
    connection_from_arguments,
)
from langpose_rt.cli.terminal.figure_table import counted_people, legend
from langpose_rt.cli.terminal.printable import printable
from langpose_rt.errors import ConfigError, LangPoseError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from langpose_rt.cli.terminal.server_watch import ServerWatch
    from langpose_rt.client.raw import RawSubscriber

SUMMARY = "show what a server does, live: state, streams, people, rates, latency, events"
EXAMPLE = "langpose-rt top --server tcp://127.0.0.1:5556"

_TABLE_S, _LINE_S = 0.5, 1.0
_LOSSES = {
    "late": "came after a newer frame",
    "dup": "came twice",
    "gap": "never came",
    "shed": "left out because there was no time",
    "failed": "not lifted because of an error",
}
_HEADINGS = ("stream", "people", "states", "fps", "p50 ms", "p99 ms", "dropped", "clock ± ms")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_connection_arguments(
        parser, default="tcp://127.0.0.1:5556", text="where the server publishes poses"
    )
    parser.add_argument("--once", action="store_true", help="print one table and leave")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a second")
    parser.add_argument(
        "--wait-s", type=float, default=3.0, metavar="S",
        help="--once listens so long (default: %(default)s)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Show the server until interrupted, or once."""
    from langpose_rt.cli.terminal.server_watch import ServerWatch
    from langpose_rt.client.raw import RawSubscriber

    if not 0.1 <= arguments.wait_s <= 3600:
        raise ConfigError(f"--wait-s is {arguments.wait_s:g}; expected 0.1 to 3600")
    where, watch = connection_from_arguments(arguments), ServerWatch()
    with RawSubscriber(where.endpoint, **where.keys) as subscriber:
        if arguments.once:
            _once(arguments, subscriber, watch)
            return 0
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):  # the usual end
            if arguments.json or not sys.stdout.isatty():
                _lines(arguments, subscriber, watch)
            else:
                _table_live(arguments.server, subscriber, watch)
    return 0


def _once(arguments: argparse.Namespace, subscriber: "RawSubscriber", watch: "ServerWatch") -> None:
    from rich.console import Console

    report = _report_after(subscriber, watch, arguments.wait_s)
    if report["server"] is None:
        raise LangPoseError(
            f"no server was heard at {arguments.server} within {arguments.wait_s:g} s; "
            f"{NO_SERVER_ADVICE}"
        )
    if arguments.json:
        print(json.dumps(report))
    else:
        Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120).print(_table(report))


def _lines(
    arguments: argparse.Namespace, subscriber: "RawSubscriber", watch: "ServerWatch"
) -> None:
    while True:
        report = _report_after(subscriber, watch, _LINE_S)
        line = json.dumps(report) if arguments.json else _line(report, arguments.server)
        print(line, flush=True)


def _table_live(endpoint: str, subscriber: "RawSubscriber", watch: "ServerWatch") -> None:
    from rich.console import Console
    from rich.live import Live

    with Live(_waiting(endpoint), console=Console(file=sys.stdout), auto_refresh=False) as live:
        while True:
            report = _report_after(subscriber, watch, _TABLE_S)
            live.update(_table(report) if report["server"] else _waiting(endpoint), refresh=True)


def _report_after(
    subscriber: "RawSubscriber", watch: "ServerWatch", seconds: float
) -> dict[str, Any]:
    """Receive messages for a time, then return the report."""
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        for parts in subscriber.receive(left_s):
            watch.note(parts, time.monotonic())
    return watch.report(time.monotonic())


def _waiting(endpoint: str) -> str:
    return f"no server is heard at {endpoint}; waiting for one"


def _title(server: dict[str, Any]) -> str:
    return printable(
        f"{server['server']} {server['state']}, up {server['uptime_s']:.0f} s, "
        f"{counted_people(server['persons'])}, {server['fps']:.0f} poses/s, "
        f"p99 {server['p99_ms']:.2f} ms"
    )


def _event(event: dict[str, Any]) -> str:
    times = f" x{event['count']}" if event["count"] > 1 else ""
    text = event["detail"] or f"{event['reason']} {event['subject']}"
    about = f"{event['kind']}/{event['reason']}{times}"
    return printable(f"{event['ago_s']:.0f} s ago {about}: {text}")


def _line(report: dict[str, Any], endpoint: str) -> str:
    """Return the whole report in one line."""
    if report["server"] is None:
        return _waiting(endpoint)
    parts = [_title(report["server"])]
    for row in report["streams"]:
        lost = f", dropped {_counts(row['dropped'])}" if row["dropped"] else ""
        parts.append(
            f"{row['stream']} {_counts(row['states']) or 'no person'}, {row['fps']:.1f} fps, "
            f"p50 {row['p50_ms']:.2f}, p99 {row['p99_ms']:.2f} ms, "
            f"clock ±{row['clock_uncertainty_ms']:.2f} ms{lost}"
        )
    for row in report["volumes"]:
        cameras = ", ".join(f"{c['camera']} {_camera(c)}" for c in row["cameras"])
        parts.append(
            f"volume {row['volume']} {_counts(row['states']) or 'no person'}, "
            f"{row['fps']:.1f} fps, waits p50 {row['wait_p50_ms']:.1f}, "
            f"p99 {row['wait_p99_ms']:.1f} ms, {cameras}"
        )
    parts += [_event(event) for event in report["events"][:1]]
    return "; ".join(parts)


def _table(report: dict[str, Any]) -> "RenderableType":
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    server = report["server"]
    title = Text(printable(f"{_title(server)}, {server['model']} on {server['backend']}"))
    caption = None if report["streams"] else "no poses yet"
    table = Table(caption=caption, box=SIMPLE_HEAD)
    for number, heading in enumerate(_HEADINGS):
        table.add_column(heading, justify="left" if number in (0, 2, 6) else "right")
    for row in report["streams"]:
        table.add_row(
            row["stream"], str(row["people"]), _counts(row["states"]), f"{row['fps']:.1f}",
            f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.2f}", _counts(row["dropped"]) or "-",
            f"{row['clock_uncertainty_ms']:.2f}",
        )  # fmt: skip
    events = [Text(_event(event), overflow="ellipsis", no_wrap=True) for event in report["events"]]
    volumes = [part for row in report["volumes"] for part in _volume_table(row)]
    meanings = [Text(line, style="dim") for line in _meanings(report)]
    return Group(title, table, *volumes, *events, *meanings)


def _meanings(report: dict[str, Any]) -> list[str]:
    """Return what the columns that are shown mean."""
    lost = {kind for row in report["streams"] for kind in row["dropped"]}
    lines = []
    if report["streams"]:
        lines.append(
            "p50, p99: the server adds no more to half, to 99 of 100 frames; "
            "clock ±: how well the clock of the rig is known"
        )
    if lost:
        lines.append("dropped: " + legend((k, m) for k, m in _LOSSES.items() if k in lost))
    if report["volumes"]:
        lines.append(
            "live: share of the time with frames; residual: how far the camera is from what "
            "the others see"
        )
    return lines


def _volume_table(row: dict[str, Any]) -> "tuple[RenderableType, ...]":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    title = printable(
        f"volume {row['volume']}, {row['people']} people, {row['fps']:.1f} fps, "
        f"waits p50 {row['wait_p50_ms']:.1f} p99 {row['wait_p99_ms']:.1f} ms"
    )
    table = Table(box=SIMPLE_HEAD)
    for heading in ("camera", "live", "residual px"):
        table.add_column(heading, justify="left" if heading == "camera" else "right")
    for camera in row["cameras"]:
        table.add_row(camera["camera"], f"{100 * camera['live']:.0f} %", _residual(camera))
    return Text(title), table


def _camera(camera: dict[str, Any]) -> str:
    return f"{100 * camera['live']:.0f} % {_residual(camera)} px"


def _residual(camera: dict[str, Any]) -> str:
    residual_px = camera["residual_px"]
    return "-" if residual_px is None else f"{residual_px:.1f}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
