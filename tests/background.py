"""Processes and threads of a test, ended whatever happens in the block that needs them."""

import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def process(command: Sequence[str], **options: Any) -> Iterator["subprocess.Popen[Any]"]:
    """Run a command for the block, and kill it at the end if it still runs.

    Popen as a context manager only waits, so a failing block would hang.
    """
    with subprocess.Popen(command, **options) as started:
        try:
            yield started
        finally:
            started.kill()


@contextmanager
def running(*targets: Callable[[], object]) -> Iterator[None]:
    """Run each in a thread of its own; they end by themselves and are waited for at the end."""
    threads = [threading.Thread(target=target) for target in targets]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


@contextmanager
def repeating(step: Callable[[], object], every_s: float) -> Iterator[None]:
    """Call a step again and again in a thread of its own until the block ends."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(every_s):
            step()

    with running(repeat):
        try:
            yield
        finally:
            over.set()
