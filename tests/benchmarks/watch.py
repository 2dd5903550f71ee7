"""What a server process costs while it runs, and what it says of itself."""

import json
import os
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from langpose_rt.benchmark.child_server import ChildServer

_EVERY_S = 0.5
_BLOCK_S = 10.0


@dataclass
class Watch:
    """Memory and processor time of a process, twice a second."""

    at_s: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def growth_mb_per_h(self, first_s: float) -> tuple[float, float]:
        """Slope of memory after the first seconds by least squares, and its standard error.

        Over means of ten seconds each: samples nearer to each other are not independent.
        """
        at_s, memory_mb = np.array(self.at_s) - self.at_s[0], np.array(self.resident_mb)
        block = (at_s // _BLOCK_S).astype(int)
        kept = [number for number in range(block.max() + 1) if number * _BLOCK_S >= first_s]
        if len(kept) < 4:
            return float("nan"), float("nan")
        hours = np.array([at_s[block == number].mean() for number in kept]) / 3600
        means_mb = np.array([memory_mb[block == number].mean() for number in kept])
        centred = hours - hours.mean()
        slope = float((centred * means_mb).sum() / (centred**2).sum())
        rest_mb = means_mb - means_mb.mean() - slope * centred
        error = np.sqrt((rest_mb**2).sum() / (len(kept) - 2) / (centred**2).sum())
        return slope, float(error)

    def cpu_share(self, first_s: float = 0.0) -> float:
        """Processor seconds a second, 1 being a whole core, after the first seconds."""
        first = int(np.searchsorted(np.array(self.at_s) - self.at_s[0], first_s))
        return (self.cpu_s[-1] - self.cpu_s[first]) / (self.at_s[-1] - self.at_s[first])


@contextmanager
def watching(server: ChildServer) -> Iterator[Watch]:
    """A watch over a server's process while the block runs."""
    watch, stop = Watch(), threading.Event()

    def look() -> None:
        while not stop.wait(_EVERY_S):
            memory_mb, cpu_s = server.resident_mb(), _cpu_s(server.pid)
            if memory_mb is not None and cpu_s is not None:
                watch.at_s.append(time.monotonic())
                watch.resident_mb.append(memory_mb)
                watch.cpu_s.append(cpu_s)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()


def status_of(server: ChildServer) -> dict[str, Any]:
    """The server's own `/status`."""
    where = f"http://127.0.0.1:{server.announcement['http_port']}/status"
    with urllib.request.urlopen(where, timeout=10) as answer:
        status: dict[str, Any] = json.load(answer)
    return status


def settled_status(server: ChildServer, timeout_s: float = 10.0) -> dict[str, Any]:
    """The status once nothing comes and nothing waits any more."""
    until_s = time.monotonic() + timeout_s
    before, now = None, status_of(server)
    while time.monotonic() < until_s:
        waiting = sum(stream["waiting"] + stream["unanswered"] for stream in now["streams"])
        if before == now["counters"] and not waiting:
            break
        before = now["counters"]
        time.sleep(0.3)
        now = status_of(server)
    return now


def _cpu_s(pid: int) -> float | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
