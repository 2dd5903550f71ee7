"""The Rerun viewer of this machine as a process: the one that runs, or one that is started.

Not `rerun.spawn`: its viewer listens on every address, and where it cannot open a window nobody is
told. It is started in a session of its own and stays when the command ends, with what it was shown.
"""

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from typing import IO

from langpose_rt.errors import LangPoseError

_LOOPBACK = "127.0.0.1"
_PORT = 9876
"""Rerun's own, at which its viewers are looked for."""

_START_S = 20.0
_STAYS_S = 0.5
"""A viewer without a display listens first and ends then."""


class RerunViewer:
    """A viewer that takes what is logged.

    Args:
        port: Where it listens on loopback; one that listens there already is used.

    Raises:
        LangPoseError: If none can be started.
    """

    def __init__(self, port: int = _PORT) -> None:
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        if not self._listens():
            with tempfile.TemporaryFile() as said:
                self._process = self._start(said)

    @property
    def url(self) -> str:
        """Where the SDK connects to."""
        return f"rerun+http://{_LOOPBACK}:{self._port}/proxy"

    def check(self) -> None:
        """See whether the viewer that was started is still there.

        Raises:
            LangPoseError: If it has ended.
        """
        if self._process is not None and self._process.poll() is not None:
            raise LangPoseError("the Rerun viewer was closed")

    def _start(self, said: IO[bytes]) -> "subprocess.Popen[bytes]":
        words = ("--bind", _LOOPBACK, "--port", str(self._port))
        viewer = subprocess.Popen(  # noqa: S603 - Rerun's own
            [sys.executable, "-m", "rerun_cli", *words],
            stdout=subprocess.DEVNULL, stderr=said, start_new_session=True,
        )  # fmt: skip
        until_s = time.monotonic() + _START_S
        while viewer.poll() is None and not self._listens():
            if time.monotonic() > until_s:
                viewer.terminate()
                raise LangPoseError(f"the Rerun viewer did not start within {_START_S:g} s")
        with contextlib.suppress(subprocess.TimeoutExpired):
            viewer.wait(_STAYS_S)
            raise LangPoseError(
                f"the Rerun viewer cannot start ({_last_words(said)}); write a file with --save"
            )
        return viewer

    def _listens(self) -> bool:
        try:
            socket.create_connection((_LOOPBACK, self._port), timeout=1.0).close()
        except OSError:
            time.sleep(0.05)
            return False
        return True


def _last_words(said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read().decode(errors="replace").split("\n")
    return next((line.rpartition(": ")[2] for line in reversed(lines) if line), "no reason")
