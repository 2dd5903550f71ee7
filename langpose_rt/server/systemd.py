"""What systemd is told of a running server: ready, alive, stopping, and how it is doing.

The protocol of sd_notify(3): datagrams of NAME=value lines to the socket $NOTIFY_SOCKET names.
Without one nothing is said and nothing runs.
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

LOOK_S = 0.1
STATUS_S = 2.0
_WORDS = {"ready": "READY=1", "degraded": "READY=1", "draining": "STOPPING=1"}
"""What a state of the server is to systemd: degraded serves badly, but it serves."""


class Supervision:
    """Turns what is seen of a server into what is said of it; knows no socket and no clock.

    Args:
        watchdog_s: A sign of life is due within this; None where nobody waits for one.
    """

    def __init__(self, watchdog_s: float | None) -> None:
        self._watched = watchdog_s is not None
        self._every_s = STATUS_S if watchdog_s is None else min(STATUS_S, watchdog_s / 3)
        self._word, self._next_s = "", 0.0

    def lines(self, snapshot: "Snapshot", alive: bool, now_s: float) -> list[str]:
        """What to say now; a server whose threads hang gives no sign of life.

        Args:
            snapshot: The server at this moment.
            alive: Whether its threads turn.
            now_s: Seconds of any clock that rises.
        """
        word = _WORDS.get(snapshot.state, "")
        news = word != self._word
        if not news and now_s < self._next_s:
            return []
        self._word, self._next_s = word, now_s + self._every_s
        life = ["WATCHDOG=1"] if self._watched and alive else []
        return ([word] if news and word else []) + life + [f"STATUS={_status(snapshot)}"]


def _status(now: "Snapshot") -> str:
    return (
        f"{now.state}: {len(now.streams)} cameras, {now.persons} people, {now.fps:.0f} poses/s, "
        f"p99 {now.p99_ms:.1f} ms; {now.model.id} {now.model.precision} on {now.model.backend}"
    )


def watchdog_s(environment: Mapping[str, str], pid: int) -> float | None:
    """The time systemd waits for a sign of life of a process; None if it does not wait."""
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    microseconds = environment.get("WATCHDOG_USEC", "")
    return int(microseconds) / 1e6 if microseconds.isdecimal() and int(microseconds) else None


@contextlib.contextmanager
def supervised(server: "Server") -> Iterator[None]:
    """Tell systemd about a server while the block runs, from a thread of its own.

    Args:
        server: May be started within the block; until then it is starting.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        yield
        return
    over = threading.Event()
    supervision = Supervision(watchdog_s(os.environ, os.getpid()))

    def watch() -> None:
        while not over.wait(LOOK_S):
            _say(address, supervision.lines(server.snapshot(), server.alive(), time.monotonic()))

    thread = threading.Thread(target=watch, name="supervisor", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _say(address, ["STOPPING=1"])


def supervised_reload(server: "Server") -> None:
    """Open the model anew, and tell systemd from when to when; the model there is goes on."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    _say(address, ["RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"])
    if not server.reload(None, lambda _: _say(address, ["READY=1"])):
        _say(address, ["READY=1"])  # one is under way


def _say(address: str, lines: list[str]) -> None:
    """Send lines to systemd, which may be gone; an address with @ is an abstract one of Linux."""
    if not (address and lines):
        return
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel,
    ):
        channel.connect("\0" + address[1:] if address.startswith("@") else address)
        channel.send("\n".join(lines).encode())
