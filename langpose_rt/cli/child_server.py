"""A real server in a process of its own, for commands that measure one: `demo` and `bench`."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from langpose_rt.errors import LangPoseError

_START_S = 60.0
_STOP_S = 5.0
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""NumPy's own thread pool only gets in the way of arrays as small as a pose."""


@dataclass(frozen=True)
class ChildServer:
    """Where the child listens, and what it runs.

    Attributes:
        said: What ``serve --json`` printed.
        pid: Of the process.
    """

    said: dict[str, str | int]
    pid: int

    @property
    def keypoint_endpoint(self) -> str:
        """Where keypoints go."""
        return f"tcp://127.0.0.1:{self.said['port']}"

    @property
    def pose_endpoint(self) -> str:
        """Where poses come from."""
        return f"tcp://127.0.0.1:{self.said['output_port']}"

    def resident_mb(self) -> float | None:
        """Memory the process holds, MB of 2^20 bytes; None where the system does not say."""
        return resident_mb(self.pid)


def resident_mb(pid: int | str = "self") -> float | None:
    """Memory a process holds, MB of 2^20 bytes; None where there is no /proc."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return None


@contextlib.contextmanager
def child_server(options: Sequence[str]) -> Iterator[ChildServer]:
    """Run ``langpose-rt serve`` on free ports until the block ends.

    Args:
        options: Further options of ``serve``.

    Raises:
        LangPoseError: If it does not come up; the sentence is the child's own.
    """
    command = [sys.executable, "-m", "langpose_rt", "serve", "--port", "0", "--http-port", "0", "--json"]
    process = subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | _ONE_THREAD,
    )
    try:
        yield ChildServer(_first_line(process), process.pid)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _first_line(process: "subprocess.Popen[str]") -> dict[str, str | int]:
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None and process.stderr is not None
    threading.Thread(target=lambda out=process.stdout: lines.put(out.readline()), daemon=True).start()
    try:
        line = lines.get(timeout=_START_S)
    except queue.Empty:
        raise LangPoseError(f"the server did not come up within {_START_S:g} s") from None
    if not line:
        process.wait(_STOP_S)
        said = process.stderr.read().strip().splitlines()
        raise LangPoseError(f"the server did not start: {said[-1] if said else 'it said nothing'}")
    answer: dict[str, str | int] = json.loads(line)
    return answer
