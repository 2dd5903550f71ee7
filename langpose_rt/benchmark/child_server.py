"""A server in a child process, for commands that measure one: `demo`, `bench` and `doctor`.

`own_command` starts any command of this package; a cluster starts its lifters with it.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import langpose_rt
from langpose_rt.errors import ConfigError, LangPoseError

_START_S = 60.0
_STOP_S = 5.0
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""NumPy's thread pool only slows down arrays as small as a pose."""


@dataclass(frozen=True)
class ChildServer:
    """Ports, model and process of a running child server.

    Attributes:
        announcement: Ports and model as ``serve --json`` printed them.
        pid: Process id.
    """

    announcement: dict[str, str | int]
    pid: int

    @property
    def keypoint_endpoint(self) -> str:
        """Endpoint of the keypoints."""
        return f"tcp://127.0.0.1:{self.announcement['port']}"

    @property
    def pose_endpoint(self) -> str:
        """Endpoint of the poses."""
        return f"tcp://127.0.0.1:{self.announcement['output_port']}"

    def resident_mb(self) -> float | None:
        """Return the resident memory, MB of 2^20 bytes; None where it is unknown."""
        return resident_mb(self.pid)


def resident_mb(pid: int | str = "self") -> float | None:
    """Return the resident memory of a process, MB of 2^20 bytes; None without /proc."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return None


def own_command() -> list[str]:
    """Return the words that start `langpose-rt` from the very package that this process runs.

    ``python -m`` looks in the working folder first, and in a checkout would find the sources there
    instead of the installed package with its compiled extension.
    """
    place = str(Path(langpose_rt.__file__).parents[1])
    script = (
        f"import sys; sys.path.insert(0, {place!r}); from langpose_rt.cli.main import main; "
        "sys.exit(main())"
    )
    return [sys.executable, "-c", script]


@contextlib.contextmanager
def child_server(options: Sequence[str]) -> Iterator[ChildServer]:
    """Run ``langpose-rt serve`` on free ports until the block ends.

    Args:
        options: Further options of ``serve``.

    Raises:
        ConfigError: If the child rejects an option or the model; the sentence is its own.
        LangPoseError: If it does not start for another reason.
    """
    words = ("serve", "--port", "0", "--http-port", "0", "--json", *options)
    with tempfile.TemporaryFile("w+") as log:  # a pipe without a reader would fill up
        process = subprocess.Popen(  # noqa: S603 - this package
            [*own_command(), *words],
            stdin=subprocess.DEVNULL,  # without a terminal SIGHUP reloads the model
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=os.environ | _ONE_THREAD,
        )
        try:
            yield ChildServer(_first_line(process, log), process.pid)
        finally:
            _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _first_line(process: "subprocess.Popen[str]", log: TextIO) -> dict[str, str | int]:
    lines: queue.Queue[str] = queue.Queue()
    output = process.stdout
    assert output is not None
    threading.Thread(target=lambda: lines.put(output.readline()), daemon=True).start()
    try:
        line = lines.get(timeout=_START_S)
    except queue.Empty:
        raise LangPoseError(f"the server did not come up within {_START_S:g} s") from None
    if not line:
        raise _start_error(process.wait(_STOP_S), log)
    answer: dict[str, str | int] = json.loads(line)
    return answer


def _start_error(code: int, log: TextIO) -> LangPoseError:
    """Return the last log line of the child as an error."""
    log.seek(0)
    lines = log.read().strip().splitlines()
    sentence = lines[-1].removeprefix("langpose-rt: ") if lines else f"it ended with code {code}"
    if code == ConfigError.exit_code:
        return ConfigError(sentence)
    return LangPoseError(f"the server did not start: {sentence}")
