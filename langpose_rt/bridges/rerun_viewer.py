"""The Rerun viewer process on this machine: use a running one or start one.

`rerun.spawn` is not used: its viewer listens on every address and reports no error where it cannot
open a window. The viewer runs in its own session and stays open when the command ends.
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
"""Default port of Rerun viewers."""

_START_S = 20.0
_STAYS_S = 0.5
"""A viewer without a display listens first and exits then."""


class RerunViewer:
    """Connection data of a viewer, started if none is running.

    Args:
        port: Loopback port; a viewer that listens there already is used.

    Raises:
        LangPoseError: If no viewer can be started.
    """

    def __init__(self, port: int = _PORT) -> None:
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        if not self._listens():
            with tempfile.TemporaryFile() as errors:
                self._process = self._start(errors)

    @property
    def url(self) -> str:
        """Address for the SDK to connect to."""
        return f"rerun+http://{_LOOPBACK}:{self._port}/proxy"

    def check(self) -> None:
        """Check that the started viewer is still running.

        Raises:
            LangPoseError: If it has ended.
        """
        if self._process is not None and self._process.poll() is not None:
            raise LangPoseError("the Rerun viewer was closed")

    def _start(self, errors: IO[bytes]) -> "subprocess.Popen[bytes]":
        words = ("--bind", _LOOPBACK, "--port", str(self._port))
        viewer = subprocess.Popen(  # noqa: S603 - Rerun's own
            [sys.executable, "-m", "rerun_cli", *words],
            stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True,
        )  # fmt: skip
        until_s = time.monotonic() + _START_S
        while viewer.poll() is None and not self._listens():
            if time.monotonic() > until_s:
                viewer.terminate()
                raise LangPoseError(f"the Rerun viewer did not start within {_START_S:g} s")
        with contextlib.suppress(subprocess.TimeoutExpired):
            viewer.wait(_STAYS_S)
            raise LangPoseError(
                f"the Rerun viewer cannot start ({_last_error(errors)}); write a file with --save"
            )
        return viewer

    def _listens(self) -> bool:
        try:
            socket.create_connection((_LOOPBACK, self._port), timeout=1.0).close()
        except OSError:
            time.sleep(0.05)
            return False
        return True


def _last_error(errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = errors.read().decode(errors="replace").split("\n")
    return next((line.rpartition(": ")[2] for line in reversed(lines) if line), "no reason")
