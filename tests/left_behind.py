"""A test that leaves a thread or a child process behind fails: it would disturb every later one."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

GRACE_S = 5.0
"""How long what is ending on its own may take."""

PROCESS_WIDE = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""Children that Python's multiprocessing keeps for as long as the interpreter runs."""

PROCESS_WIDE_THREADS = ("TMonitor",)
"""Classes of threads that a library keeps likewise: tqdm's, which watches all progress bars."""


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test after which threads or children run that were not there before.

    pytest sets wider fixtures up first, so theirs were there before.
    """
    threads, children = set(threading.enumerate()), set(running_children())
    yield
    until_s = time.monotonic() + GRACE_S
    while left := _left(threads, children):
        if time.monotonic() > until_s:
            pytest.fail(
                f"the test left {', '.join(left)} behind; end it in a 'finally'", pytrace=False
            )
        time.sleep(0.01)


def running_children() -> dict[int, str]:
    """Return the children of this process that have not ended, and their command lines."""
    found = {}
    for listed in Path("/proc/self/task").glob("*/children"):
        try:
            pids = listed.read_text().split()
        except OSError:  # the thread has just ended
            continue
        for pid in pids:
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
                words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            except OSError:  # it has just ended
                continue
            line = words.decode(errors="replace").strip()
            if state != "Z" and not any(known in line for known in PROCESS_WIDE):
                found[int(pid)] = line
    return found


def _left(threads: set[threading.Thread], children: set[int]) -> list[str]:
    """Name what runs now and did not before; a _DummyThread is C++ that once called Python."""
    new = [
        thread
        for thread in threading.enumerate()
        if thread not in threads
        and not isinstance(thread, threading._DummyThread)
        and type(thread).__name__ not in PROCESS_WIDE_THREADS
    ]
    return [f"thread {thread.name!r}" for thread in new] + [
        f"child {pid} ({line[:100]})"
        for pid, line in running_children().items()
        if pid not in children and pid != os.getpid()
    ]
