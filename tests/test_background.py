"""Processes and threads are over after a block that fails."""

import subprocess
import sys
import threading

import pytest

from tests.background import process, repeating, running


def test_a_process_is_killed_when_its_block_fails() -> None:
    started: list[subprocess.Popen[bytes]] = []

    def block() -> None:
        with process([sys.executable, "-c", "import time; time.sleep(600)"]) as child:
            started.append(child)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()
    assert started[0].returncode is not None


def test_a_repeated_step_ends_when_its_block_fails() -> None:
    called, before = threading.Event(), threading.active_count()

    def block() -> None:
        with repeating(called.set, 0.001):
            assert called.wait(20)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()
    assert threading.active_count() == before


def test_threads_are_waited_for_when_their_block_fails() -> None:
    goes, ended = threading.Event(), []

    def wait() -> None:
        ended.append(goes.wait(20))

    def block() -> None:
        with running(wait, wait):
            goes.set()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()
    assert ended == [True, True]
