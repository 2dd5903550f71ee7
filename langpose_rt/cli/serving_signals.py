"""Signals of commands that serve: SIGTERM and SIGINT drain, SIGHUP reloads the model."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langpose_rt.server.socket_server import SocketServer

_SECOND_SIGNAL = 1


@contextlib.contextmanager
def serving_signals(server: "SocketServer", reload: Callable[[], object]) -> Iterator[None]:
    """Handle signals while a server runs, and restore the previous handlers.

    A second SIGTERM or SIGINT exits at once. On a terminal SIGHUP says that the terminal is gone,
    and drains too.

    Args:
        server: Drained by SIGTERM and SIGINT.
        reload: Called for SIGHUP.
    """

    def drain(*_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os._exit(_SECOND_SIGNAL))
        server.drain()

    on_terminal = sys.stdin is not None and sys.stdin.isatty()
    handlers = {
        signal.SIGTERM: drain,
        signal.SIGINT: drain,
        signal.SIGHUP: drain if on_terminal else lambda *_: reload(),
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
