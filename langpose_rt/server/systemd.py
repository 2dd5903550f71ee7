"""Notify systemd of a running server: ready, alive, stopping, and a status line.

The protocol of sd_notify(3): datagrams of NAME=value lines to the socket in $NOTIFY_SOCKET.
Without one nothing is sent and no thread runs.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langpose_rt.monitoring.snapshot import Snapshot
    from langpose_rt.server.server import Server

POLL_S = 0.1
STATUS_S = 2.0
_LINES = {"ready": "READY=1", "degraded": "READY=1", "draining": "STOPPING=1"}
"""Line for a state of the server: degraded serves badly, but it serves."""


class Supervision:
    """Builds notification lines from snapshots; has no socket and no clock.

    Args:
        watchdog_s: Watchdog timeout; None without a watchdog.
    """

    def __init__(self, watchdog_s: float | None) -> None:
        self._watched = watchdog_s is not None
        self._period_s = STATUS_S if watchdog_s is None else min(STATUS_S, watchdog_s / 3)
        self._line, self._next_s = "", 0.0

    def lines(self, snapshot: "Snapshot", alive: bool, now_s: float) -> list[str]:
        """Return the lines to send now; without a watchdog line if the server's threads hang.

        Args:
            snapshot: The server at this moment.
            alive: True if its threads make progress.
            now_s: Seconds of any monotonic clock.
        """
        line = _LINES.get(snapshot.state, "")
        changed = line != self._line
        if not changed and now_s < self._next_s:
            return []
        self._line, self._next_s = line, now_s + self._period_s
        watchdog = ["WATCHDOG=1"] if self._watched and alive else []
        return ([line] if changed and line else []) + watchdog + [f"STATUS={_status(snapshot)}"]


def _status(now: "Snapshot") -> str:
    return (
        f"{now.state}: {len(now.streams)} cameras, {now.persons} people, {now.fps:.0f} poses/s, "
        f"p99 {now.p99_ms:.1f} ms; {now.model.id} {now.model.precision} on {now.model.backend}"
    )


def watchdog_s(environment: Mapping[str, str], pid: int) -> float | None:
    """Return the watchdog timeout of a process; None without a watchdog."""
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None


@contextlib.contextmanager
def supervised(server: "Server") -> Iterator[None]:
    """Notify systemd of a server while the block runs, from a thread of its own.

    Args:
        server: May be started within the block; until then it is starting.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        yield
        return
    ended = threading.Event()
    supervision = Supervision(watchdog_s(os.environ, os.getpid()))

    def watch() -> None:
        while not ended.wait(POLL_S):
            _send(address, supervision.lines(server.snapshot(), server.alive(), time.monotonic()))

    thread = threading.Thread(target=watch, name="supervisor", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        _send(address, ["STOPPING=1"])


def supervised_reload(server: "Server") -> None:
    """Reopen the model and notify systemd of begin and end; the active model goes on."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    _send(address, ["RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"])
    if not server.reload(None, lambda _: _send(address, ["READY=1"])):
        _send(address, ["READY=1"])  # one is under way


def _send(address: str, lines: list[str]) -> None:
    """Send lines to systemd, which may be gone; an address with @ is an abstract socket."""
    if not (address and lines):
        return
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel,
    ):
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.send("\n".join(lines).encode())
